"""Product benefits: the credit that comes with a sale, granted once when the sale is active.

The benefits of a product are read when the sale becomes active; later changes of them apply to
later sales (rule 27).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.mapping import AccountKey, unknown_reference
from creditdesk.ledger.journal.reasons import BENEFIT_REASON
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.benefits import (
    PlanRow,
    ProductBenefit,
    load_granted_keys,
    load_product_benefits,
)
from creditdesk.ledger.loaders.contracts import load_main_contracts
from creditdesk.ledger.loaders.funding import load_sale_funding
from creditdesk.ledger.loaders.locations import (
    DEFAULT_CLOCK,
    LocationClock,
    load_location_clocks,
)
from creditdesk.ledger.loaders.rows import find_by_id, to_row
from creditdesk.ledger.loaders.sales import SaleRow, lock_sales
from creditdesk.ledger.operations.benefit_grants import GrantKey, grant_benefit
from creditdesk.ledger.operations.corrections import NewCredit
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.funding import Funding
from creditdesk.ledger.rules.renewal import (
    ExpirationType,
    MissingMainContract,
    RenewalPeriod,
    ServiceRenewalTime,
    product_expiry,
    renewal_period,
)
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.records import update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import EntityService, ForwardingService, RequestContext

NO_CONTRACT_ID: Final = 0
"""The contract id in the grant key of a sale's benefit."""


@dataclass(frozen=True, slots=True)
class ActivationResult:
    """A sale and the credits that came with it; none when it was active before."""

    sale_id: int
    granted: tuple[AccountKey, ...]


class ProductService(ForwardingService):
    """Sales as the default service writes them; active or paid ones get their credit (rule 27)."""

    def __init__(self, ledger: LedgerContext, default_service: EntityService) -> None:
        super().__init__(default_service)
        self.ledger = ledger

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        is_active = bool(record.get("ActivateNow")) or _is_active_or_paid(record)
        sale_id = await super().create(session, entity, {**record, "Activated": False}, context)
        if is_active:
            await activate_products(session, [sale_id], context, self.ledger)
        return sale_id

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        values = {name: value for name, value in record.items() if name != "Activated"}
        await super().update(session, entity, before, values, context)
        if _is_active_or_paid(record):
            sale = to_row(SaleRow, before)
            if not sale.activated:
                await activate_products(session, [sale.id], context, self.ledger)


async def activate_products(
    session: WriteSession, sale_ids: Sequence[int], context: RequestContext, ledger: LedgerContext
) -> list[ActivationResult]:
    """Makes sales active and grants their benefits, times the quantity, once per sale and benefit.

    A sale that is already active does not change: its credit was granted or imported.
    Raises ValidationError for a sale that is missing or invisible, and StateConflict for a benefit
    that ends with a plan's period where the customer has no main contract.
    """
    sales = await lock_sales(session, sorted(sale_ids))
    for sale_id in sale_ids:
        sale = sales.get(sale_id)
        if sale is None or not context.principal.sees_location(sale.business_id):
            raise unknown_reference("CoworkerProduct", sale_id)
    now = ledger.clock().replace(microsecond=0)
    clocks = await load_location_clocks(session, {sale.business_id for sale in sales.values()})
    inactive = {sale_id for sale_id, sale in sales.items() if not sale.activated}
    results = []
    for sale_id in sale_ids:
        granted: tuple[AccountKey, ...] = ()
        if sale_id in inactive:
            inactive.remove(sale_id)
            sale = sales[sale_id]
            clock = clocks.get(sale.business_id, DEFAULT_CLOCK)
            granted = await _activate(session, sale, now, clock, context, ledger)
        results.append(ActivationResult(sale_id, granted))
    return results


async def _activate(
    session: WriteSession,
    sale: SaleRow,
    now: datetime,
    clock: LocationClock,
    context: RequestContext,
    ledger: LedgerContext,
) -> tuple[AccountKey, ...]:
    benefits = await _load_ungranted(session, sale)
    funding = await load_sale_funding(session, sale, len(benefits))
    granted = [
        await _grant_benefit(session, sale, benefit, now, clock, context, ledger, funding=funding)
        for benefit in benefits
    ]
    values = {
        "Activated": True,
        **update_stamp(context.now, context.principal.email),
    }
    await session.update(CoworkerProduct, [(sale.id, values)])
    return tuple(granted)


