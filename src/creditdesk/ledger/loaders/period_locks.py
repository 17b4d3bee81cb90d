"""The closed periods of locations, and the lines written into them later (rule 37)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.period_lock import PeriodLock
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey
from creditdesk.ledger.loaders.rows import TypedRow, find_filtered
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import Finder, ReadSession

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class PeriodLockRow(TypedRow, frozen=True, gc=False):
    """One closing or reopening; `closed_until` is None where it left nothing closed."""

    entity = PeriodLock

    business_id: int
    closed_until: datetime | None
    reason: str
    created_on: datetime
    updated_by: str | None


async def load_period_locks(finder: Finder, business_ids: Collection[int]) -> dict[int, list[PeriodLockRow]]:
    """Every closing and reopening of these locations, oldest first."""
    locks: dict[int, list[PeriodLockRow]] = {business_id: [] for business_id in business_ids}
    if business_ids:
        for row in await find_filtered(finder, PeriodLockRow, where(PeriodLock, BusinessId=tuple(business_ids))):
            locks[row.business_id].append(row)
    return locks


async def load_closed_until(finder: Finder, business_ids: Collection[int]) -> dict[int, datetime]:
    """Until when the periods of these locations are closed; open locations are left out."""
    locks = await load_period_locks(finder, business_ids)
    return {business_id: until for business_id, rows in locks.items() if rows and (until := rows[-1].closed_until)}


async def load_location_id(session: ReadSession, account: AccountKey) -> int | None:
    """The location of a credit; None where there is no such credit."""
    entity = MAPPINGS[account[0]].credit_entity
    found = await session.find(entity, where(entity, Id=account[1]), columns=("Id", "BusinessId"))
    return found[0]["BusinessId"] if found else None


async def find_late_lines(session: ReadSession, business_id: int) -> list[Record]:
    """The journal lines that were written into a closed period of a location after it was closed, by Id."""
    recorded, effective = (JournalLine.meta().columns[name] for name in ("RecordedOn", "EffectiveOn"))
    found: list[int] = []
    locks = (await load_period_locks(session, [business_id]))[business_id]
    for closed_until, since, until in _closed_spans(locks):
        within = (
            *where(JournalLine, BusinessId=business_id),
            Filter(recorded, Comparison.BETWEEN, (since, until)),
            Filter(effective, Comparison.BETWEEN, (_EARLIEST, closed_until)),
        )
        found += [line_id for (line_id,) in await session.find_listed(JournalLine, "backdated", ("Id",), within)]
    return await session.find(JournalLine, where(JournalLine, Id=found)) if found else []


def _closed_spans(locks: Sequence[PeriodLockRow]) -> Iterator[tuple[datetime, datetime, datetime]]:
    """The spans of recording time in which a location was closed, each with the end of the closed period."""
    closings: list[tuple[datetime, datetime]] = []
    for lock in locks:
        if lock.closed_until is not None and (not closings or lock.closed_until > closings[-1][0]):
            closings.append((lock.closed_until, lock.created_on))
    following = pairwise([*closings, (_LATEST, _LATEST)])
    return ((closed_until, since, until) for (closed_until, since), (_, until) in following)
