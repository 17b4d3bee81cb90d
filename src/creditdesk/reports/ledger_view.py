"""The data that a report is computed from: credits in its scope, their positions and their entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.reports.credit_totals import PeriodTotals
from creditdesk.reports.exception_values import ExceptionFinding
from creditdesk.reports.movements import credit_movements, position_at
from creditdesk.reports.periods import Moment, end_cut, start_cut
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.result import ReportLocation
from creditdesk.reports.values import (
    BEGINNING,
    END_OF_TIME,
    NOTHING,
    AgedAmount,
    CohortSum,
    CreditMovement,
    Cut,
    HeldSum,
    Microseconds,
    Position,
    ReportCredit,
    ReportEntry,
)


@dataclass(frozen=True, slots=True)
class LocationInfo:
    """A location's name, time zone and currency."""

    id: int
    name: str
    zone: ZoneInfo
    currency: str


@dataclass(frozen=True, slots=True)
class CreditHistory:
    """A credit, its position at the start of the view, and its entries since, in order.

    `before` is its newest entry before the start, `last_use` the time of its newest use before the start.
    """

    credit: ReportCredit
    opening: Position = NOTHING
    entries: list[ReportEntry] = field(default_factory=list)
    before: ReportEntry | None = None
    last_use: Microseconds | None = None

    def newest(self, entries_before: Microseconds) -> ReportEntry | None:
        """The newest entry of all before an instant, by sequence."""
        found = [entry for entry in self.entries if entry.at < entries_before]
        return max(found, key=lambda entry: entry.sequence) if found else self.before


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """The newest checkpoint: its number and its root."""

    number: int
    root: str


@dataclass(frozen=True, slots=True)
class JournalSummary:
    """How many entries the journals of a report's locations have, and the digest of their heads."""

    entries: int
    digest: str


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The credits of a request. `by_recording` is how entries are ordered (see `position_at`).

    `totals`, `aged`, `held` and `cohorts` replace histories where sums of groups are enough. `journal` summarises the
    locations' journals in a report about whole locations. `rooms` has the room of each paid booking; `notes` say which
    months of the period are closed. `findings` are exceptions that other records than the journal show.
    """

    request: ReportRequest
    locations: Mapping[int, LocationInfo]
    histories: list[CreditHistory]
    by_recording: bool
    checkpoint: CheckpointInfo | None = None
    rooms: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    totals: PeriodTotals | None = None
    aged: tuple[AgedAmount, ...] = ()
    held: tuple[HeldSum, ...] = ()
    cohorts: tuple[CohortSum, ...] = ()
    journal: JournalSummary | None = None
    findings: tuple[ExceptionFinding, ...] = ()

    @property
    def known_as_of(self) -> datetime:
        """The instant by which the report's entries were recorded."""
        request = self.request
        if request.as_known_at is not None:
            return request.as_known_at
        if request.ends is None or not self.locations:
            return request.now
        ends = max(end_cut(request.ends, each.zone, request.now).expired_by for each in self.locations.values())
        return min(request.now, from_epoch_microseconds(ends))

    def starts(self, credit: ReportCredit, moment: Moment | None) -> Cut:
        """The cut before a moment, on the clock of the credit's location."""
        return start_cut(moment, self._zone(credit))

    def ends(self, credit: ReportCredit, moment: Moment | None) -> Cut:
        """The cut after a moment, on the clock of the credit's location."""
        return end_cut(moment, self._zone(credit), self.request.now)

    def has_begun(self, history: CreditHistory) -> bool:
        """Whether the credit has an entry by the end of the period. Every credit has one by now."""
        last = self.ends(history.credit, self.request.ends).entries_before
        return self.request.ends is None or history.newest(last) is not None

    def position(self, history: CreditHistory, cut: Cut) -> Position:
        """What a credit holds at a cut that is not before the view's start."""
        return position_at(history.credit, history.opening, history.entries, cut, by_recording=self.by_recording)

    def movements(self, history: CreditHistory, start: Cut, end: Cut) -> Iterator[CreditMovement]:
        """The movements of a credit between two cuts."""
        return credit_movements(history.credit, self.position(history, start), history.entries, start, end)

    def report_locations(self) -> tuple[ReportLocation, ...]:
        """The locations of the report with the period by the clock of each, for the footer."""
        request = self.request
        shown = {history.credit.business_id for history in self.histories}
        return tuple(
            ReportLocation(
                each.id,
                each.name,
                each.zone.key,
                _instant(start_cut(request.starts, each.zone)),
                _instant(end_cut(request.ends, each.zone, request.now)),
            )
            for each in sorted(self.locations.values(), key=lambda each: each.id)
            if request.is_of_locations or each.id in shown
        )

    def _zone(self, credit: ReportCredit) -> ZoneInfo:
        return self.locations[credit.business_id].zone


def _instant(cut: Cut) -> datetime | None:
    if cut.entries_before in (BEGINNING, END_OF_TIME):
        return None
    return from_epoch_microseconds(cut.expired_by)
