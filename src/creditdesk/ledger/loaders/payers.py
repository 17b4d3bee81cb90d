"""How far a customer reaches: its plans, its teams, and whose credits may pay for it (rule 16).

This module must not know credits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team as TeamEntity
from creditdesk.ledger.journal.mapping import unknown_reference, where
from creditdesk.ledger.rules.credit import Customer, TeamSharing
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Finder, FindQuery, ReadSession
from creditdesk.schema.service import Principal, RequestContext


@dataclass(frozen=True, slots=True)
class Payers:
    """How far a customer reaches: its locations, and by paying member the team it pays for
    (rule 16).
    """

    owner: Customer
    location_ids: tuple[int, ...]
    team_by_payer: Mapping[int, int]

    @property
    def payer_ids(self) -> tuple[int, ...]:
        """Whose credits may pay: the customer, and those who pay for its teams."""
        return tuple(sorted({self.owner.id, *self.team_by_payer}))

    def visible_to(self, caller: Principal) -> bool:
        """Whether the customer exists for the caller."""
        return caller.sees_any_location(self.location_ids)


async def load_visible_payers(
    session: ReadSession, customer_id: int, context: RequestContext
) -> Payers:
    """One customer. Raises Invalid when it is not there for the caller."""
    reach = (await load_payers(session, [customer_id])).get(customer_id)
    if reach is None or not reach.visible_to(context.principal):
        raise unknown_reference("Coworker", customer_id)
    return reach


async def load_payers(finder: Finder, customer_ids: Iterable[int]) -> dict[int, Payers]:
    """The customers with their plans, their teams and who pays for these."""
    wanted = set(customer_ids)
    customers, contracts = await finder.find_many(
        [
            FindQuery(Coworker, where(Coworker, Id=wanted), ("Id", "Businesses", "Teams")),
            FindQuery(
                CoworkerContract,
                where(CoworkerContract, CoworkerId=wanted),
                ("CoworkerId", "TariffId", "Active", "Cancelled"),
            ),
        ]
    )
    plans: dict[int, set[int]] = {}
    for contract in contracts:
        if contract["Active"] and not contract["Cancelled"]:
            plans.setdefault(contract["CoworkerId"], set()).add(contract["TariffId"])
    teams = await _load_teams(
        finder, {team for customer in customers for team in customer["Teams"]}
    )
    return {
        customer["Id"]: _to_payers(customer, plans.get(customer["Id"], set()), teams)
        for customer in customers
    }


async def _load_teams(finder: Finder, ids: set[int]) -> list[Record]:
    if not ids:
        return []
    names = (
        "Id", "PayingMemberId", "ShareBookingCredit", "ShareExtraServices",
        "TransferCreditsToPayingMember",
    )  # fmt: skip
    return await finder.find(TeamEntity, where(TeamEntity, Id=ids), columns=names)


def _to_payers(customer: Record, plans: Iterable[int], teams: Sequence[Record]) -> Payers:
    """A member of several teams that one member pays for reaches it by the first of them."""
    ours = [team for team in teams if team["Id"] in customer["Teams"]]
    payers = {
        team["PayingMemberId"]: team["Id"]
        for team in reversed(ours)
        if team["PayingMemberId"] not in (None, 0, customer["Id"])
    }
    shared = tuple(
        TeamSharing(
            team["Id"],
            bool(team["ShareBookingCredit"]),
            bool(team["ShareExtraServices"]),
            bool(team["TransferCreditsToPayingMember"]),
        )
        for team in ours
    )
    owner = Customer(customer["Id"], frozenset(plans), shared)
    return Payers(owner, customer["Businesses"], payers)
