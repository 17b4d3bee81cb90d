"""How far a customer reaches: its plans, its teams, and whose credits may pay for it (rule 16).

This module must not know credits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team as TeamEntity
from creditdesk.ledger.journal.mapping import may_see, unknown, where
from creditdesk.ledger.rules.credit import Owner, Team
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Finding, Question, Reading
from creditdesk.schema.service import Call, Caller


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a customer reaches: its locations, and by paying member the team it pays for
    (rule 16).
    """

    owner: Owner
    places: tuple[int, ...]
    payers: Mapping[int, int]

    @property
    def people(self) -> tuple[int, ...]:
        """Whose credits may pay: the customer, and those who pay for its teams."""
        return tuple(sorted({self.owner.customer_id, *self.payers}))

    def seen_by(self, caller: Caller) -> bool:
        """Whether the customer exists for the caller."""
        return caller.locations is None or any(may_see(caller, place) for place in self.places)


async def read_owner(reading: Reading, customer_id: int, call: Call) -> Reach:
    """One customer. Raises Invalid when it is not there for the caller."""
    reach = (await read_reaches(reading, [customer_id])).get(customer_id)
    if reach is None or not reach.seen_by(call.caller):
        raise unknown("Coworker", customer_id)
    return reach


async def read_reaches(finding: Finding, customer_ids: Iterable[int]) -> dict[int, Reach]:
    """The customers with their plans, their teams and who pays for these."""
    wanted = set(customer_ids)
    customers, contracts = await finding.find_all(
        [
            Question(Coworker, where(Coworker, Id=wanted), ("Id", "Businesses", "Teams")),
            Question(
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
    teams = await _teams(finding, {team for customer in customers for team in customer["Teams"]})
    return {
        customer["Id"]: _reach(customer, plans.get(customer["Id"], set()), teams)
        for customer in customers
    }


async def _teams(finding: Finding, ids: set[int]) -> list[Record]:
    if not ids:
        return []
    names = (
        "Id", "PayingMemberId", "ShareBookingCredit", "ShareExtraServices",
        "TransferCreditsToPayingMember",
    )  # fmt: skip
    return await finding.find(TeamEntity, where(TeamEntity, Id=ids), names=names)


def _reach(customer: Record, plans: Iterable[int], teams: Sequence[Record]) -> Reach:
    """A member of several teams that one member pays for reaches it by the first of them."""
    ours = [team for team in teams if team["Id"] in customer["Teams"]]
    payers = {
        team["PayingMemberId"]: team["Id"]
        for team in reversed(ours)
        if team["PayingMemberId"] not in (None, 0, customer["Id"])
    }
    shared = tuple(
        Team(
            team["Id"],
            bool(team["ShareBookingCredit"]),
            bool(team["ShareExtraServices"]),
            bool(team["TransferCreditsToPayingMember"]),
        )
        for team in ours
    )
    owner = Owner(customer["Id"], frozenset(plans), shared)
    return Reach(owner, customer["Businesses"], payers)
