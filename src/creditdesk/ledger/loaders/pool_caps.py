"""The caps on the pools that customers may draw on, and what each customer drew (rule 16).

Loads for any number of customers in a constant number of statements. A session that spends locks
the caps until it ends, so that the spends of one member are decided one after another, even over
different credits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from msgspec import structs

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.enums import PoolCreditType
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, account_key
from creditdesk.ledger.loaders.holds import HoldRow
from creditdesk.ledger.loaders.locations import (
    DEFAULT_CLOCK,
    LocationClock,
    load_location_clocks,
)
from creditdesk.ledger.loaders.payers import Payers
from creditdesk.ledger.loaders.rows import (
    AccountRow,
    Flag,
    TypedRow,
    find_by_id,
    find_filtered,
    find_rows,
    lock_rows,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit, CreditType, Pool
from creditdesk.ledger.rules.pool_caps import CapPeriod, MemberCap, PoolDraw, period_start
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession, WriteSession

CREDIT_TYPES: Final[Mapping[int, CreditType]] = {
    PoolCreditType.Money: CreditType.MONEY,
    PoolCreditType.Time: CreditType.TIME,
    PoolCreditType.Printing: CreditType.PRINTING,
}


class _CapRow(TypedRow, frozen=True, gc=False):
    entity = PoolCap

    team_id: int
    credit_kind: int
    period: CapPeriod
    amount: Amount


class _LocatedCap(_CapRow, frozen=True, gc=False):
    team_business_id: int | None


class _UseRow(AccountRow, frozen=True, gc=False):
    """A use of a credit that is not the member's own."""

    entity = JournalLine

    member_id: int
    sequence: int
    source_kind: str | None
    source_id: int | None
    amount: Amount
    recorded_on: datetime


class _ReversalRow(AccountRow, frozen=True, gc=False):
    entity = JournalLine

    reverses: int
    amount: Amount


class _MoneyPoolRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerBookingCredit

    coworker_id: int
    business_currency_code: str | None

    def to_pool(self) -> _CreditPool:
        return _CreditPool(self.coworker_id, CreditType.MONEY, self.business_currency_code or "")


class _TimePoolRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerExtraService

    coworker_id: int
    extra_service_is_printing_credit: Flag

    def to_pool(self) -> _CreditPool:
        is_printing = self.extra_service_is_printing_credit
        return _CreditPool(self.coworker_id, CreditType.PRINTING if is_printing else CreditType.TIME, "")


@dataclass(frozen=True, slots=True)
class PoolMember:
    """A customer who is to draw on some of the credits that may pay for it.

    Its uses for `excluded_sources` (kind and id) do not count toward a cap.
    """

    payers: Payers
    credits: Sequence[Credit]
    now: datetime
    excluded_sources: Collection[tuple[str, int]] = ()

    @property
    def id(self) -> int:
        return self.payers.owner.id

    @property
    def pools(self) -> set[Pool]:
        """The pools of these credits that the customer's teams share with it."""
        reached = {credit.pool for credit in self.credits} - {None}
        return {pool for pool in reached if pool and self._shares(pool)}

    def _shares(self, pool: Pool) -> bool:
        team = self.payers.owner.team(pool.team_id)
        return team is not None and team.shares(pool.kind)


@dataclass(frozen=True, slots=True)
class _CreditPool:
    """The pool that a credit belongs to; its team depends on the member that draws.

    Money of another currency is another pool; of time and printing the currency is blank.
    """

    customer_id: int
    credit_type: CreditType
    currency: str

    def as_reached_by(self, payers: Payers) -> Pool | None:
        team_id = payers.team_by_payer.get(self.customer_id)
        return None if team_id is None else Pool(team_id, self.credit_type, self.currency)


@dataclass(frozen=True, slots=True)
class _MemberUse:
    """What a member took from one credit, for which source."""

    account: AccountKey
    source: tuple[str | None, int | None]
    draw: PoolDraw


@dataclass(frozen=True, slots=True)
class _MemberUsage:
    """What members took: uses and holds by member, and the pool of each credit involved."""

    uses: Mapping[int, Sequence[_MemberUse]]
    holds: Mapping[int, Sequence[HoldRow]]
    pools: Mapping[AccountKey, _CreditPool]


async def load_caps(
    session: ReadSession, members: Sequence[PoolMember], *, lock_in: WriteSession | None = None
) -> list[tuple[MemberCap, ...]]:
    """The caps that apply to each member, with what it drew.

    Locks the caps in the session `lock_in`, if given. Needs no statement if nothing is shared, and one if no
    team has a cap.
    """
    pools = [member.pools for member in members]
    teams = {pool.team_id for of_member in pools for pool in of_member}
    declared = await _load_cap_rows(session, teams, lock_in) if teams else []
    clocks = await load_location_clocks(session, {cap.team_business_id for cap in declared})
    caps = [[*_caps_over(of_member, declared, clocks)] for of_member in pools]
    if not any(caps):
        return [()] * len(members)
    since = min(
        period_start(cap.period, member.now, cap.zone)
        for member, of_member in zip(members, caps, strict=True)
        for cap in of_member
    )
    capped = [member for member, of_member in zip(members, caps, strict=True) if of_member]
    usage = await _load_usage(session, capped, since)
    return [
        tuple(_with_usage(cap, member, usage) for cap in of_member)
        for member, of_member in zip(members, caps, strict=True)
    ]


