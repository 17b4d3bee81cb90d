"""The totals of a location at an instant: those stored at the end of a day, plus what moved since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.reports.credit_totals import GroupKey, RunningTotals, Totals
from creditdesk.reports.daily_totals import BEFORE_ALL, DayTotals, load_changed, load_day
from creditdesk.reports.journal_head import JournalHead, extend_head
from creditdesk.reports.journal_loader import (
    CreditJournal,
    Period,
    batches_of,
    changed_accounts,
    load_credit_journals,
    location_accounts,
    reassigned_accounts,
)
from creditdesk.reports.values import BEGINNING, Cut
from creditdesk.schema.repository import ReadSession

_LATEST: Final = 253_402_214_400_000_000
"""The end of the last year that a stored instant may have, in microseconds."""


async def load_location_totals(
    session: ReadSession, location_id: int, cuts: Iterable[Cut]
) -> dict[Cut, dict[GroupKey, Totals]]:
    """The totals of a location at each cut, in the groups that credits belong to at the last cut."""
    ordered = sorted({*cuts}, key=_position)
    newest = await load_day(session, location_id, _LATEST)
    if newest is BEFORE_ALL:
        bases = dict.fromkeys(ordered, BEFORE_ALL)
        batches = location_accounts(session, location_id)
    else:
        reassigned, deleted_since = await reassigned_accounts(session, newest.head.until)
        usable = newest.head.until if deleted_since is None else deleted_since
        bases = {cut: await load_day(session, location_id, min(_instant(cut), usable)) for cut in ordered}
        batches = _moved_accounts(session, location_id, bases, reassigned)
    found: dict[Cut, dict[GroupKey, Totals]] = {cut: defaultdict(Totals, bases[cut].groups) for cut in ordered}
    async for accounts in batches:
        for journal in await load_credit_journals(session, accounts):
            _add(found, journal, location_id, ordered, bases)
    return found


async def load_journal_head(session: ReadSession, location_id: int, cut: Cut) -> JournalHead:
    """The head of a location's journal at a cut."""
    if cut.entries_before == BEGINNING:
        return JournalHead()
    day = await load_day(session, location_id, _instant(cut))
    return await extend_head(session, location_id, day.head, cut.entries_before)


async def _moved_accounts(
    session: ReadSession, location_id: int, bases: Mapping[Cut, DayTotals], reassigned: AbstractSet[AccountKey]
) -> AsyncIterator[Sequence[AccountKey]]:
    """The accounts whose totals at a cut differ from those in its base, in batches."""
    periods = [
        Period(base.head.until, cut.entries_before, cut.expired_by)
        for cut, base in bases.items()
        if base.head.until < _instant(cut)
    ]
    changed = await load_changed(session, min(base.head.until for base in bases.values()))
    for batch in batches_of(await changed_accounts(session, location_id, periods) | changed | reassigned):
        yield batch


def _add(
    found: dict[Cut, dict[GroupKey, Totals]],
    journal: CreditJournal,
    location_id: int,
    ordered: Sequence[Cut],
    bases: Mapping[Cut, DayTotals],
) -> None:
    """Adds one credit, replacing its part in the bases."""
    running = RunningTotals(journal.credit, journal.entries)
    starts = {bases[cut].cut for cut in ordered if bases[cut] is not BEFORE_ALL}
    seen = {cut: running.at(cut) for cut in sorted({*ordered, *starts}, key=_position)}
    group = seen[ordered[-1]].group
    for cut in ordered:
        base = bases[cut]
        if base is not BEFORE_ALL:
            stored = seen[base.cut]
            if stored.group.business_id == location_id:
                found[cut][stored.group] -= stored.totals
        if group.business_id == location_id:
            found[cut][group] += seen[cut].totals


def _position(cut: Cut) -> tuple[int, int]:
    return cut.entries_before, cut.expired_by


def _instant(cut: Cut) -> int:
    """The latest instant whose stored totals a cut includes."""
    return min(cut.entries_before, cut.expired_by, _LATEST)
