"""The stored totals of a location at the end of each of its days; reports add what was recorded since.

They are derived from the journal alone. Stored totals are valid only while the location has as many entries
before their instant as they were computed from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.reports.daily_total import DailyTotal
from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.loaders.rows import TypedRow, find_filtered
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.credit_totals import GroupKey, Totals
from creditdesk.reports.journal_head import JournalHead
from creditdesk.reports.journal_loader import Period, created_in
from creditdesk.reports.values import BEGINNING, Cut, Microseconds
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.repository import ReadSession, find_first

_COLUMNS: Final = ("Id", "Until", "Entries", "Head", "Totals")


class DayTotals(NamedTuple):
    """The head of a location's journal at the end of a day, and the totals of each group of credits."""

    head: JournalHead
    groups: Mapping[GroupKey, Totals]
    changed: frozenset[AccountKey] = frozenset()

    @property
    def cut(self) -> Cut:
        return Cut(self.head.until, self.head.until)


BEFORE_ALL: Final = DayTotals(JournalHead(), {})
"""Where nothing is stored."""


class _DayRow(TypedRow, frozen=True, gc=False):
    entity = DailyTotal

    until: datetime
    entries: int


async def load_day(session: ReadSession, location_id: int, until: Microseconds) -> DayTotals:
    """The newest valid totals of a location stored for `until` or earlier, or `BEFORE_ALL`."""
    filters = (*where(DailyTotal, BusinessId=location_id), *_until(Comparison.AT_MOST, until))
    newest_first = Order(DailyTotal.meta().columns["Until"], descending=True)
    found = await find_first(session, DailyTotal, filters, newest_first, columns=_COLUMNS)
    if found and not await _is_valid(session, location_id, found["Until"], found["Entries"]):
        valid = await _newest_valid(session, location_id, until)
        found = (
            None
            if valid is None
            else await find_first(session, DailyTotal, where(DailyTotal, Id=valid), columns=_COLUMNS)
        )
    return _from_record(location_id, found) if found else BEFORE_ALL


async def load_changed(session: ReadSession, since: Microseconds) -> set[AccountKey]:
    """The accounts of all locations whose terms changed on a stored day that ends after an instant."""
    has_changes = Filter(DailyTotal.meta().columns["Changed"], Comparison.NOT_NULL)
    after = () if since == BEGINNING else _until(Comparison.AT_LEAST, since)
    rows = await session.find(DailyTotal, (has_changes, *after), columns=("Id", "Changed"))
    return {(AccountType(kind), credit_id) for row in rows for kind, credit_id in json.loads(row["Changed"])}


async def days_after(session: ReadSession, location_id: int, until: Microseconds) -> list[int]:
    """The ids of the stored days that end after an instant."""
    after = () if until == BEGINNING else _until(Comparison.AT_LEAST, until + 1)
    filters = (*where(DailyTotal, BusinessId=location_id), *after)
    return [row.id for row in await find_filtered(session, _DayRow, filters)]


def day_values(location_id: int, day: DayTotals) -> dict[str, Any]:
    """The stored values of a day."""
    totals = {
        f"{key.account_type}/{key.rate_id}/{key.funding}": each.values for key, each in day.groups.items() if each
    }
    changed = sorted((kind.value, credit_id) for kind, credit_id in day.changed)
    return {
        "BusinessId": location_id,
        "Until": from_epoch_microseconds(day.head.until),
        "Entries": day.head.entries,
        "Head": day.head.digest.hex(),
        "Totals": totals,
        "Changed": json.dumps(changed) if changed else None,
    }


async def load_days(session: ReadSession, location_id: int) -> list[DayTotals]:
    """Every stored day of a location in order, without the changed accounts."""
    rows = await session.find(DailyTotal, where(DailyTotal, BusinessId=location_id), columns=_COLUMNS)
    return sorted((_from_record(location_id, row) for row in rows), key=lambda day: day.head.until)


async def _newest_valid(session: ReadSession, location_id: int, until: Microseconds) -> int | None:
    """The id of the newest valid day by bisection: a late entry invalidates each day after it."""
    filters = (*where(DailyTotal, BusinessId=location_id), *_until(Comparison.AT_MOST, until))
    days = sorted(await find_filtered(session, _DayRow, filters), key=lambda row: row.until)
    low, high = 0, len(days)
    while low < high:
        middle = (low + high) // 2
        if await _is_valid(session, location_id, days[middle].until, days[middle].entries):
            low = middle + 1
        else:
            high = middle
    return days[low - 1].id if low else None


async def _is_valid(session: ReadSession, location_id: int, until: datetime, entries: int) -> bool:
    before = created_in(Period(BEGINNING, epoch_microseconds(until)))
    return await session.count(JournalLine, (*where(JournalLine, BusinessId=location_id), *before)) == entries


def _until(comparison: Comparison, instant: Microseconds) -> tuple[Filter, ...]:
    return (Filter(DailyTotal.meta().columns["Until"], comparison, from_epoch_microseconds(instant)),)


def _from_record(location_id: int, record: Mapping[str, Any]) -> DayTotals:
    head = JournalHead(epoch_microseconds(record["Until"]), record["Entries"], bytes.fromhex(record["Head"]))
    groups = {}
    for name, values in record["Totals"].items():
        kind, rate_id, funding = name.split("/")
        key = GroupKey(location_id, AccountType(kind), int(rate_id), FundingKind(funding))
        groups[key] = Totals(tuple(values))
    return DayTotals(head, groups)
