"""The result of a report: typed columns and rows, totals by unit, and a footer that proves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Final

from creditdesk.ledger.journal.reasons import is_generated_reason
from creditdesk.ledger.rules.amounts import DECIMALS, Amount, currency_digits

Cell = str | int | Decimal | date | datetime | bool | None


Wording = Callable[[str], str]
"""Translates a text; returns an unknown text unchanged."""

CODED_COLUMNS: Final = frozenset(
    {"Kind", "Unit", "Funding", "Verb", "What", "Source", "Period", "Method", "Severity", "Action", "Explanation"}
)
"""The columns with texts of the program."""
REASON_COLUMNS: Final = frozenset({"Description", "Reason"})
"""The columns with texts of people, or reasons that the ledger wrote."""


def readable_cell(column: str, text: str, wording: Wording) -> str:
    """The text of a cell for people: translated if the program wrote it, unchanged if a person did."""
    is_generated = column in REASON_COLUMNS and is_generated_reason(text)
    return wording(text) if column in CODED_COLUMNS or is_generated else text


def label(text: str) -> str:
    """Marks a text for translation in files."""
    return text


class CellType(Enum):
    """How a column's cells are shown, aligned and written to files."""

    TEXT = "text"
    ID = "id"
    DATE = "date"
    INSTANT = "instant"
    AMOUNT = "amount"
    COUNT = "count"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """One column: its name in JSON and CSV, its title for people, its type, and what it means."""

    name: str
    title: str
    type: CellType = CellType.TEXT
    description: str = ""


@dataclass(frozen=True, slots=True)
class ReportLocation:
    """A location of the report, its clock, and the period by it in UTC; None for an open side."""

    id: int
    name: str
    zone: str
    starts_utc: datetime | None
    ends_utc: datetime | None


@dataclass(frozen=True, slots=True)
class ReportFooter:
    """What a reader needs to check the report.

    The report shows what was recorded by `known_as_of`. `entries` counts the journal entries behind it, and
    `heads_digest` is the SHA-256 over the last digest of each of its credits. `checkpoint` is the number
    of the newest checkpoint by then, with its root. `variance` is the difference between the recomputed
    closing amounts and the stored ones, by unit: 0 unless the journal was altered.
    """

    period: str
    locations: tuple[ReportLocation, ...]
    known_as_of: datetime
    entries: int
    heads_digest: str
    checkpoint: int | None = None
    checkpoint_root: str = ""
    variance: tuple[tuple[str, Decimal], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ties_out(self) -> bool:
        return not any(amount for _, amount in self.variance)


@dataclass(frozen=True, slots=True)
class ReportResult:
    """A report. `totals` have the columns of the rows; amounts of different units are never added.

    `wording` translates the texts of files for people; JSON and CSV stay English.
    """

    name: str
    title: str
    subtitle: str
    columns: tuple[ReportColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footer: ReportFooter
    totals: tuple[tuple[Cell, ...], ...] = ()
    sections: tuple[ReportSection, ...] = ()
    wording: Wording = label


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A further table of a report, such as the summary above a statement's lines."""

    title: str
    columns: tuple[ReportColumn, ...]
    rows: tuple[tuple[Cell, ...], ...] = field(default=())


def to_decimal(amount: Amount, unit: str, *, is_money: bool) -> Decimal:
    """The exact number: whole uses, or money with its currency's digits, or more if the amount has more."""
    if not is_money:
        return Decimal(amount)
    number = Decimal(amount).scaleb(-DECIMALS)
    shown = number.quantize(Decimal(1).scaleb(-currency_digits(unit)))
    return shown if shown == number else number.normalize()
