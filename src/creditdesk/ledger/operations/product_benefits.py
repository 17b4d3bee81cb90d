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
from creditdesk.entities.ledger.benefit_grant import GrantKey
from creditdesk.ledger.journal.context import Clockwork, read_clocks
from creditdesk.ledger.journal.mapping import (
    MONEY,
    TIME,
    Account,
    Side,
    may_see,
    new_record,
    unknown,
    where,
)
from creditdesk.ledger.journal.transaction import Desk
from creditdesk.ledger.operations.corrections import grant
from creditdesk.ledger.operations.renewals import granted_values
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.renewal import (
    ExpirationType,
    NoMainContract,
    Period,
    ServiceRenewalTime,
    period_of,
    product_expiry,
)
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Blocked, invalid
from creditdesk.schema.repository import Reading, Unit
from creditdesk.schema.service import Call, Writer

_AMOUNTS: Final = {MONEY.kind: "Credit", TIME.kind: "UsesIncluded"}
NO_CONTRACT: Final = 0
"""What a grant's key names as its contract where a sale is behind it."""


@dataclass(frozen=True, slots=True)
class Activated:
    """A sale and the credits that came with it; none when it was active before."""

    sale_id: int
    granted: tuple[Account, ...]


class ProductWriter:
    """Sales as `plain` writes them; what is active or paid gets its credit with it (rule 27)."""

    def __init__(self, desk: Desk, plain: Writer) -> None:
        self.desk = desk
        self.plain = plain

    async def create(self, unit: Unit, entity: type[Entity], record: Record, call: Call) -> int:
        released = bool(record.get("ActivateNow")) or _released(record)
        sale_id = await self.plain.create(unit, entity, {**record, "Activated": False}, call)
        if released:
            await activate_products(unit, [sale_id], call, self.desk)
        return sale_id

    async def update(
        self, unit: Unit, entity: type[Entity], before: Record, record: Record, call: Call
    ) -> None:
        kept = {name: value for name, value in record.items() if name != "Activated"}
        await self.plain.update(unit, entity, before, kept, call)
        if _released(record) and not before["Activated"]:
            await activate_products(unit, [before["Id"]], call, self.desk)

    async def delete(self, unit: Unit, entity: type[Entity], before: Record, call: Call) -> None:
        await self.plain.delete(unit, entity, before, call)


async def activate_products(
    unit: Unit, sale_ids: Sequence[int], call: Call, desk: Desk
) -> list[Activated]:
    """Makes sales active and grants their benefits, times the quantity, once per sale and benefit.

    A sale that is active already is left alone: it has its credit, or came with it by import.
    Raises Invalid for a sale that is not there for the caller, and Blocked for a benefit that ends
    with a plan's period where the buyer has no main contract.
    """
    sales = await unit.lock(CoworkerProduct, sorted(sale_ids))
    for sale_id in sale_ids:
        if sale_id not in sales or not may_see(call.caller, sales[sale_id]["BusinessId"]):
            raise unknown("CoworkerProduct", sale_id)
    now = desk.clock().replace(microsecond=0)
    clocks = await read_clocks(unit, [sale["BusinessId"] for sale in sales.values()])
    done = []
    for sale_id in sale_ids:
        sale = sales[sale_id]
        if sale["Activated"]:
            done.append(Activated(sale_id, ()))
            continue
        clock = clocks.get(sale["BusinessId"], Clockwork())
        granted = [
            await _grant(unit, side, sale, benefit, now, clock, call, desk)
            for side, benefit in await _benefits(unit, sale)
        ]
        stamp = {"UpdatedOn": call.now.replace(microsecond=0), "UpdatedBy": call.caller.email}
        await unit.update(CoworkerProduct, [(sale_id, {"Activated": True, **stamp})])
        sales[sale_id] = {**sale, "Activated": True}
        done.append(Activated(sale_id, tuple(granted)))
    return done


def _released(record: Record) -> bool:
    return bool(record.get("Activated") or record.get("CoworkerInvoicePaid"))


async def _benefits(reading: Reading, sale: Record) -> list[tuple[Side, Record]]:
    """What the product brings and this sale has not been granted."""
    if sale["Quantity"] < 1:
        return []
    found: list[tuple[Side, Record]] = []
    for side, entity in ((MONEY, ProductBookingCredit), (TIME, ProductExtraService)):
        listed = await reading.find(entity, where(entity, ProductId=sale["ProductId"]))
        whole = await reading.many(entity, [benefit["Id"] for benefit in listed])
        found += [
            (side, whole[benefit_id])
            for benefit_id in sorted(whole)
            if whole[benefit_id][_AMOUNTS[side.kind]] > 0
        ]
    keys = tuple(_key(sale, side, benefit) for side, benefit in found)
    granted = {key["Key"] for key in await reading.find(GrantKey, where(GrantKey, Key=keys))}
    return [each for each in found if _key(sale, *each) not in granted]