async def _load_cap_rows(session: ReadSession, teams: set[int], lock_in: WriteSession | None) -> list[_LocatedCap]:
    """The caps of teams, by Id; locked before any use is read, so that no earlier use is missed."""
    found = await find_rows(session, _LocatedCap, TeamId=teams)
    if lock_in is None or not found:
        return found
    locked = await lock_rows(lock_in, _CapRow, [cap.id for cap in found])
    return [structs.replace(cap, **structs.asdict(locked[cap.id])) for cap in found if cap.id in locked]


def _caps_over(
    pools: set[Pool], caps: Iterable[_LocatedCap], clocks: Mapping[int, LocationClock]
) -> Iterable[MemberCap]:
    """The caps over these pools, before anything is drawn."""
    for cap in caps:
        for pool in sorted(pools):
            if (pool.team_id, pool.kind) == (cap.team_id, CREDIT_TYPES[cap.credit_kind]):
                zone = clocks.get(cap.team_business_id or 0, DEFAULT_CLOCK).zone
                yield MemberCap(pool, _smallest_units(cap.amount, pool.kind), cap.period, zone)


async def _load_usage(session: ReadSession, members: Sequence[PoolMember], since: datetime) -> _MemberUsage:
    ids = {member.id for member in members}
    # Holds first: one that becomes uses in between is counted twice rather than not at all.
    found = await find_rows(session, HoldRow, CoworkerId=ids, State="held")
    holds: dict[int, list[HoldRow]] = {}
    for hold in found:
        holds.setdefault(hold.coworker_id or 0, []).append(hold)
    uses = await _load_uses(session, ids, since)
    pools = {
        account_key(credit.key): _CreditPool(
            credit.customer_id,
            credit.kind,
            credit.currency if credit.kind is CreditType.MONEY else "",
        )
        for member in members
        for credit in member.credits
    }
    accounts = {use.account for of_member in uses.values() for use in of_member}
    accounts |= {hold.account for hold in found}
    others = await _load_credit_pools(session, accounts - pools.keys())
    return _MemberUsage(uses, holds, pools | others)


def _with_usage(cap: MemberCap, member: PoolMember, usage: _MemberUsage) -> MemberCap:
    def is_in_pool(account: AccountKey) -> bool:
        pool = usage.pools.get(account)
        return pool is not None and pool.as_reached_by(member.payers) == cap.pool

    draws = tuple(
        use.draw
        for use in usage.uses.get(member.id, ())
        if is_in_pool(use.account) and use.source not in member.excluded_sources
    )
    held = {
        hold.id: _smallest_units(hold.amount, cap.pool.kind)
        for hold in usage.holds.get(member.id, ())
        if is_in_pool(hold.account) and not hold.has_ended(member.now)
    }
    return replace(cap, draws=draws, held=held)


async def _load_uses(session: ReadSession, members: set[int], since: datetime) -> dict[int, list[_MemberUse]]:
    """By member, the uses of others' credits recorded since then, less what was reversed."""
    recorded = Filter(JournalLine.meta().columns["RecordedOn"], Comparison.AT_LEAST, since)
    by_members = where(JournalLine, MemberId=members, Kind=EntryType.USE.value)
    uses = await find_filtered(session, _UseRow, (*by_members, recorded))
    if not uses:
        return {}
    on_credits = where(
        JournalLine,
        CreditKind={use.credit_kind.value for use in uses},
        CreditId={use.credit_id for use in uses},
        Kind=EntryType.REVERSAL.value,
    )
    returned: dict[tuple[AccountKey, int], Amount] = {}
    for reversal in await find_filtered(session, _ReversalRow, (*on_credits, recorded)):
        use_key = (reversal.account, reversal.reverses)
        returned[use_key] = returned.get(use_key, 0) + reversal.amount
    by_member: dict[int, list[_MemberUse]] = {}
    for use in uses:
        kept = use.amount - returned.get((use.account, use.sequence), 0)
        draw = PoolDraw(use.recorded_on, kept // MAPPINGS[use.credit_kind].scale)
        member_use = _MemberUse(use.account, (use.source_kind, use.source_id), draw)
        by_member.setdefault(use.member_id, []).append(member_use)
    return by_member


async def _load_credit_pools(session: ReadSession, accounts: Collection[AccountKey]) -> dict[AccountKey, _CreditPool]:
    """The pools of credits, including those that the caller does not see: uses of them count too."""
    rows: dict[AccountType, Mapping[int, _MoneyPoolRow] | Mapping[int, _TimePoolRow]] = {
        AccountType.MONEY: await find_by_id(session, _MoneyPoolRow, _ids(accounts, AccountType.MONEY)),
        AccountType.TIME: await find_by_id(session, _TimePoolRow, _ids(accounts, AccountType.TIME)),
    }
    return {
        (account_type, credit_id): row.to_pool()
        for account_type, found in rows.items()
        for credit_id, row in found.items()
    }


def _ids(accounts: Iterable[AccountKey], account_type: AccountType) -> set[int]:
    return {credit_id for kind, credit_id in accounts if kind is account_type}


def _smallest_units(scaled: int, credit_type: CreditType) -> Amount:
    """A stored amount in the type's smallest unit; of uses only whole ones count."""
    is_money = credit_type is CreditType.MONEY
    return scaled // MAPPINGS[AccountType.MONEY if is_money else AccountType.TIME].scale
