"""Computes and stores the totals of days that have ended, and compares stored totals with the journal."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from creditdesk.entities.reports.daily_total import DailyTotal
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.entry import epoch_microseconds, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, load_location_clocks
from creditdesk.ledger.rules.calendar import local_date, start_of_day
from creditdesk.reports.credit_totals import NO_TOTALS, GroupKey, GroupTotals, RunningTotals, Totals, turning_points
from creditdesk.reports.daily_totals import BEFORE_ALL, DayTotals, day_values, days_after, load_day, load_days
from creditdesk.reports.journal_head import JournalHead, entry_digests
from creditdesk.reports.journal_loader import (
    CreditJournal,
    Period,
    batches_of,
    changed_accounts,
    first_entry_on,
    load_credit_journals,
    location_accounts,
    reassigned_accounts,
)
from creditdesk.reports.result import label
from creditdesk.reports.values import BEGINNING, END_OF_TIME, Cut, Microseconds
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, Store

_ACTOR: Final = "creditdesk"


async def store_daily_totals(store: Store, now: datetime) -> int:
    """Stores the totals of the days that have ended at each location; returns the number of days.

    Recomputes days that late entries or deletions made stale. Safe to repeat.
    """
    stored = 0
    for location_id, zone in (await store.read_detached(_locations)).items():
        stale, days = await store.read_detached(partial(_missing_days, location_id, zone, now))
        records = [new_record(DailyTotal, day_values(location_id, day), now, _ACTOR) for day in days]
        async with store.write_session() as session:
            await session.delete(DailyTotal, stale)
            await session.insert(DailyTotal, records)
        stored += len(records)
    return stored


async def find_stale_days(store: Store, now: datetime) -> list[str]:
    """The stored days that differ from the journal, such as `location 3 until 2026-10-01T00:00:00Z`.

    Leaves out days that late entries made invalid: no report uses them.
    """
    found = []
    for location_id in await store.read_detached(_locations):
        untils = await store.read_detached(partial(_differing_days, location_id, now))
        found += [
            label(f"location {location_id} until {from_epoch_microseconds(each):%Y-%m-%dT%H:%M:%SZ}") for each in untils
        ]
    return found


async def _locations(session: ReadSession) -> dict[int, ZoneInfo]:
    ids = [record["Id"] for record in await session.find(Business, columns=("Id",))]
    clocks = await load_location_clocks(session, ids)
    return {location_id: clocks.get(location_id, DEFAULT_CLOCK).zone for location_id in ids}


async def _missing_days(
    location_id: int, zone: ZoneInfo, now: datetime, session: ReadSession
) -> tuple[list[int], list[DayTotals]]:
    """The ids of stale days, and the days to store."""
    base = await load_day(session, location_id, epoch_microseconds(now))
    if base is not BEFORE_ALL:
        _, deleted_since = await reassigned_accounts(session, base.head.until)
        if deleted_since is not None:
            base = await load_day(session, location_id, min(deleted_since, base.head.until))
    stale = await days_after(session, location_id, base.head.until)
    untils = await _day_ends(session, location_id, base.head.until, zone, now)
    return stale, await _compute_days(session, location_id, base, untils) if untils else []


async def _differing_days(location_id: int, now: datetime, session: ReadSession) -> list[Microseconds]:
    newest = await load_day(session, location_id, epoch_microseconds(now))
    stored = [day for day in await load_days(session, location_id) if day.head.until <= newest.head.until]
    untils = [day.head.until for day in stored]
    true = {day.head.until: day for day in await _compute_days(session, location_id, BEFORE_ALL, untils)}
    return [day.head.until for day in stored if not _is_same(day, true.get(day.head.until))]


def _is_same(stored: DayTotals, computed: DayTotals | None) -> bool:
    if computed is None or stored.head != computed.head:
        return False
    return all(
        stored.groups.get(key, NO_TOTALS) == computed.groups.get(key, NO_TOTALS)
        for key in stored.groups.keys() | computed.groups.keys()
    )


async def _day_ends(
    session: ReadSession, location_id: int, since: Microseconds, zone: ZoneInfo, now: datetime
) -> list[Microseconds]:
    """The ends of a location's days from its first entry, or from an instant, until now."""
    if since == BEGINNING:
        first = await first_entry_on(session, location_id)
        if first is None:
            return []
        since = epoch_microseconds(first)
    day = local_date(from_epoch_microseconds(since), zone)
    ends = []
    while (end := start_of_day(day := day + timedelta(days=1), zone)) <= now:
        ends.append(epoch_microseconds(end))
    return [end for end in ends if end > since]


