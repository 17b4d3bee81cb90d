"""Reports of now that the database adds up are those over the journals, for plans, products, windows and holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.product import Product
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_basket_for_update
from creditdesk.ledger.operations.draw import SpendPlan
from creditdesk.ledger.operations.holds import create_hold
from creditdesk.ledger.operations.set_overdraft import set_overdraft
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.repository import Store
from tests.reports.now_and_instant import rows_of_now
from tests.support.ledger_builder import LedgerBuilder
from tests.support.spending import execute_spend

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


async def grant_credits(ledger: LedgerBuilder) -> None:
    """Credit of a plan, of products, and by hand, of two customers, that begins and ends on different days."""
    other = await ledger.add_customer("Grace")
    plan = await ledger.add(TariffBookingCredit, Name="Rooms", Credit=300_000)
    product = await ledger.add(Product, Name="Pack", BusinessId=ledger.business, CurrencyId=ledger.currency)
    sale = await ledger.add(
        CoworkerProduct, CoworkerId=ledger.customer, BusinessId=ledger.business, ProductId=product, Quantity=1
    )
    sold = {"CoworkerProductUniqueId": (await ledger.get(CoworkerProduct, sale))["UniqueId"]}
    now, february = ledger.now, datetime(2026, 2, 1, 5, tzinfo=UTC)
    for created, total in ((february - MICROSECOND, "2.00"), (february, "3.00")):
        ledger.now = created
        await ledger.add_money_credit(total, Description="Pass", ExpireDate=now + DAY)
    ledger.now = now
    money = [
        await ledger.add_money_credit("30.00", TariffBookingCreditId=plan, TariffBookingCreditName="Rooms"),
        await ledger.add_money_credit("12.00", ExpireDate=now + DAY, CoworkerId=other),
        await ledger.add_money_credit("7.00", ValidFrom=now + DAY, ExpireDate=now + 3 * DAY, **sold),
        await ledger.add_money_credit("5.00", ValidFrom=now + 3 * DAY, ExpireDate=now + 2 * DAY, **sold),
    ]
    await ledger.post_use(money[0], "4.00")
    await ledger.post_use(money[1], "12.00")
    await ledger.add_time_credit(60, IsFromTariff=True, ValidFrom=now + 2 * DAY)
    await ledger.add_time_credit(120, CoworkerId=other, ExpireDate=now + 2 * DAY, **sold)
    await ledger.add_time_credit(30, BookingId=1)


async def use_overdraft(ledger: LedgerBuilder) -> None:
    """One printing credit that is used up with three uses of its overdraft reserved, one below zero that expires."""
    rate = await ledger.add_rate(5, "0.01", IsPrintingCredit=True)
    context = ledger.request_context()
    for job, (customer, printed, reserved) in enumerate(
        [(ledger.customer, 2, 3), (await ledger.add_customer("Edsger"), 4, 0)], 1
    ):
        ends = None if reserved else ledger.now + DAY
        credit = await ledger.add_time_credit(2, ExtraServiceId=rate, CoworkerId=customer, ExpireDate=ends)
        buyer = Buyer(customer, ledger.business)
        async with ledger.store.write_session() as session:
            await set_overdraft(session, [credit], 4, context, ledger.context)
            item = ItemRequest(SourceKind.PRINT_JOB, job, print_units=printed)
            basket = await load_basket_for_update(session, buyer, [item], context)
            await execute_spend(session, SpendPlan(basket, context, ledger.context), ledger.context)
        if reserved:
            async with ledger.store.write_session() as session:
                item = ItemRequest(SourceKind.PRINT_JOB, 900 + job, print_units=reserved)
                basket = await load_basket_for_update(session, buyer, [item], context)
                await create_hold(session, basket, context, ledger.context)
        assert await ledger.remaining_uses(credit) == 2 - printed


async def test_reports_of_now_are_those_of_the_same_instant(store: Store) -> None:
    ledger = await LedgerBuilder.create(store)
    await ledger.add_location_profile("America/New_York")
    await grant_credits(ledger)
    await use_overdraft(ledger)
    ends = [ledger.now + days * DAY + step for days in (1, 2, 3) for step in (-MICROSECOND, timedelta(0))]
    seen: dict[str, list[dict[str, Any]]] = {}
    async with store.read_session() as session:
        for now in (ledger.now, *ends):
            for by in ("plan", "customer"):
                seen[by] = await rows_of_now(session, ledger.business, now, "liability", By=by)
            for params in (
                {"By": "customer", "Plan": "Rooms"},
                {"By": "kind", "Plan": "Pack"},
                {"By": "plan", "Kind": "time"},
            ):
                assert await rows_of_now(session, ledger.business, now, "liability", **params)
            assert await rows_of_now(session, ledger.business, now, "ageing")
            seen["breakage"] = await rows_of_now(session, ledger.business, now, "breakage", Funding="unknown")
            if now == ledger.now:
                first = dict(seen)
    plans = {(row["Kind"], row["Plan"]) for row in first["plan"]}
    assert plans >= {("money", "Rooms"), ("money", "Pack"), ("time", "Pack"), ("time", "Rate 1"), ("printing", "")}
    [held] = [row for row in first["customer"] if Decimal(row["Held"])]
    assert (held["Kind"], held["Credits"], held["Remaining"], held["Held"]) == ("printing", 1, "0", "3")
    assert [row["Remaining"] for row in first["customer"] if row["Customer"] == "Edsger"] == ["-2"]
    cohorts = {
        (row["Product"], row["Month"]): (row["Credits"], row["Granted"], row["Used"]) for row in first["breakage"]
    }
    assert cohorts["Pass", "2026-01"] == (1, "2.00", "0.00")
    assert cohorts["Pass", "2026-02"] == (1, "3.00", "0.00")
    assert cohorts["Rooms", "2026-03"] == (1, "30.00", "4.00")
    assert cohorts["", "2026-03"] == (1, "12.00", "12.00")
    assert any(Decimal(row["NotYetValid"]) for row in first["plan"])
