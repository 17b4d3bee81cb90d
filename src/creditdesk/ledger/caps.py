"""The caps on the pools that a customer reaches, and what it has drawn from them (rule 16).

Reads records into the values of `pools`. A cap stays locked until the unit ends, so that one
member's spends decide one after another, even over different credits. This module must not decide
who pays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.enums import ePoolCreditKind
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.ledger.amounts import Amount
from creditdesk.ledger.credit import Credit, CreditKind, Owner, Pool
from creditdesk.ledger.facts import Clockwork, read_clocks
from creditdesk.ledger.line import CreditKind as Kept
from creditdesk.ledger.line import LineKind
from creditdesk.ledger.pools import CapPeriod, Draw, MemberCap, period_start
from creditdesk.ledger.records import SIDES, Account, account_of, where
from creditdesk.schema.entity import Record
from creditdesk.schema.listing import Filter, Test
from creditdesk.schema.store import Reading, Unit
from creditdesk.schema.writing import Call

KINDS: Final[Mapping[int, CreditKind]] = {
    ePoolCreditKind.Money: CreditKind.MONEY,
    ePoolCreditKind.Time: CreditKind.TIME,
    ePoolCreditKind.Printing: CreditKind.PRINTING,
}

Pools = Mapping[Account, Pool | None]
"""The pool of each credit, None for those that belong to none."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a member took from one credit, for which source."""

    account: Account
    source: tuple[str | None, int | None]
    draw: Draw


async def read_caps(
    unit: Unit,
    owner: Owner,
    payers: Mapping[int, int],
    credits_: Sequence[Credit],
    call: Call,
    unpaid: Collection[tuple[str, int]] = (),
) -> tuple[MemberCap, ...]:
    """The caps that hold for the customer over the shared ones of these credits.

    `payers` names the team that each paying member is reached through. Draws for the sources in
    `unpaid` (kind and id) do not count. One statement where no team has a cap, none where nothing
    is shared.
    """
    pools: dict[Account, Pool | None] = {account_of(c.key): _shared(c, owner) for c in credits_}
    reached = {pool for pool in pools.values() if pool is not None}
    if not reached:
        return ()
    teams = tuple({pool.team_id for pool in reached})
    declared = await unit.find(PoolCap, where(PoolCap, TeamId=teams))
    if not declared:
        return ()
    # Locked before anything drawn is read: who holds the lock sees all that came before.
    locked = await unit.lock(PoolCap, [cap["Id"] for cap in declared])
    places = {cap["Id"]: cap["TeamBusinessId"] for cap in declared}
    clocks = await read_clocks(unit, places.values())
    caps = [
        MemberCap(
            pool,
            _steps(cap["Amount"], pool.kind),
            CapPeriod(cap["Period"]),
            clocks.get(places[cap_id], Clockwork()).zone,
        )
        for cap_id, cap in sorted(locked.items())
        for pool in sorted(reached)
        if (pool.team_id, pool.kind) == (cap["TeamId"], KINDS[cap["CreditKind"]])
    ]
    return await _with_draws(unit, owner, payers, caps, pools, call, unpaid) if caps else ()


def _shared(credit: Credit, owner: Owner) -> Pool | None:
    pool = credit.pool
    if pool is None or credit.customer_id == owner.customer_id:
        return None
    team = owner.team(pool.team_id)
    return pool if team and team.shares(pool.kind) else None


async def _with_draws(
    unit: Unit,
    owner: Owner,
    payers: Mapping[int, int],
    caps: Sequence[MemberCap],
    pools: dict[Account, Pool | None],
    call: Call,
    unpaid: Collection[tuple[str, int]],
) -> tuple[MemberCap, ...]:
    # Holds come first: one that turns into uses meanwhile is counted twice rather than not at all.
    holds = await unit.find(Hold, where(Hold, CoworkerId=owner.customer_id, State="held"))
    since = min(period_start(cap.period, call.now, cap.zone) for cap in caps)
    drawn = await _drawn(unit, owner.customer_id, payers, since)
    seen = {each.account for each in drawn} | {_account(hold) for hold in holds}
    pools |= await _pools_of(unit, seen - pools.keys(), payers)
    counted = [each for each in drawn if each.source not in unpaid]
    return tuple(
        MemberCap(
            cap.pool,
            cap.most,
            cap.period,
            cap.zone,
            tuple(each.draw for each in counted if pools[each.account] == cap.pool),
            {
                hold["Id"]: _steps(hold["Amount"], cap.pool.kind)
                for hold in holds
                if pools[_account(hold)] == cap.pool
            },
        )
        for cap in caps
    )


async def _drawn(
    reading: Reading, member: int, payers: Mapping[int, int], since: datetime
) -> list[_Drawn]:
    """The member's uses of its payers' credits recorded since then, less what came back of them."""
    recorded = Filter(JournalLine.shape().columns["RecordedOn"], Test.AT_LEAST, since)
    named = where(
        JournalLine, CoworkerId=tuple(payers), MemberId=member, Kind=LineKind.USE.value
    )  # fmt: skip
    uses = await reading.find(JournalLine, (*named, recorded))
    if not uses:
        return []
    returned = where(
        JournalLine,
        CreditKind=tuple({use["CreditKind"] for use in uses}),
        CreditId=tuple({use["CreditId"] for use in uses}),
        Kind=LineKind.REVERSAL.value,
    )
    back: dict[tuple[Account, int], Amount] = {}
    for line in await reading.find(JournalLine, (*returned, recorded)):
        use = (_account(line), line["Reverses"])
        back[use] = back.get(use, 0) + line["Amount"]
    return [
        _Drawn(
            _account(use),
            (use["SourceKind"], use["SourceId"]),
            Draw(
                use["RecordedOn"],
                (use["Amount"] - back.get((_account(use), use["Sequence"]), 0))
                // SIDES[Kept(use["CreditKind"])].scale,
            ),
        )
        for use in uses
    ]


async def _pools_of(
    reading: Reading, accounts: Collection[Account], payers: Mapping[int, int]
) -> dict[Account, Pool | None]:
    """The pools of credits that the caller does not see: the member's draws on them count too."""
    found: dict[Account, Pool | None] = dict.fromkeys(accounts)
    for side in SIDES.values():
        ids = [credit_id for kind, credit_id in accounts if kind is side.kind]
        for credit_id, record in (await reading.many(side.credit, ids)).items() if ids else ():
            team = payers.get(record["CoworkerId"])
            if team is not None:
                found[side.kind, credit_id] = _pool(
                    side.credit is CoworkerExtraService, record, team
                )
    return found


def _pool(counts_uses: bool, record: Record, team_id: int) -> Pool:
    if not counts_uses:
        return Pool(team_id, CreditKind.MONEY, record["BusinessCurrencyCode"] or "")
    printing = record["ExtraServiceIsPrintingCredit"]
    return Pool(team_id, CreditKind.PRINTING if printing else CreditKind.TIME, "")


def _account(record: Record) -> Account:
    return (Kept(record["CreditKind"]), record["CreditId"])


def _steps(scaled: int, kind: CreditKind) -> Amount:
    """A stored amount in the kind's smallest step; of uses only the whole ones count."""
    return scaled // SIDES[Kept.MONEY if kind is CreditKind.MONEY else Kept.TIME].scale