@dataclass(slots=True)
class _DayChanges:
    """How the totals of a location change from one day to the next, at the ends of days in `untils`."""

    location_id: int
    base: Cut
    untils: Sequence[Microseconds]
    totals: list[dict[GroupKey, Totals]] = field(init=False)
    changed: list[set[AccountKey]] = field(init=False)

    def __post_init__(self) -> None:
        self.totals = [defaultdict(Totals) for _ in self.untils]
        self.changed = [set() for _ in self.untils]

    def add(self, journal: CreditJournal) -> None:
        """Adds the changes of one credit."""
        running = RunningTotals(journal.credit, journal.entries)
        before = running.at(self.base)
        locations = {before.group.business_id}
        for position in self._positions(turning_points(journal.credit, journal.entries)):
            after = running.at(Cut(self.untils[position], self.untils[position]))
            self._move(position, before, after)
            locations.add(after.group.business_id)
            before = after
        if self.location_id not in locations:
            return
        for position in self._positions([entry.at + 1 for entry in journal.entries if entry.terms]):
            self.changed[position].add(journal.credit.account)

    def _positions(self, instants: Collection[Microseconds]) -> list[int]:
        """The positions in `untils` of the days in which the instants after the base fall."""
        found = {bisect_left(self.untils, instant) for instant in instants if instant > self.base.entries_before}
        return sorted(found - {len(self.untils)})

    def _move(self, position: int, before: GroupTotals, after: GroupTotals) -> None:
        totals = self.totals[position]
        if before.group.business_id == self.location_id:
            totals[before.group] -= before.totals
        if after.group.business_id == self.location_id:
            totals[after.group] += after.totals


async def _compute_days(
    session: ReadSession, location_id: int, base: DayTotals, untils: Sequence[Microseconds]
) -> list[DayTotals]:
    """The totals at the ends of days after `base`; days on which nothing changed are left out."""
    changes = _DayChanges(location_id, base.cut, untils)
    if untils:
        async for accounts in _accounts(session, location_id, base, untils[-1]):
            for journal in await load_credit_journals(session, accounts):
                changes.add(journal)
    heads = await _heads(session, location_id, base.head, untils)
    groups = dict(base.groups)
    days = []
    entries = base.head.entries
    for head, totals, changed in zip(heads, changes.totals, changes.changed, strict=True):
        moved = {key: each for key, each in totals.items() if each}
        if not moved and not changed and head.entries == entries:
            continue
        entries = head.entries
        for key, each in moved.items():
            groups[key] = groups.get(key, NO_TOTALS) + each
        days.append(DayTotals(head, dict(groups), frozenset(changed)))
    return days


async def _accounts(
    session: ReadSession, location_id: int, base: DayTotals, until: Microseconds
) -> AsyncIterator[Sequence[AccountKey]]:
    """The accounts whose totals may differ between the base and an instant."""
    if base is BEFORE_ALL:
        async for batch in location_accounts(session, location_id):
            yield batch
        return
    since = base.head.until
    reassigned, _ = await reassigned_accounts(session, since)
    changed = await changed_accounts(session, location_id, [Period(since, END_OF_TIME, until)])
    for batch in batches_of(changed | reassigned):
        yield batch


async def _heads(
    session: ReadSession, location_id: int, head: JournalHead, untils: Sequence[Microseconds]
) -> list[JournalHead]:
    """The head of the journal at the end of each day."""
    heads: list[JournalHead] = []
    async for at, digest in entry_digests(
        session, location_id, Period(head.until, untils[-1] if untils else head.until)
    ):
        while untils[len(heads)] <= at:
            heads.append(head._replace(until=untils[len(heads)]))
        head = head.following(digest, at)
    return heads + [head._replace(until=until) for until in untils[len(heads) :]]
