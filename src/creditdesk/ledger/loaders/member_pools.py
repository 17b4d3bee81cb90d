"""The credit that a customer's teams share with it: what is available, its caps, and what it drew (rule 16)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.loaders.credits import load_credits
from creditdesk.ledger.loaders.payers import Payers
from creditdesk.ledger.loaders.pool_caps import PoolMember, load_caps
from creditdesk.ledger.loaders.rows import TypedRow, find_by_id
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit, CreditType
from creditdesk.ledger.rules.pool_caps import MemberCap
from creditdesk.ledger.rules.renewal import has_expired
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal


@dataclass(frozen=True, slots=True)
class SharedPool:
    """A team's shared credit of one kind and unit, in its smallest unit, as one member sees it.

    `unit` is the currency, or the charge period of time credit. `caps` hold what the member drew.
    """

    team_id: int
    team_name: str
    kind: CreditType
    unit: str
    available: Amount
    expires: datetime | None
    caps: tuple[MemberCap, ...]

    def drawable(self, now: datetime) -> Amount:
        """What the member can still draw: what is available, within every cap."""
        return max(0, min([self.available, *(cap.remaining(now) for cap in self.caps)]))


class _TeamNameRow(TypedRow, frozen=True, gc=False):
    entity = Team

    name: str | None
    business_id: int | None


async def load_shared_pools(
    session: ReadSession, payers: Payers, now: datetime, principal: Principal | None = None
) -> list[SharedPool]:
    """The pools that the teams of a customer share with it, by team, kind and unit.

    A principal sees the teams and the credit of its locations; a cap counts what was drawn at any.
    """
    credits_ = await load_credits(session, sorted(payers.team_by_payer), now, skip_states=False)
    shared = [
        replace(credit, team_id=payers.team_by_payer[credit.customer_id])
        for of_payer in credits_.values()
        for credit in of_payer
    ]
    member = PoolMember(payers, shared, now)
    pools = member.pools
    names = await find_by_id(session, _TeamNameRow, {pool.team_id for pool in pools})
    (caps,) = await load_caps(session, [member])
    groups: dict[tuple[int, CreditType, str], list[Credit]] = {}
    for credit in shared:
        if credit.team_id is None or credit.pool not in pools:
            continue
        if _is_visible(credit, names.get(credit.team_id), principal):
            groups.setdefault((credit.team_id, credit.kind, unit_of(credit)), []).append(credit)
    return [
        _pool(team, names[team].name or "", kind, unit, groups[team, kind, unit], caps, now)
        for team, kind, unit in sorted(groups)
    ]


def _is_visible(credit: Credit, team: _TeamNameRow | None, principal: Principal | None) -> bool:
    if principal is None:
        return True
    team_location = team.business_id if team else None
    return principal.sees_location(credit.business_id) and principal.sees_location(team_location)


def unit_of(credit: Credit) -> str:
    """The currency of a money credit, `print`, or what one use of a time credit is, such as `minutes`."""
    if credit.kind is CreditType.MONEY:
        return credit.currency
    if credit.kind is CreditType.PRINTING:
        return "print"
    period = credit.rate.charge_period if credit.rate else ChargePeriod.USES
    return period.name.lower()


def _pool(
    team_id: int,
    team_name: str,
    kind: CreditType,
    unit: str,
    credits_: Sequence[Credit],
    caps: Sequence[MemberCap],
    now: datetime,
) -> SharedPool:
    usable = [credit for credit in credits_ if _is_usable(credit, now)]
    expiries = [credit.expires for credit in usable if credit.expires is not None and credit.unreserved > 0]
    return SharedPool(
        team_id,
        team_name,
        kind,
        unit,
        sum(max(0, credit.unreserved) for credit in usable),
        min(expiries, default=None),
        tuple(cap for cap in caps if cap.pool == credits_[0].pool),
    )


def _is_usable(credit: Credit, now: datetime) -> bool:
    has_begun = credit.valid_from is None or credit.valid_from <= now
    return credit.is_granted and has_begun and not has_expired(credit.expires, now)
