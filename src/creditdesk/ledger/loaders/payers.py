"""Who may pay for a customer: its plans, its teams, and the paying members of these (rule 16)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.journal.mapping import unknown_reference
from creditdesk.ledger.loaders.contracts import ContractRow, contract_filters
from creditdesk.ledger.loaders.rows import Flag, TypedRow, columns_of, find_by_id, query_of, to_row
from creditdesk.ledger.rules.credit import Customer, TeamSharing
from creditdesk.schema.repository import Finder, FindQuery, ReadSession
from creditdesk.schema.service import Principal, RequestContext


class _CustomerRow(TypedRow, frozen=True, gc=False):
    entity = Coworker

    businesses: tuple[int, ...]
    teams: tuple[int, ...]


class _TeamRow(TypedRow, frozen=True, gc=False):
    entity = Team

    paying_member_id: int | None
    share_booking_credit: Flag
    share_extra_services: Flag
    transfer_credits_to_paying_member: Flag

    def to_sharing(self) -> TeamSharing:
        return TeamSharing(
            self.id,
            bool(self.share_booking_credit),
            bool(self.share_extra_services),
            bool(self.transfer_credits_to_paying_member),
        )


@dataclass(frozen=True, slots=True)
class Payers:
    """A customer, its locations, and the paying members of its teams (rule 16).

    `team_by_payer` maps a paying member to the team through which its credits are shared.
    """

    owner: Customer
    location_ids: tuple[int, ...]
    team_by_payer: Mapping[int, int]

    @property
    def payer_ids(self) -> tuple[int, ...]:
        """The customers whose credits may pay: itself, and the paying members of its teams."""
        return tuple(sorted({self.owner.id, *self.team_by_payer}))

    def visible_to(self, principal: Principal) -> bool:
        """Whether the principal may see the customer."""
        return principal.sees_customer(self.owner.id, self.location_ids)


async def load_visible_payers(session: ReadSession, customer_id: int, context: RequestContext) -> Payers:
    """The payers of one customer. Raises ValidationError when it is missing or invisible."""
    payers = (await load_payers(session, [customer_id], context.now)).get(customer_id)
    if payers is None or not payers.visible_to(context.principal):
        raise unknown_reference("Coworker", customer_id)
    return payers


async def load_payers(finder: Finder, customer_ids: Iterable[int], now: datetime) -> dict[int, Payers]:
    """The payers of each customer that exists, with its plans at `now`, by customer id."""
    wanted = set(customer_ids)
    of_customers = FindQuery(ContractRow.entity, contract_filters(CoworkerId=wanted), columns_of(ContractRow))
    customer_records, contract_records = await finder.find_many([query_of(_CustomerRow, Id=wanted), of_customers])
    customers = [to_row(_CustomerRow, record) for record in customer_records]
    plans: dict[int, set[int]] = {}
    for contract in (to_row(ContractRow, record) for record in contract_records):
        if contract.term.is_active(now):
            plans.setdefault(contract.coworker_id or 0, set()).add(contract.tariff_id)
    found = await find_by_id(finder, _TeamRow, {team for c in customers for team in c.teams})
    teams = list(found.values())
    return {customer.id: _to_payers(customer, plans.get(customer.id, set()), teams) for customer in customers}


def _to_payers(customer: _CustomerRow, plans: Iterable[int], teams: Sequence[_TeamRow]) -> Payers:
    """The payers of a customer. One who pays for several of the customer's teams counts for the first of them."""
    own_teams = [team for team in teams if team.id in customer.teams]
    team_by_payer = {
        team.paying_member_id: team.id
        for team in reversed(own_teams)
        if team.paying_member_id and team.paying_member_id != customer.id
    }
    shared = tuple(team.to_sharing() for team in own_teams)
    owner = Customer(customer.id, frozenset(plans), shared)
    return Payers(owner, customer.businesses, team_by_payer)