def _key(sale: Record, side: Side, benefit: Record) -> str:
    """Names a sale's benefit once and for all; renewals have keys of another shape."""
    return f"product/{sale['Id']}/{side.kind.value}/{benefit['Id']}"


async def _grant(
    unit: Unit,
    side: Side,
    sale: Record,
    benefit: Record,
    now: datetime,
    clock: Clockwork,
    call: Call,
    desk: Desk,
) -> Account:
    amount = benefit[_AMOUNTS[side.kind]] * sale["Quantity"]
    values = {
        "CoworkerId": sale["CoworkerId"],
        "BusinessId": sale["BusinessId"],
        "CoworkerProductUniqueId": sale["UniqueId"],
        "ValidFrom": now,
        "ExpireDate": await _expiry(unit, sale, benefit, now, clock),
        side.total: amount,
    }
    record = values | await granted_values(unit, side, benefit)
    key = _key(sale, side, benefit)
    (credit_id,) = await grant(unit, side, [record], call, desk, reason=f"benefit {key}")
    kept = {
        "Key": key,
        "ContractId": NO_CONTRACT,
        "Benefit": f"product/{side.kind.value}/{benefit['Id']}",
        "PeriodStart": now,
        "CreditKind": side.kind.value,
        "CreditId": credit_id,
    }
    await unit.insert(GrantKey, [new_record(GrantKey, kept, call.now, call.caller.email)])
    return (side.kind, credit_id)


async def _expiry(
    reading: Reading, sale: Record, benefit: Record, now: datetime, clock: Clockwork
) -> datetime:
    expiration, count = _life(benefit)
    period = None
    if expiration is ExpirationType.PRICE_PLAN:
        period = await _plan_period(reading, sale, local_date(now, clock.zone), clock)
    try:
        return product_expiry(expiration, count, now, clock.zone, plan_period=period)
    except NoMainContract:
        raise Blocked(
            "A benefit of this product ends with the plan's period, but the customer has no active "
            "main contract (rule 27)."
        ) from None
    except ValueError as wrong:
        raise invalid("ExpiresIn", str(wrong), count) from None


def _life(benefit: Record) -> tuple[ExpirationType, int | None]:
    """The older fields count where they are filled and the newer one is not."""
    if benefit["ExpiresIn"] is None:
        for name, expiration in (
            ("ExpireTimeInMonths", ExpirationType.MONTH),
            ("ExpireTimeInWeeks", ExpirationType.WEEK),
        ):
            if benefit[name]:
                return expiration, benefit[name]
    return ExpirationType(benefit["ExpirationType"]), benefit["ExpiresIn"]


async def _plan_period(
    reading: Reading, sale: Record, today: date, clock: Clockwork
) -> Period | None:
    """The billing period of the buyer's main contract, one of this location before others."""
    named = {"CoworkerId": sale["CoworkerId"], "Active": True, "MainContract": True}
    contracts = [
        contract
        for contract in await reading.find(CoworkerContract, where(CoworkerContract, **named))
        if contract["StartDate"] and local_date(contract["StartDate"], clock.zone) <= today
    ]
    if not contracts:
        return None
    main = min(contracts, key=lambda c: (c["IssuedById"] != sale["BusinessId"], c["Id"]))
    tariff = await reading.get(Tariff, main["TariffId"])
    return _billing_period(
        tariff or {}, local_date(main["StartDate"], clock.zone), today, main["BillingDay"] or None
    )


def _billing_period(tariff: Record, started: date, today: date, billing_day: int | None) -> Period:
    """The period that `today` falls in: some months from billing day on, or some weeks."""
    months, weeks = tariff.get("InvoiceEvery") or 0, tariff.get("InvoiceEveryWeeks") or 0
    renewal, many = ServiceRenewalTime.TARIFF_MONTH, months
    if weeks > 0 and months < 1:
        renewal, many = ServiceRenewalTime.WEEK, weeks
    day = started
    while True:
        first = last = period_of(renewal, day, started, billing_day)
        for _ in range(many - 1):
            last = period_of(renewal, last.ends, started, billing_day)
        if today < last.ends:
            return Period(first.starts, last.ends)
        day = last.ends
