"""What the exceptions report reads beside the view of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from creditdesk.reports.exception_rules import LedgerException


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who accepted an exception, when, and why."""

    by: str
    on: datetime
    note: str


@dataclass(frozen=True, slots=True)
class ExceptionFacts:
    """Exceptions that were found while loading, what people acknowledged, by key, and the last verification."""

    found: tuple[LedgerException, ...] = ()
    acknowledged: Mapping[str, Acknowledgement] = field(default_factory=dict)
    verified: str = ""
