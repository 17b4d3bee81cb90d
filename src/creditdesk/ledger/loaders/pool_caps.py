"""The caps on the pools that customers reach, and what each has drawn from them (rule 16).

Reads records into the values of `pools`, for many customers at once in a constant number of
statements. In a unit the caps stay locked until it ends, so that one member's spends decide one
after another, even over different credits. This module must not decide who pays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from creditdesk.entities.enums import PoolCreditType
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    MONEY_MAPPING,
    TIME_MAPPING,
    AccountKey,
    account_key,
    where,
)
from creditdesk.ledger.loaders.payers import Payers
from creditdesk.ledger.loaders.use_references import LocationClock, load_location_clocks
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit, CreditType, Pool
from creditdesk.ledger.rules.pool_caps import CapPeriod, MemberCap, PoolDraw, period_start
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession, WriteSession

CREDIT_TYPES: Final[Mapping[int, CreditType]] = {
    PoolCreditType.Money: CreditType.MONEY,
    PoolCreditType.Time: CreditType.TIME,
    PoolCreditType.Printing: CreditType.PRINTING,
}
_CAP_COLUMNS: Final = ("Id", "TeamId", "CreditKind", "Period", "Amount")
_HOLD_COLUMNS: Final = ("Id", "CoworkerId", "CreditKind", "CreditId", "Amount")
_USE_COLUMNS: Final = (
    "MemberId", "CreditKind", "CreditId", "Sequence", "SourceKind", "SourceId", "Amount",
    "RecordedOn",
)  # fmt: skip
_REVERSAL_COLUMNS: Final = ("CreditKind", "CreditId", "Reverses", "Amount")


@dataclass(frozen=True, slots=True)
class PoolMember:
    """A customer who is to draw on some of the credits it reaches.

    Its draws for the sources in `unpaid` (kind and id) do not count.
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
        """The pools of these credits that its teams share with it."""
        reached = {credit.pool for credit in self.credits} - {None}
        return {pool for pool in reached if pool and self._shares(pool)}

    def _shares(self, pool: Pool) -> bool:
        team = self.payers.owner.team(pool.team_id)
        return team is not None and team.shares(pool.kind)


@dataclass(frozen=True, slots=True)
class _CreditPool:
    """Of which pool a credit is, whichever team it is reached through."""

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
    """What members have of pools: by member the uses and the holds, and each credit's lot."""

    uses: Mapping[int, Sequence[_MemberUse]]
    holds: Mapping[int, Sequence[Record]]
    pools: Mapping[AccountKey, _CreditPool]


async def load_caps(
    session: ReadSession, members: Sequence[PoolMember], *, lock_in: WriteSession | None = None
) -> list[tuple[MemberCap, ...]]:
    """The caps that hold for each member over its credits, with what it has drawn.

    A unit that is to draw locks them. One statement where no team has a cap, none where nothing
    is shared.
    """
    pools = [member.pools for member in members]
    teams = {pool.team_id for of in pools for pool in of}
    declared = await _load_cap_records(session, teams, lock_in) if teams else []
    clocks = await load_location_clocks(session, {cap["TeamBusinessId"] for cap in declared})
    caps = [[*_caps_over(of, declared, clocks)] for of in pools]
    if not any(caps):
        return [()] * len(members)
    since = min(
        period_start(cap.period, member.now, cap.zone)
        for member, of in zip(members, caps, strict=True)
        for cap in of
    )
    capped = [member for member, of in zip(members, caps, strict=True) if of]
    taken = await _load_usage(session, capped, since)
    return [
        tuple(_with_usage(cap, member, taken) for cap in of)
        for member, of in zip(members, caps, strict=True)
    ]


async def _load_cap_records(
    session: ReadSession, teams: set[int], lock_in: WriteSession | None
) -> list[Record]:
    """The caps of teams, by Id. Locked before anything drawn is read: who holds the lock sees all
    that came before.
    """
    named = where(PoolCap, TeamId=teams)
    found = await session.find(PoolCap, named, columns=(*_CAP_COLUMNS, "TeamBusinessId"))
    if lock_in is None or not found:
        return found
    locked = await lock_in.lock(PoolCap, [cap["Id"] for cap in found], _CAP_COLUMNS)
    return [cap | locked[cap["Id"]] for cap in found if cap["Id"] in locked]


def _caps_over(
    pools: set[Pool], caps: Iterable[Record], clocks: Mapping[int, LocationClock]
) -> Iterable[MemberCap]:
    """The caps over these pools, before anything is drawn."""
    for cap in caps:
        for pool in sorted(pools):
            if (pool.team_id, pool.kind) == (cap["TeamId"], CREDIT_TYPES[cap["CreditKind"]]):
                zone = clocks.get(cap["TeamBusinessId"], LocationClock()).zone
                period = CapPeriod(cap["Period"])
                yield MemberCap(pool, _smallest_units(cap["Amount"], pool.kind), period, zone)