def _is_active_or_paid(record: Mapping[str, Any]) -> bool:
    return bool(record.get("Activated") or record.get("CoworkerInvoicePaid"))


async def _load_ungranted(session: ReadSession, sale: SaleRow) -> list[ProductBenefit]:
    """The product's benefits that this sale has not been granted."""
    if sale.quantity < 1:
        return []
    benefits = await load_product_benefits(session, sale.product_id)
    granted = await load_granted_keys(session, [_benefit_key(sale, each) for each in benefits])
    return [benefit for benefit in benefits if _benefit_key(sale, benefit) not in granted]


def _benefit_key(sale: SaleRow, benefit: ProductBenefit) -> str:
    """The grant key of a sale's benefit; keys of renewals have another form."""
    return f"product/{sale.id}/{benefit.name}"


async def _grant_benefit(
    session: WriteSession,
    sale: SaleRow,
    benefit: ProductBenefit,
    now: datetime,
    clock: LocationClock,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    funding: Funding,
) -> AccountKey:
    values = {
        "CoworkerId": sale.coworker_id,
        "BusinessId": sale.business_id,
        "CoworkerProductUniqueId": sale.unique_id,
        "ValidFrom": now,
        "ExpireDate": await _expiry(session, sale, benefit, now, clock),
        **benefit.credit_values,
    }
    key = _benefit_key(sale, benefit)
    credit_id = await grant_benefit(
        session,
        benefit.mapping,
        NewCredit(benefit.amount * sale.quantity, values, funding=funding),
        GrantKey(key, NO_CONTRACT_ID, f"product/{benefit.name}", now),
        context,
        ledger,
        cause=Cause.PURCHASED,
        reason=BENEFIT_REASON.format(key),
    )
    return (benefit.mapping.account_type, credit_id)


async def _expiry(
    session: ReadSession,
    sale: SaleRow,
    benefit: ProductBenefit,
    now: datetime,
    clock: LocationClock,
) -> datetime:
    period = None
    if benefit.expiration is ExpirationType.PRICE_PLAN:
        period = await _load_plan_period(session, sale, now, clock)
    try:
        return product_expiry(benefit.expiration, benefit.lifetime, now, clock.zone, plan_period=period)
    except MissingMainContract:
        raise StateConflict(
            "A benefit of this product ends with the plan's period, but the customer has no active main contract."
        ) from None
    except ValueError as error:
        raise invalid_field("ExpiresIn", str(error), benefit.lifetime) from None


async def _load_plan_period(
    session: ReadSession, sale: SaleRow, now: datetime, clock: LocationClock
) -> RenewalPeriod | None:
    """The billing period of the customer's main contract; one of the sale's location goes first."""
    contracts = await load_main_contracts(session, sale.coworker_id or 0, now)
    if not contracts:
        return None
    main = min(contracts, key=lambda contract: (contract.issued_by_id != sale.business_id, contract.id))
    plan = (await find_by_id(session, PlanRow, [main.tariff_id])).get(main.tariff_id)
    started, today = local_date(main.term.starts, clock.zone), local_date(now, clock.zone)
    return _billing_period(plan, started, today, main.billing_day or None)


def _billing_period(plan: PlanRow | None, started: date, today: date, billing_day: int | None) -> RenewalPeriod:
    """The period that `today` is in: some months from the billing day on, or some weeks."""
    months = (plan.invoice_every if plan else None) or 0
    weeks = (plan.invoice_every_weeks if plan else None) or 0
    renewal, count = ServiceRenewalTime.TARIFF_MONTH, months
    if weeks > 0 and months < 1:
        renewal, count = ServiceRenewalTime.WEEK, weeks
    day = started
    while True:
        first = last = renewal_period(renewal, day, started, billing_day)
        for _ in range(count - 1):
            last = renewal_period(renewal, last.ends, started, billing_day)
        if today < last.ends:
            return RenewalPeriod(first.starts, last.ends)
        day = last.ends
