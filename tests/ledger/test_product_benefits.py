"""Product benefits: rule 27 for what a sale brings, on both engines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditdesk.api.default_service import PlainWriter
from creditdesk.app import build_app
from creditdesk.auth.settings import AuthSettings
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, issue_token
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.product import Product
from creditdesk.entities.billing.product_booking_credit import ProductBookingCredit
from creditdesk.entities.billing.product_extra_service import ProductExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.ledger.benefit_grant import GrantKey
from creditdesk.ledger.actions import ledger_commands
from creditdesk.ledger.operations.product_benefits import ProductWriter, activate_products
from creditdesk.ledger.operations.renewals import run_renewals
from creditdesk.schema.errors import Blocked, Invalid
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Caller
from creditdesk.settings import Settings
from tests.conftest import client_of
from tests.ledger.test_renewals import on_plan
from tests.ledger.town import ADMIN, NOON, Town, money

DAY, WEEK, MONTH, YEAR, END_OF_MONTH, PLAN = 2, 3, 4, 5, 6, 1


async def pack(town: Town, expiration: int = MONTH, **values: Any) -> int:
    """A product that brings 50.00 for bookings of rooms and 120 minutes."""
    product = await town.add(
        Product, Name="Pack", BusinessId=town.business, CurrencyId=town.currency
    )
    life = {"ProductId": product, "ExpirationType": expiration, **values}
    await town.add(
        ProductBookingCredit, Name="Rooms", Credit=money("50.00"), CaneBeUsedForBookings=True,
        ElegibleResourceTypes=(town.room_type,), **life,
    )  # fmt: skip
    await town.add(ProductExtraService, ExtraServiceId=town.rate, UsesIncluded=120, **life)
    return product


async def sell(town: Town, product: int, **values: Any) -> int:
    """A sale as the wire creates it."""
    record = {c.name: c.kind.empty for c in CoworkerProduct.shape().stored if c.name != "Id"}
    record |= {
        "CoworkerId": town.customer, "BusinessId": town.business, "ProductId": product,
        "Quantity": 1, **values,
    }  # fmt: skip
    async with town.store.writing() as unit:
        writer = ProductWriter(town.desk, PlainWriter())
        return await writer.create(unit, CoworkerProduct, record, town.call())


async def change(town: Town, sale: int, **values: Any) -> None:
    before = await town.get(CoworkerProduct, sale)
    async with town.store.writing() as unit:
        writer = ProductWriter(town.desk, PlainWriter())
        await writer.update(unit, CoworkerProduct, before, values, town.call())


async def activate(town: Town, *sales: int):
    async with town.store.writing() as unit:
        return await activate_products(unit, sales, town.call(), town.desk)


async def test_rule_27_a_sale_activated_now_brings_its_credit(town: Town):
    sale = await sell(town, await pack(town), ActivateNow=True)
    sold = await town.get(CoworkerProduct, sale)
    assert sold["Activated"]
    (credit,) = await town.rows(CoworkerBookingCredit)
    whole = await town.get(CoworkerBookingCredit, credit["Id"])
    assert whole["RemainingCredit"] == whole["TotalCredit"] == money("50.00")
    assert (whole["CoworkerId"], whole["BusinessId"]) == (town.customer, town.business)
    assert whole["CoworkerProductUniqueId"] == sold["UniqueId"]
    assert (whole["Description"], whole["CaneBeUsedForBookings"]) == ("Rooms", True)
    assert whole["ElegibleResourceTypes"] == (town.room_type,)
    assert (whole["ValidFrom"], whole["ExpireDate"]) == (
        NOON,
        datetime(2026, 4, 10, 12, tzinfo=UTC),
    )
    (time,) = await town.rows(CoworkerExtraService)
    assert (time["RemainingUses"], time["ExtraServiceId"]) == (120, town.rate)
    assert time["CoworkerProductUniqueId"] == sold["UniqueId"]
    assert not time["IsFromTariff"]
    assert [line["Kind"] for line in await town.lines("money", credit["Id"])] == ["grant"]


async def test_rule_27_a_sale_not_yet_active_brings_nothing_until_it_is_activated_once(town: Town):
    sale = await sell(town, await pack(town))
    assert await town.rows(CoworkerBookingCredit) == []
    town.now = NOON + timedelta(days=3)
    done = await asyncio.gather(activate(town, sale), activate(town, sale))
    assert sorted(len(each.granted) for (each,) in done) == [0, 2]
    assert (await activate(town, sale))[0].granted == ()
    (credit,) = await town.rows(CoworkerBookingCredit)
    assert credit["ValidFrom"] == town.now
    keys = [key["Key"] for key in await town.rows(GrantKey)]
    assert sorted(keys) == [f"product/{sale}/money/1", f"product/{sale}/time/1"]


async def test_rule_27_the_key_guards_what_was_granted_even_where_the_mark_is_gone(town: Town):
    sale = await sell(town, await pack(town), ActivateNow=True)
    async with town.store.writing() as unit:
        await unit.update(CoworkerProduct, [(sale, {"Activated": False})])
    assert (await activate(town, sale))[0].granted == ()
    assert len(await town.rows(CoworkerBookingCredit)) == 1


@pytest.mark.parametrize("mark", ["Activated", "CoworkerInvoicePaid"])
async def test_rule_27_a_sale_that_is_paid_or_activated_brings_its_credit(town: Town, mark: str):
    sale = await sell(town, await pack(town))
    await change(town, sale, Notes="thanks")
    assert await town.rows(CoworkerBookingCredit) == []
    for _ in range(2):
        await change(town, sale, **{mark: True})
        assert len(await town.rows(CoworkerBookingCredit)) == 1
    assert (await town.get(CoworkerProduct, sale))["Activated"]
    await sell(town, await pack(town), **{mark: True})
    assert len(await town.rows(CoworkerBookingCredit)) == 2


async def test_a_sale_of_three_brings_three_times_the_credit(town: Town):
    product = await pack(town)
    await sell(town, product, ActivateNow=True, Quantity=3)
    await sell(town, product, ActivateNow=True, Quantity=0)
    assert [c["TotalCredit"] for c in await town.rows(CoworkerBookingCredit)] == [money("150.00")]
    assert [c["TotalUses"] for c in await town.rows(CoworkerExtraService)] == [360]


@pytest.mark.parametrize(
    ("life", "ends"),
    [
        ({"expiration": DAY, "ExpiresIn": 10}, datetime(2026, 3, 20, 12, tzinfo=UTC)),
        ({"expiration": WEEK, "ExpiresIn": 2}, datetime(2026, 3, 24, 12, tzinfo=UTC)),
        ({"expiration": MONTH, "ExpiresIn": 12}, datetime(2027, 3, 10, 12, tzinfo=UTC)),
        ({"expiration": YEAR}, datetime(2027, 3, 10, 12, tzinfo=UTC)),
        ({"expiration": END_OF_MONTH}, datetime(2026, 4, 1, tzinfo=UTC)),
        ({"expiration": PLAN, "ExpireTimeInMonths": 2}, datetime(2026, 5, 10, 12, tzinfo=UTC)),
        ({"expiration": PLAN, "ExpireTimeInWeeks": 1}, datetime(2026, 3, 17, 12, tzinfo=UTC)),
    ],
)
async def test_rule_27_benefits_last_as_the_product_says(
    town: Town, life: dict[str, Any], ends: datetime
):
    await sell(town, await pack(town, **life), ActivateNow=True)
    assert [c["ExpireDate"] for c in await town.rows(CoworkerBookingCredit)] == [ends]
    assert [c["ExpireDate"] for c in await town.rows(CoworkerExtraService)] == [ends]


@pytest.mark.parametrize(
    ("months", "weeks", "ends"),
    [
        (1, 0, datetime(2026, 3, 15, tzinfo=UTC)),
        (3, 0, datetime(2026, 4, 15, tzinfo=UTC)),
        (0, 2, datetime(2026, 3, 12, tzinfo=UTC)),
        (12, 0, datetime(2027, 1, 15, tzinfo=UTC)),
    ],
)
async def test_rule_27_a_benefit_for_the_plans_period_ends_with_the_main_contracts(
    town: Town, months: int, weeks: int, ends: datetime
):
    contract = await on_plan(town)
    async with town.store.writing() as unit:
        await unit.update(CoworkerContract, [(contract, {"MainContract": True})])
        await unit.update(Tariff, [(1, {"InvoiceEvery": months, "InvoiceEveryWeeks": weeks})])
    await sell(town, await pack(town, PLAN), ActivateNow=True)
    assert [c["ExpireDate"] for c in await town.rows(CoworkerBookingCredit)] == [ends]


async def test_rule_27_without_a_main_contract_such_a_sale_is_not_activated(town: Town):
    product = await pack(town, PLAN)
    with pytest.raises(Blocked, match="no active main contract"):
        await sell(town, product, ActivateNow=True)
    assert await town.rows(CoworkerProduct) == []
    with pytest.raises(Invalid):
        await sell(town, await pack(town, DAY, ExpiresIn=0), ActivateNow=True)


async def test_what_a_sale_brought_does_not_touch_what_the_plan_renews(town: Town):
    contract = await on_plan(town)
    sale = await sell(town, await pack(town), ActivateNow=True)
    assert sale == contract
    async with town.store.writing() as unit:
        assert len(await run_renewals(unit, town.call(), town.desk)) == 2


async def test_the_command_activates_sales_and_can_be_repeated(town: Town):
    product = await pack(town)
    sales = [await sell(town, product), await sell(town, product, ActivateNow=True)]
    (command,) = ledger_commands(town.desk)["CoworkerProduct"]
    assert command.key == "ACTIVATE_PRODUCT"
    said = []
    for _ in range(2):
        async with town.store.writing() as unit:
            said.append(await command.run(unit, sales, {}, town.call()))
    assert [each.message for each in said] == [
        "2 products are active; 2 credits added.",
        "2 products are active; 0 credits added.",
    ]
    assert said[0].value[0] == {"CoworkerProductId": sales[0], "Granted": ["money/2", "time/2"]}
    stranger = Caller(2, "far@example.com", locations=frozenset({999}))
    with pytest.raises(Invalid):
        async with town.store.writing() as unit:
            await command.run(unit, sales, {}, town.call(caller=stranger))


async def test_over_the_wire_a_sale_is_created_active_or_activated_by_the_command(town: Town):
    token = await _signed_in_token(town.store)
    app = build_app(town.store, Settings(), lambda: town.now)
    path = "/api/billing/coworkerproducts"
    body = {
        "CoworkerId": town.customer, "BusinessId": town.business, "ProductId": await pack(town),
        "Quantity": 1, "RepeatCycle": 4, "DiscountAmount": 0,
    }  # fmt: skip
    async with client_of(app, token) as client:
        first = await client.post(path, json={**body, "ActivateNow": True})
        assert first.status_code == 200, first.text
        second = (await client.post(path, json=body)).json()["Value"]["Id"]
        assert len(await town.rows(CoworkerBookingCredit)) == 1
        order = {"Key": "ACTIVATE_PRODUCT", "Ids": [second], "Parameters": []}
        for added in (2, 0):
            done = (await client.post(f"{path}/runcommand", json=order)).json()
            assert done["Message"] == f"1 products are active; {added} credits added."
    assert len(await town.rows(CoworkerBookingCredit)) == 2


async def _signed_in_token(store: Store) -> str:
    settings = AuthSettings()
    secret = await signing_secret(store, settings, NOON)
    async with store.writing() as unit:
        user = await create_user(unit, ADMIN.email, None, "Some One", is_admin=True, now=NOON)
        return (await issue_token(unit, user, secret, settings, now=NOON)).access_token
