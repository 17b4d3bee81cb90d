"""Product benefits: the credit that comes with a sale, granted once when the sale is active.

What a sale grants is read when it becomes active; later changes of the product's benefits touch
later sales only (rule 27). This module must not know the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.product_booking_credit import ProductBookingCredit
from creditdesk.entities.billing.product_extra_service import ProductExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.ledger.journal.mapping import (
    MONEY_MAPPING,
    TIME_MAPPING,
    AccountKey,
    CreditTypeMapping,
    unknown_reference,
    where,
)
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.use_references import LocationClock, load_location_clocks
from creditdesk.ledger.operations.corrections import grant
from creditdesk.ledger.operations.renewals import benefit_credit_values
from creditdesk.ledger.rules.calendar import local_date
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
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import EntityService, RequestContext

_AMOUNT_FIELDS: Final = {
    MONEY_MAPPING.account_type: "Credit",
    TIME_MAPPING.account_type: "UsesIncluded",
}
NO_CONTRACT_ID: Final = 0
"""What a grant's key names as its contract where a sale is behind it."""


@dataclass(frozen=True, slots=True)
class ActivationResult:
    """A sale and the credits that came with it; none when it was active before."""

    sale_id: int
    granted: tuple[AccountKey, ...]


class ProductService:
    """Sales as `plain` writes them; what is active or paid gets its credit with it (rule 27)."""

    def __init__(self, ledger: LedgerContext, default: EntityService) -> None:
        self.ledger = ledger
        self.default = default

    async def create(
        self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext
    ) -> int:
        released = bool(record.get("ActivateNow")) or _is_active_or_paid(record)
        sale_id = await self.default.create(
            session, entity, {**record, "Activated": False}, context
        )
        if released:
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
        kept = {name: value for name, value in record.items() if name != "Activated"}
        await self.default.update(session, entity, before, kept, context)
        if _is_active_or_paid(record) and not before["Activated"]:
            await activate_products(session, [before["Id"]], context, self.ledger)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        await self.default.delete(session, entity, before, context)


async def activate_products(
    session: WriteSession, sale_ids: Sequence[int], context: RequestContext, ledger: LedgerContext
) -> list[ActivationResult]:
    """Makes sales active and grants their benefits, times the quantity, once per sale and benefit.

    A sale that is active already is left alone: it has its credit, or came with it by import.
    Raises Invalid for a sale that is not there for the caller, and Blocked for a benefit that ends
    with a plan's period where the buyer has no main contract.
    """
    sales = await session.lock(CoworkerProduct, sorted(sale_ids))
    for sale_id in sale_ids:
        if sale_id not in sales or not context.principal.sees_location(
            sales[sale_id]["BusinessId"]
        ):
            raise unknown_reference("CoworkerProduct", sale_id)
    now = ledger.clock().replace(microsecond=0)
    clocks = await load_location_clocks(session, [sale["BusinessId"] for sale in sales.values()])
    done = []
    for sale_id in sale_ids:
        sale = sales[sale_id]
        if sale["Activated"]:
            done.append(ActivationResult(sale_id, ()))
            continue
        clock = clocks.get(sale["BusinessId"], LocationClock())
        granted = [
            await _grant_benefit(
                session, side, sale, benefit, context, ledger, now=now, clock=clock
            )
            for side, benefit in await _load_ungranted(session, sale)
        ]
        stamp = update_stamp(context.now, context.principal.email)
        await session.update(CoworkerProduct, [(sale_id, {"Activated": True, **stamp})])
        sales[sale_id] = {**sale, "Activated": True}
        done.append(ActivationResult(sale_id, tuple(granted)))
    return done


def _is_active_or_paid(record: Record) -> bool:
    return bool(record.get("Activated") or record.get("CoworkerInvoicePaid"))


async def _load_ungranted(
    session: ReadSession, sale: Record
) -> list[tuple[CreditTypeMapping, Record]]:
    """What the product brings and this sale has not been granted."""
    if sale["Quantity"] < 1:
        return []
    found: list[tuple[CreditTypeMapping, Record]] = []
    for side, entity in (
        (MONEY_MAPPING, ProductBookingCredit),
        (TIME_MAPPING, ProductExtraService),
    ):
        listed = await session.find(entity, where(entity, ProductId=sale["ProductId"]))
        whole = await session.get_many(entity, [benefit["Id"] for benefit in listed])
        found += [
            (side, whole[benefit_id])
            for benefit_id in sorted(whole)
            if whole[benefit_id][_AMOUNT_FIELDS[side.account_type]] > 0
        ]
    keys = tuple(_benefit_key(sale, side, benefit) for side, benefit in found)
    granted = {
        key["Key"] for key in await session.find(BenefitGrant, where(BenefitGrant, Key=keys))
    }
    return [each for each in found if _benefit_key(sale, *each) not in granted]


