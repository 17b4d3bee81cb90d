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

from creditdesk.entities.enums import ePoolCreditKind
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.ledger.journal.context import Clockwork, read_clocks
from creditdesk.ledger.journal.entry import CreditKind, LineKind
from creditdesk.ledger.journal.mapping import MONEY, SIDES, TIME, Account, account_of, where
from creditdesk.ledger.loaders.payers import Reach
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit, PayingKind, Pool
from creditdesk.ledger.rules.pool_caps import CapPeriod, Draw, MemberCap, period_start
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Reading, Unit

KINDS: Final[Mapping[int, PayingKind]] = {
    ePoolCreditKind.Money: PayingKind.MONEY,
    ePoolCreditKind.Time: PayingKind.TIME,
    ePoolCreditKind.Printing: PayingKind.PRINTING,
}
_OWN: Final = ("Id", "TeamId", "CreditKind", "Period", "Amount")
_HOLD: Final = ("Id", "CoworkerId", "CreditKind", "CreditId", "Amount")
_USE: Final = (
    "MemberId", "CreditKind", "CreditId", "Sequence", "SourceKind", "SourceId", "Amount",
    "RecordedOn",
)  # fmt: skip
_REVERSAL: Final = ("CreditKind", "CreditId", "Reverses", "Amount")


@dataclass(frozen=True, slots=True)
class Member:
    """A customer who is to draw on some of the credits it reaches.

    Its draws for the sources in `unpaid` (kind and id) do not count.
    """

    reach: Reach
    credits: Sequence[Credit]
    now: datetime
    unpaid: Collection[tuple[str, int]] = ()

    @property
    def id(self) -> int:
        return self.reach.owner.customer_id

    @property
    def pools(self) -> set[Pool]:
        """The pools of these credits that its teams share with it."""
        reached = {credit.pool for credit in self.credits} - {None}
        return {pool for pool in reached if pool and self._shares(pool)}

    def _shares(self, pool: Pool) -> bool:
        team = self.reach.owner.team(pool.team_id)
        return team is not None and team.shares(pool.kind)


@dataclass(frozen=True, slots=True)
class _Lot:
    """Of which pool a credit is, whichever team it is reached through."""

    customer_id: int
    kind: PayingKind
    currency: str

    def pool(self, reach: Reach) -> Pool | None:
        team_id = reach.payers.get(self.customer_id)
        return None if team_id is None else Pool(team_id, self.kind, self.currency)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a member took from one credit, for which source."""

    account: Account
    source: tuple[str | None, int | None]
    draw: Draw


@dataclass(frozen=True, slots=True)
class _Taken:
    """What members have of pools: by member the uses and the holds, and each credit's lot."""

    drawn: Mapping[int, Sequence[_Drawn]]
    holds: Mapping[int, Sequence[Record]]
    lots: Mapping[Account, _Lot]


async def read_caps(
    reading: Reading, members: Sequence[Member], *, locked_in: Unit | None = None
) -> list[tuple[MemberCap, ...]]:
    """The caps that hold for each member over its credits, with what it has drawn.

    A unit that is to draw locks them. One statement where no team has a cap, none where nothing
    is shared.
    """
    pools = [member.pools for member in members]
    teams = {pool.team_id for of in pools for pool in of}
    declared = await _declared(reading, teams, locked_in) if teams else []
    clocks = await read_clocks(reading, {cap["TeamBusinessId"] for cap in declared})
    caps = [[*_over(of, declared, clocks)] for of in pools]
    if not any(caps):
        return [()] * len(members)
    since = min(
        period_start(cap.period, member.now, cap.zone)
        for member, of in zip(members, caps, strict=True)
        for cap in of
    )
    capped = [member for member, of in zip(members, caps, strict=True) if of]
    taken = await _taken(reading, capped, since)
    return [
        tuple(_with_draws(cap, member, taken) for cap in of)
        for member, of in zip(members, caps, strict=True)
    ]


async def _declared(reading: Reading, teams: set[int], locked_in: Unit | None) -> list[Record]:
    """The caps of teams, by Id. Locked before anything drawn is read: who holds the lock sees all
    that came before.
    """
    named = where(PoolCap, TeamId=teams)
    found = await reading.find(PoolCap, named, names=(*_OWN, "TeamBusinessId"))
    if locked_in is None or not found:
        return found
    locked = await locked_in.lock(PoolCap, [cap["Id"] for cap in found], _OWN)
    return [cap | locked[cap["Id"]] for cap in found if cap["Id"] in locked]


