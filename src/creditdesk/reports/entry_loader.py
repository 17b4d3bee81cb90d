"""Loads the journal entries of a report: those of its period, and what each credit held before it.

A report about locations reads the newest entry of each credit before the period by an index, then only the
entries of the period. A report about one customer or credit, or one that orders entries by when they take
effect, reads the whole journals of its credits.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import AccountType, EntryType, epoch_microseconds, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, entry_types
from creditdesk.reports.ledger_view import LocationInfo
from creditdesk.reports.periods import end_cut, start_cut
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.values import BEGINNING, END_OF_TIME, NO_TERMS, Cut, Microseconds, ReportEntry, WindowChange
from creditdesk.schema.batches import find_batches
from creditdesk.schema.conversions import parse_datetime
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession

ENTRY_BATCH_SIZE: Final = 5000
_CREDITS_PER_LOAD: Final = 500
"""So few that their entries rarely exceed one batch."""

REPORT_ENTRY_COLUMNS: Final = (
    "Id", "BusinessId", "CoworkerId", "CreditKind", "CreditId", "Sequence", "Kind", "Amount", "BalanceAfter",
    "HeldAfter", "TotalAfter", "SourceKind", "SourceId", "Reverses", "Actor", "Reason", "EffectiveOn", "RecordedOn",
    "Override", "MemberId", "Digest", "Cause", "Document",
)  # fmt: skip
_NAMES_LAST_USE: Final = frozenset({"liability", "utilisation"})
"""The reports that show the last use of each credit."""


@dataclass(frozen=True, slots=True)
class EntryScope:
    """Which entries: those of locations, of a customer's credits (also deleted ones), or of one credit.

    `chosen` limits the credits of the locations.
    """

    locations: tuple[int, ...]
    account_types: tuple[AccountType, ...]
    customer: int | None = None
    account: AccountKey | None = None
    chosen: frozenset[AccountKey] | None = None


@dataclass(slots=True)
class LoadedEntries:
    """The entries of each credit since the start in order, its newest entry before, and its newest use before."""

    entries: dict[AccountKey, list[ReportEntry]] = field(default_factory=dict)
    before: dict[AccountKey, ReportEntry] = field(default_factory=dict)
    last_uses: dict[AccountKey, ReportEntry] = field(default_factory=dict)

    @property
    def accounts(self) -> set[AccountKey]:
        return self.entries.keys() | self.before.keys()


async def load_period(
    session: ReadSession, request: ReportRequest, scope: EntryScope, locations: Mapping[int, LocationInfo]
) -> LoadedEntries:
    """The entries recorded in the period at the scope's locations, on the clock of each.

    Without a start, loads only the newest entries at the end.
    """
    loaded = LoadedEntries()
    found: dict[AccountKey, list[ReportEntry]] = defaultdict(list)
    for (start, end), business_ids in _periods(request, locations).items():
        at_locations = _at_locations(scope, business_ids)
        opening = end if start.entries_before == BEGINNING else start
        until = tuple(_recorded_before(opening))
        newest = await _latest(session, until, at_locations)
        loaded.before |= {entry.account: entry for entry in newest}
        if request.name in _NAMES_LAST_USE:
            loaded.last_uses |= await _last_uses(session, until, newest)
        if opening is start:
            period = (*at_locations, *_recorded_before(end), _recorded_from(start))
            async for entry in _entries(session, period, by_effect=False):
                found[entry.account].append(entry)
    for entries in found.values():
        entries.sort(key=lambda entry: entry.sequence)
    loaded.entries = dict(found)
    return loaded


async def _last_uses(
    session: ReadSession, until: tuple[Filter, ...], newest: Iterable[ReportEntry]
) -> dict[AccountKey, ReportEntry]:
    """The newest use of each credit that holds something."""
    found: dict[AccountKey, ReportEntry] = {}
    others: dict[AccountType, list[int]] = defaultdict(list)
    for entry in newest:
        if entry.kind is EntryType.USE:
            found[entry.account] = entry
        elif entry.balance_after or entry.held_after:
            others[entry.account[0]].append(entry.account[1])
    for account_type, ids in others.items():
        uses = where(JournalLine, CreditKind=account_type.value, CreditId=ids, Kind=EntryType.USE.value)
        found |= {entry.account: entry for entry in await _latest(session, (*uses, *until))}
    return found


async def load_journals(
    session: ReadSession,
    request: ReportRequest,
    scope: EntryScope,
    locations: Mapping[int, LocationInfo],
    accounts: Iterable[AccountKey],
) -> LoadedEntries:
    """The whole journals of a scope up to the end of the period, or as known at an instant."""
    by_effect = request.as_known_at is not None
    found: dict[AccountKey, dict[int, ReportEntry]] = defaultdict(dict)
    until = tuple(_known(request, locations))
    for filters in _journal_filters(scope, accounts):
        async for entry in _entries(session, (*filters, *until), by_effect=by_effect):
            found[entry.account][entry.id] = entry
    order = _by_effect if by_effect else _by_sequence
    return LoadedEntries({account: sorted(entries.values(), key=order) for account, entries in found.items()})


def _by_sequence(entry: ReportEntry) -> tuple[int, int]:
    return entry.sequence, 0


def _by_effect(entry: ReportEntry) -> tuple[int, int]:
    return entry.at, entry.sequence


def _periods(request: ReportRequest, locations: Mapping[int, LocationInfo]) -> dict[tuple[Cut, Cut], list[int]]:
    """The locations by the cuts of the period on their clocks; most locations share a clock."""
    found: dict[tuple[Cut, Cut], list[int]] = defaultdict(list)
    for each in locations.values():
        cuts = (start_cut(request.starts, each.zone), end_cut(request.ends, each.zone, request.now))
        found[cuts].append(each.id)
    return found


def _at_locations(scope: EntryScope, business_ids: list[int]) -> tuple[Filter, ...]:
    values: dict[str, object] = {"BusinessId": business_ids}
    if len(scope.account_types) == 1:
        values["CreditKind"] = scope.account_types[0].value
    return where(JournalLine, **values)


def _recorded_before(cut: Cut) -> Iterator[Filter]:
    if cut.entries_before != END_OF_TIME:
        last = from_epoch_microseconds(cut.entries_before - 1)
        yield Filter(JournalLine.meta().columns["RecordedOn"], Comparison.AT_MOST, last)


def _recorded_from(cut: Cut) -> Filter:
    first = from_epoch_microseconds(cut.entries_before)
    return Filter(JournalLine.meta().columns["RecordedOn"], Comparison.AT_LEAST, first)


def _known(request: ReportRequest, locations: Mapping[int, LocationInfo]) -> Iterator[Filter]:
    recorded = JournalLine.meta().columns["RecordedOn"]
    if request.as_known_at is not None:
        yield Filter(recorded, Comparison.AT_MOST, request.as_known_at)
    elif request.ends is not None and locations:
        last = max(end_cut(request.ends, each.zone, request.now).entries_before for each in locations.values())
        yield Filter(recorded, Comparison.AT_MOST, from_epoch_microseconds(last))


def _journal_filters(scope: EntryScope, accounts: Iterable[AccountKey]) -> Iterator[tuple[Filter, ...]]:
    if scope.account is not None:
        yield where(JournalLine, CreditKind=scope.account[0].value, CreditId=scope.account[1])
    elif scope.customer is not None:
        for account_type in scope.account_types:
            if ids := [credit_id for kind, credit_id in accounts if kind is account_type]:
                yield where(JournalLine, CreditKind=account_type.value, CreditId=ids)
        yield where(JournalLine, CoworkerId=scope.customer, BusinessId=scope.locations or (0,))
    elif scope.chosen is not None:
        for account_type in scope.account_types:
            ids = sorted(credit_id for kind, credit_id in scope.chosen if kind is account_type)
            for first in range(0, len(ids), _CREDITS_PER_LOAD):
                part = ids[first : first + _CREDITS_PER_LOAD]
                of_locations = {"BusinessId": scope.locations or (0,)}
                yield where(JournalLine, CreditKind=account_type.value, CreditId=part, **of_locations)
    else:
        yield where(JournalLine, BusinessId=scope.locations or (0,))


async def _latest(
    session: ReadSession, filters: tuple[Filter, ...], keep: tuple[Filter, ...] = ()
) -> list[ReportEntry]:
    """The newest matching entry of each credit; recorded time never runs backwards within a credit (rule 4)."""
    group = ("CreditKind", "CreditId")
    found = await session.find_latest(JournalLine, group, "Sequence", filters, keep=keep, columns=REPORT_ENTRY_COLUMNS)
    return [report_entry(record, by_effect=False) for record in found]


async def _entries(session: ReadSession, filters: tuple[Filter, ...], *, by_effect: bool) -> AsyncIterator[ReportEntry]:
    async for batch in find_batches(session, JournalLine, ENTRY_BATCH_SIZE, REPORT_ENTRY_COLUMNS, filters):
        for record in batch:
            yield report_entry(record, by_effect=by_effect)


def report_entry(record: Mapping[str, Any], *, by_effect: bool) -> ReportEntry:
    """The entry of a record with `REPORT_ENTRY_COLUMNS`; with `by_effect` it is ordered by when it takes effect."""
    account_type, kind = entry_types(record)
    scale = MAPPINGS[account_type].scale
    terms = json.loads(record["Document"] or "{}") if kind is EntryType.CHANGE else NO_TERMS
    recorded, effective = epoch_microseconds(record["RecordedOn"]), epoch_microseconds(record["EffectiveOn"])
    return ReportEntry(
        id=record["Id"],
        account=(account_type, record["CreditId"]),
        sequence=record["Sequence"],
        kind=kind,
        amount=record["Amount"] // scale,
        balance_after=record["BalanceAfter"] // scale,
        held_after=record["HeldAfter"] // scale,
        total_after=record["TotalAfter"] // scale,
        at=effective if by_effect else recorded,
        recorded=recorded,
        effective=effective,
        business_id=record["BusinessId"],
        customer_id=record["CoworkerId"],
        member_id=record["MemberId"],
        source_kind=record["SourceKind"],
        source_id=record["SourceId"],
        reverses=record["Reverses"],
        actor=record["Actor"],
        reason=record["Reason"],
        override=record["Override"],
        digest=record["Digest"],
        cause=Cause(record["Cause"]),
        window=_window(terms) if terms else None,
        terms=terms,
    )


def _window(terms: Mapping[str, tuple[str | None, str | None]]) -> WindowChange | None:
    """The change of the expiry among changed terms; None if the expiry did not change."""
    changed = terms.get("ExpireDate")
    return None if changed is None else WindowChange(*map(_instant, changed))


def _instant(text: str | None) -> Microseconds | None:
    return epoch_microseconds(parse_datetime(text)[0]) if text else None