def _benefit_key(sale: Record, mapping: CreditTypeMapping, benefit: Record) -> str:
    """Names a sale's benefit once and for all; renewals have keys of another shape."""
    return f"product/{sale['Id']}/{mapping.account_type.value}/{benefit['Id']}"


async def _grant_benefit(
    session: WriteSession,
    mapping: CreditTypeMapping,
    sale: Record,
    benefit: Record,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    now: datetime,
    clock: LocationClock,
) -> AccountKey:
    amount = benefit[_AMOUNT_FIELDS[mapping.account_type]] * sale["Quantity"]
    values = {
        "CoworkerId": sale["CoworkerId"],
        "BusinessId": sale["BusinessId"],
        "CoworkerProductUniqueId": sale["UniqueId"],
        "ValidFrom": now,
        "ExpireDate": await _expiry(session, sale, benefit, now, clock),
        mapping.total_field: amount,
    }
    record = values | await benefit_credit_values(session, mapping, benefit)
    key = _benefit_key(sale, mapping, benefit)
    (credit_id,) = await grant(session, mapping, [record], context, ledger, reason=f"benefit {key}")
    kept = {
        "Key": key,
        "ContractId": NO_CONTRACT_ID,
        "Benefit": f"product/{mapping.account_type.value}/{benefit['Id']}",
        "PeriodStart": now,
        "CreditKind": mapping.account_type.value,
        "CreditId": credit_id,
    }
    await session.insert(
        BenefitGrant, [new_record(BenefitGrant, kept, context.now, context.principal.email)]
    )
    return (mapping.account_type, credit_id)


async def _expiry(
    session: ReadSession, sale: Record, benefit: Record, now: datetime, clock: LocationClock
) -> datetime:
    expiration, count = _lifetime(benefit)
    period = None
    if expiration is ExpirationType.PRICE_PLAN:
        period = await _load_plan_period(session, sale, local_date(now, clock.zone), clock)
    try:
        return product_expiry(expiration, count, now, clock.zone, plan_period=period)
    except MissingMainContract:
        raise StateConflict(
            "A benefit of this product ends with the plan's period, but the customer has no active "
            "main contract (rule 27)."
        ) from None
    except ValueError as wrong:
        raise invalid_field("ExpiresIn", str(wrong), count) from None


def _lifetime(benefit: Record) -> tuple[ExpirationType, int | None]:
    """The older fields count where they are filled and the newer one is not."""
    if benefit["ExpiresIn"] is None:
        for name, expiration in (
            ("ExpireTimeInMonths", ExpirationType.MONTH),
            ("ExpireTimeInWeeks", ExpirationType.WEEK),
        ):
            if benefit[name]:
                return expiration, benefit[name]
    return ExpirationType(benefit["ExpirationType"]), benefit["ExpiresIn"]


async def _load_plan_period(
    session: ReadSession, sale: Record, today: date, clock: LocationClock
) -> RenewalPeriod | None:
    """The billing period of the buyer's main contract, one of this location before others."""
    named = {"CoworkerId": sale["CoworkerId"], "Active": True, "MainContract": True}
    contracts = [
        contract
        for contract in await session.find(CoworkerContract, where(CoworkerContract, **named))
        if contract["StartDate"] and local_date(contract["StartDate"], clock.zone) <= today
    ]
    if not contracts:
        return None
    main = min(contracts, key=lambda c: (c["IssuedById"] != sale["BusinessId"], c["Id"]))
    tariff = await session.get(Tariff, main["TariffId"])
    return _billing_period(
        tariff or {}, local_date(main["StartDate"], clock.zone), today, main["BillingDay"] or None
    )


def _billing_period(
    tariff: Record, started: date, today: date, billing_day: int | None
) -> RenewalPeriod:
    """The period that `today` falls in: some months from billing day on, or some weeks."""
    months, weeks = tariff.get("InvoiceEvery") or 0, tariff.get("InvoiceEveryWeeks") or 0
    renewal, many = ServiceRenewalTime.TARIFF_MONTH, months
    if weeks > 0 and months < 1:
        renewal, many = ServiceRenewalTime.WEEK, weeks
    day = started
    while True:
        first = last = renewal_period(renewal, day, started, billing_day)
        for _ in range(many - 1):
            last = renewal_period(renewal, last.ends, started, billing_day)
        if today < last.ends:
            return RenewalPeriod(first.starts, last.ends)
        day = last.ends
