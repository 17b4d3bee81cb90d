"""The settings of the wire, with their defaults and meanings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the imitated system's sources differ, which reading holds.

    `dir_convention`: `seed` (1 ascending, -1 descending) or `later` (0 ascending, 1 descending).
    `unknown_filters`: `ignore` or `refuse` parameters that no declaration knows.
    `require_list_filters` refuses a listing without any of the filters its entity asks for; it is
    off because the documented listing is unfiltered, and only one live service was seen to
    refuse it. `body_limit_bytes`: a longer body is answered 413.
    """

    dir_convention: Literal["seed", "later"] = "seed"
    unknown_filters: Literal["ignore", "refuse"] = "ignore"
    require_list_filters: bool = False
    body_limit_bytes: int = 1_048_576
