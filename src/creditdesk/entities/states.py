"""States and kinds that the ledger's own records store as text."""

from __future__ import annotations

from enum import StrEnum


class HoldState(StrEnum):
    """What became of a hold."""

    HELD = "held"
    CONFIRMED = "confirmed"
    RELEASED = "released"


class Operation(StrEnum):
    """What a decision was made for."""

    SPEND = "spend"
    HOLD = "hold"
    CHARGE = "charge"