def _over(
    pools: set[Pool], declared: Iterable[Record], clocks: Mapping[int, Clockwork]
) -> Iterable[MemberCap]:
    """The caps over these pools, before anything is drawn."""
    for cap in declared:
        for pool in sorted(pools):
            if (pool.team_id, pool.kind) == (cap["TeamId"], KINDS[cap["CreditKind"]]):
                zone = clocks.get(cap["TeamBusinessId"], Clockwork()).zone
                period = CapPeriod(cap["Period"])
                yield MemberCap(pool, _steps(cap["Amount"], pool.kind), period, zone)


async def _taken(reading: Reading, members: Sequence[Member], since: datetime) -> _Taken:
    ids = {member.id for member in members}
    # Holds come first: one that turns into uses meanwhile is counted twice rather than not at all.
    found = await reading.find(Hold, where(Hold, CoworkerId=ids, State="held"), names=_HOLD)
    holds: dict[int, list[Record]] = {}
    for hold in found:
        holds.setdefault(hold["CoworkerId"], []).append(hold)
    drawn = await _drawn(reading, ids, since)
    lots = {
        account_of(credit.key): _lot(credit.customer_id, credit.kind, credit.currency)
        for member in members
        for credit in member.credits
    }
    accounts = {each.account for of in drawn.values() for each in of}
    accounts |= {_account(hold) for hold in found}
    return _Taken(drawn, holds, lots | await _lots(reading, accounts - lots.keys()))


def _with_draws(cap: MemberCap, member: Member, taken: _Taken) -> MemberCap:
    def is_in_pool(account: Account) -> bool:
        lot = taken.lots.get(account)
        return lot is not None and lot.pool(member.reach) == cap.pool

    draws = tuple(
        each.draw
        for each in taken.drawn.get(member.id, ())
        if is_in_pool(each.account) and each.source not in member.unpaid
    )
    held = {
        hold["Id"]: _steps(hold["Amount"], cap.pool.kind)
        for hold in taken.holds.get(member.id, ())
        if is_in_pool(_account(hold))
    }
    return replace(cap, draws=draws, held=held)


async def _drawn(reading: Reading, members: set[int], since: datetime) -> dict[int, list[_Drawn]]:
    """By member the uses of others' credits recorded since then, less what came back of them."""
    recorded = Filter(JournalLine.shape().columns["RecordedOn"], Test.AT_LEAST, since)
    named = where(JournalLine, MemberId=members, Kind=LineKind.USE.value)
    uses = await reading.find(JournalLine, (*named, recorded), names=_USE)
    if not uses:
        return {}
    returned = where(
        JournalLine,
        CreditKind={use["CreditKind"] for use in uses},
        CreditId={use["CreditId"] for use in uses},
        Kind=LineKind.REVERSAL.value,
    )
    back: dict[tuple[Account, int], Amount] = {}
    for line in await reading.find(JournalLine, (*returned, recorded), names=_REVERSAL):
        undone = (_account(line), line["Reverses"])
        back[undone] = back.get(undone, 0) + line["Amount"]
    drawn: dict[int, list[_Drawn]] = {}
    for use in uses:
        account = _account(use)
        kept = use["Amount"] - back.get((account, use["Sequence"]), 0)
        draw = Draw(use["RecordedOn"], kept // SIDES[account[0]].scale)
        source = (use["SourceKind"], use["SourceId"])
        drawn.setdefault(use["MemberId"], []).append(_Drawn(account, source, draw))
    return drawn


async def _lots(reading: Reading, accounts: Collection[Account]) -> dict[Account, _Lot]:
    """Of which pools credits are that the callers do not see: draws on them count too."""
    found: dict[Account, _Lot] = {}
    names = {MONEY: "BusinessCurrencyCode", TIME: "ExtraServiceIsPrintingCredit"}
    for side, decides in names.items():
        ids = {credit_id for kind, credit_id in accounts if kind is side.kind}
        if not ids:
            continue
        named = where(side.credit, Id=ids)
        for record in await reading.find(side.credit, named, names=("Id", "CoworkerId", decides)):
            kind, currency = PayingKind.MONEY, record[decides] or ""
            if side is TIME:
                kind = PayingKind.PRINTING if record[decides] else PayingKind.TIME
            found[side.kind, record["Id"]] = _lot(record["CoworkerId"], kind, currency)
    return found


def _lot(customer_id: int, kind: PayingKind, currency: str) -> _Lot:
    """Money of another currency is another pool; of other kinds a pool has no currency."""
    return _Lot(customer_id, kind, currency if kind is PayingKind.MONEY else "")


def _account(record: Record) -> Account:
    return (CreditKind(record["CreditKind"]), record["CreditId"])


def _steps(scaled: int, kind: PayingKind) -> Amount:
    """A stored amount in the kind's smallest step; of uses only the whole ones count."""
    return scaled // SIDES[CreditKind.MONEY if kind is PayingKind.MONEY else CreditKind.TIME].scale
