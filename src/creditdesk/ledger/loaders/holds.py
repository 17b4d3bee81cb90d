"""Holds: credit that is reserved for a source (rule 26)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.states import HoldState
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey
from creditdesk.ledger.journal.values import ReservedAmount
from creditdesk.ledger.loaders.rows import (
    AccountRow,
    TypedRow,
    columns_of,
    find_filtered,
    find_rows,
    lock_rows,
    to_row,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKey, SourceKind
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import Finder, ReadSession, WriteSession


class HoldRow(AccountRow, frozen=True, gc=False):
    """A part of one credit that is reserved for one source.

    `amount` is in ten-thousandths also for uses; `covered` in those of the source's currency.
    """

    entity = Hold

    business_id: int
    coworker_id: int | None
    group: int
    amount: Amount
    covered: Amount
    source_kind: SourceKind
    source_id: int
    until: datetime | None
    state: HoldState
    allocation_id: int | None

    @property
    def source(self) -> SourceKey:
        return SourceKey(self.source_kind, self.source_id)

    @property
    def held_amount(self) -> Amount:
        """The amount in the credit's smallest unit."""
        return self.amount // MAPPINGS[self.credit_kind].scale

    @property
    def is_held(self) -> bool:
        return self.state is HoldState.HELD

    @property
    def as_reserved(self) -> ReservedAmount:
        """The hold as the journal releases it."""
        return ReservedAmount(
            self.id,
            self.held_amount,
            self.source_kind.value,
            self.source_id,
            self.until,
            self.allocation_id,
        )

    def has_ended(self, now: datetime) -> bool:
        """Whether it has timed out: it then reserves nothing, even before its release is written (rule 26)."""
        return self.until is not None and self.until <= now


class _HoldKeyRow(TypedRow, frozen=True, gc=False):
    entity = Hold

    source_kind: SourceKind
    source_id: int


class _HoldGroupRow(TypedRow, frozen=True, gc=False):
    entity = Hold

    group: int


async def find_holds(finder: Finder, sources: Collection[SourceKey]) -> dict[int, SourceKey]:
    """The source of each hold that `lock_holds` is to lock, by hold id.

    Holds on passes are left out: one kind of pass is sold to many, so they are not this buyer's.
    """
    wanted = {source for source in sources if source.kind is not SourceKind.TIME_PASS}
    if not wanted:
        return {}
    found = await find_rows(
        finder,
        _HoldKeyRow,
        SourceId={source.id for source in wanted},
        SourceKind={source.kind.value for source in wanted},
        State=HoldState.HELD.value,
    )
    keys = {hold.id: SourceKey(hold.source_kind, hold.source_id) for hold in found}
    return {hold_id: key for hold_id, key in keys.items() if key in wanted}


async def lock_holds(
    session: WriteSession, sources: Collection[SourceKey], found: Mapping[int, SourceKey]
) -> dict[SourceKey, list[HoldRow]]:
    """Locks the holds that `find_holds` found and returns those still held, by source."""
    held: dict[SourceKey, list[HoldRow]] = {source: [] for source in sources}
    for hold_id, hold in (await lock_rows(session, HoldRow, list(found))).items():
        if hold.is_held:
            held[found[hold_id]].append(hold)
    return held


async def lock_holds_of(session: WriteSession, sources: Collection[SourceKey]) -> dict[SourceKey, list[HoldRow]]:
    """Locks the holds on each source and returns those still held.

    Call it before prices are loaded, so that a confirmation has been counted or waits, and before
    caps and accounts are locked (rule 31: one order of locks).
    """
    return await lock_holds(session, sources, await find_holds(session, sources))


async def find_ended_holds(finder: Finder, accounts: Collection[AccountKey], now: datetime) -> list[HoldRow]:
    """The holds on these accounts that have ended at `now` without a release, by Id."""
    if not accounts:
        return []
    on_accounts = where(
        Hold,
        CreditKind={account_type.value for account_type, _ in accounts},
        CreditId={credit_id for _, credit_id in accounts},
    )
    found = await find_filtered(finder, HoldRow, (*due_hold_filters(now), *on_accounts))
    return [hold for hold in found if hold.account in accounts]


async def lock_ended_holds(session: WriteSession, accounts: Collection[AccountKey], now: datetime) -> list[HoldRow]:
    """Locks the holds of `find_ended_holds` and returns those still held.

    Holds come before accounts in the order of locks (rule 31), so this leaves out holds that another session
    has locked.
    """
    found = await find_ended_holds(session, accounts, now)
    if not found:
        return []
    ids = [hold.id for hold in found]
    locked = await session.lock(Hold, (), columns_of(HoldRow), skip_locked=ids)
    holds = [to_row(HoldRow, locked[hold_id]) for hold_id in sorted(locked)]
    return [hold for hold in holds if hold.is_held]


async def load_ended_amounts(
    finder: Finder, accounts: Collection[AccountKey], now: datetime
) -> dict[AccountKey, Amount]:
    """The amount of timed-out holds of each account, in the credit's smallest unit."""
    amounts: dict[AccountKey, Amount] = {}
    for hold in await find_ended_holds(finder, accounts, now):
        amounts[hold.account] = amounts.get(hold.account, 0) + hold.held_amount
    return amounts


async def lock_hold_groups(session: WriteSession, groups: Collection[int]) -> list[HoldRow]:
    """Locks all holds of groups and returns them by Id, whatever their state."""
    if not groups:
        return []
    found = await find_rows(session, _HoldGroupRow, Group=tuple(groups))
    return list((await lock_rows(session, HoldRow, [hold.id for hold in found])).values())


async def find_due_groups(session: ReadSession, now: datetime, limit: int) -> list[int]:
    """The groups of at most `limit` holds that have timed out at `now`."""
    found = await session.find(Hold, due_hold_filters(now), limit=limit, columns=("Id", "Group"))
    return sorted({hold["Group"] for hold in found})


def due_hold_filters(now: datetime) -> tuple[Filter, ...]:
    """The filters for holds that have timed out at `now`."""
    until = Filter(Hold.meta().columns["Until"], Comparison.AT_MOST, now)
    return (until, *where(Hold, State=HoldState.HELD.value))