async def _load_usage(
    session: ReadSession, members: Sequence[PoolMember], since: datetime
) -> _MemberUsage:
    ids = {member.id for member in members}
    # Holds come first: one that turns into uses meanwhile is counted twice rather than not at all.
    found = await session.find(
        Hold, where(Hold, CoworkerId=ids, State="held"), columns=_HOLD_COLUMNS
    )
    holds: dict[int, list[Record]] = {}
    for hold in found:
        holds.setdefault(hold["CoworkerId"], []).append(hold)
    drawn = await _load_uses(session, ids, since)
    lots = {
        account_key(credit.key): _credit_pool(credit.customer_id, credit.kind, credit.currency)
        for member in members
        for credit in member.credits
    }
    accounts = {each.account for of in drawn.values() for each in of}
    accounts |= {_account_of(hold) for hold in found}
    return _MemberUsage(
        drawn, holds, lots | await _load_credit_pools(session, accounts - lots.keys())
    )


def _with_usage(cap: MemberCap, member: PoolMember, usage: _MemberUsage) -> MemberCap:
    def is_in_pool(account: AccountKey) -> bool:
        lot = usage.pools.get(account)
        return lot is not None and lot.as_reached_by(member.payers) == cap.pool

    draws = tuple(
        each.draw
        for each in usage.uses.get(member.id, ())
        if is_in_pool(each.account) and each.source not in member.excluded_sources
    )
    held = {
        hold["Id"]: _smallest_units(hold["Amount"], cap.pool.kind)
        for hold in usage.holds.get(member.id, ())
        if is_in_pool(_account_of(hold))
    }
    return replace(cap, draws=draws, held=held)


async def _load_uses(
    session: ReadSession, members: set[int], since: datetime
) -> dict[int, list[_MemberUse]]:
    """By member the uses of others' credits recorded since then, less what came back of them."""
    recorded = Filter(JournalLine.meta().columns["RecordedOn"], Comparison.AT_LEAST, since)
    named = where(JournalLine, MemberId=members, Kind=EntryType.USE.value)
    uses = await session.find(JournalLine, (*named, recorded), columns=_USE_COLUMNS)
    if not uses:
        return {}
    returned = where(
        JournalLine,
        CreditKind={use["CreditKind"] for use in uses},
        CreditId={use["CreditId"] for use in uses},
        Kind=EntryType.REVERSAL.value,
    )
    back: dict[tuple[AccountKey, int], Amount] = {}
    for line in await session.find(JournalLine, (*returned, recorded), columns=_REVERSAL_COLUMNS):
        undone = (_account_of(line), line["Reverses"])
        back[undone] = back.get(undone, 0) + line["Amount"]
    drawn: dict[int, list[_MemberUse]] = {}
    for use in uses:
        account = _account_of(use)
        kept = use["Amount"] - back.get((account, use["Sequence"]), 0)
        draw = PoolDraw(use["RecordedOn"], kept // MAPPINGS[account[0]].scale)
        source = (use["SourceKind"], use["SourceId"])
        drawn.setdefault(use["MemberId"], []).append(_MemberUse(account, source, draw))
    return drawn


async def _load_credit_pools(
    session: ReadSession, accounts: Collection[AccountKey]
) -> dict[AccountKey, _CreditPool]:
    """Of which pools credits are that the callers do not see: draws on them count too."""
    found: dict[AccountKey, _CreditPool] = {}
    names = {MONEY_MAPPING: "BusinessCurrencyCode", TIME_MAPPING: "ExtraServiceIsPrintingCredit"}
    for side, decides in names.items():
        ids = {credit_id for kind, credit_id in accounts if kind is side.account_type}
        if not ids:
            continue
        named = where(side.credit_entity, Id=ids)
        for record in await session.find(
            side.credit_entity, named, columns=("Id", "CoworkerId", decides)
        ):
            kind, currency = CreditType.MONEY, record[decides] or ""
            if side is TIME_MAPPING:
                kind = CreditType.PRINTING if record[decides] else CreditType.TIME
            found[side.account_type, record["Id"]] = _credit_pool(
                record["CoworkerId"], kind, currency
            )
    return found


def _credit_pool(customer_id: int, credit_type: CreditType, currency: str) -> _CreditPool:
    """Money of another currency is another pool; of other kinds a pool has no currency."""
    return _CreditPool(
        customer_id, credit_type, currency if credit_type is CreditType.MONEY else ""
    )


def _account_of(record: Record) -> AccountKey:
    return (AccountType(record["CreditKind"]), record["CreditId"])


def _smallest_units(scaled: int, credit_type: CreditType) -> Amount:
    """A stored amount in the kind's smallest step; of uses only the whole ones count."""
    return (
        scaled
        // MAPPINGS[
            AccountType.MONEY if credit_type is CreditType.MONEY else AccountType.TIME
        ].scale
    )
