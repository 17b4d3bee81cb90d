"""A team whose members share the credit of one payer, with caps per member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.loaders.holds import lock_holds_of
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_basket_for_update
from creditdesk.ledger.operations.draw import SpendPlan
from creditdesk.ledger.operations.holds import create_hold
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.service import RequestContext
from tests.support.ledger_builder import LedgerBuilder, money
from tests.support.spending import execute_spend

MONEY_CREDIT, TIME_CREDIT, PRINTING_CREDIT = 1, 2, 3
DAY, MONTH = 1, 3


@dataclass
class SharedTeam:
    """A team whose paying member shares credit, and one of its members."""

    ledger: LedgerBuilder
    payer: int
    team: int
    charges: int = 0

    @classmethod
    async def create(cls, ledger: LedgerBuilder) -> SharedTeam:
        """A team of the location's customer, paid by another customer."""
        payer = await ledger.add_customer("Paula")
        team = await ledger.add(
            Team,
            Name="Cog",
            BusinessId=ledger.business,
            PayingMemberId=payer,
            ShareBookingCredit=True,
            ShareExtraServices=True,
            TeamMembers=(payer, ledger.customer),
        )
        return cls(ledger, payer, team)

    async def cap(self, amount: str, kind: int = MONEY_CREDIT, period: int = MONTH) -> int:
        return await self.ledger.add(PoolCap, TeamId=self.team, CreditKind=kind, Period=period, Amount=money(amount))

    async def pool(self, total: str = "100.00", **values: Any) -> int:
        given = {"CoworkerId": self.payer, "IsUniversalCredit": True, **values}
        return await self.ledger.add_money_credit(total, **given)

    async def spend(
        self,
        amount: str,
        member: int | None = None,
        context: RequestContext | None = None,
        **given: Any,
    ) -> Allocation:
        """Pays a charge of a member: the customer of `ledger` unless another is named."""
        self.charges += 1
        item = ItemRequest(SourceKind.CHARGE, given.get("id", self.charges), money(amount))
        buyer = Buyer(member or self.ledger.customer, given.get("business", self.ledger.business))
        context = context or self.ledger.request_context()
        async with self.ledger.store.write_session() as session:
            basket = await load_basket_for_update(session, buyer, [item], context)
            [holds] = (await lock_holds_of(session, [item.key])).values()
            drawing = SpendPlan(basket, context, self.ledger.context, holds)
            return (await execute_spend(session, drawing, self.ledger.context)).allocation

    async def covered(self, amount: str, **given: Any) -> int:
        found = (await self.spend(amount, **given)).sources[0]
        return found.price - found.uncovered

    async def hold(self, amount: str, source: int) -> int | None:
        item = ItemRequest(SourceKind.CHARGE, source, money(amount))
        async with self.ledger.store.write_session() as session:
            buyer = Buyer(self.ledger.customer, self.ledger.business)
            basket = await load_basket_for_update(session, buyer, [item], self.ledger.request_context())
            return (await create_hold(session, basket, self.ledger.request_context(), self.ledger.context)).group
