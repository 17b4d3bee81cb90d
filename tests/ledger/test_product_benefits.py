"""Product benefits: rule 27, on both engines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditdesk.api.default_service import DefaultService
from creditdesk.app import build_app
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
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.ledger.actions import ledger_actions
from creditdesk.ledger.operations.product_benefits import ProductService, activate_products
from creditdesk.schema.errors import StateConflict, ValidationError
from creditdesk.schema.params import Params
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal
from creditdesk.settings import AuthSettings, Settings
from tests.ledger.test_renewals import add_contract, run_due_renewals
from tests.support.ledger_builder import ADMIN_PRINCIPAL, NOON, LedgerBuilder, money
from tests.support.users import http_client

DAY, WEEK, MONTH, YEAR, END_OF_MONTH, PLAN = 2, 3, 4, 5, 6, 1


async def add_product(ledger: LedgerBuilder, expiration: int = MONTH, **values: Any) -> int:
    """Adds a product that grants 50.00 for bookings and 120 minutes."""
    product = await ledger.add(Product, Name="Pack", BusinessId=ledger.business, CurrencyId=ledger.currency)
    lifetime = {"ProductId": product, "ExpirationType": expiration, **values}
    await ledger.add(
        ProductBookingCredit, Name="Rooms", Credit=money("50.00"), CaneBeUsedForBookings=True,
        ElegibleResourceTypes=(ledger.resource_type,), **lifetime,
    )  # fmt: skip
    await ledger.add(ProductExtraService, ExtraServiceId=ledger.rate, UsesIncluded=120, **lifetime)
    return product


async def add_sale(ledger: LedgerBuilder, product: int, **values: Any) -> int:
    """Creates a sale as the API does."""
    record = {c.name: c.field.default_value for c in CoworkerProduct.meta().stored_columns if c.name != "Id"}
    record |= {
        "CoworkerId": ledger.customer, "BusinessId": ledger.business, "ProductId": product,
        "Quantity": 1, **values,
    }  # fmt: skip
    async with ledger.store.write_session() as session:
        writer = ProductService(ledger.context, DefaultService())
        return await writer.create(session, CoworkerProduct, record, ledger.request_context())


async def update_sale(ledger: LedgerBuilder, sale: int, **values: Any) -> None:
    before = await ledger.get(CoworkerProduct, sale)
    async with ledger.store.write_session() as session:
        writer = ProductService(ledger.context, DefaultService())
        await writer.update(session, CoworkerProduct, before, values, ledger.request_context())


async def activate_sales(ledger: LedgerBuilder, *sales: int) -> Any:
    async with ledger.store.write_session() as session:
        return await activate_products(session, sales, ledger.request_context(), ledger.context)


async def test_rule_27_a_sale_activated_now_grants_its_benefits(ledger: LedgerBuilder) -> None:
    sale = await add_sale(ledger, await add_product(ledger), ActivateNow=True)
    sold = await ledger.get(CoworkerProduct, sale)
    assert sold["Activated"]
    (credit,) = await ledger.find(CoworkerBookingCredit)
    whole = await ledger.get(CoworkerBookingCredit, credit["Id"])
    assert whole["RemainingCredit"] == whole["TotalCredit"] == money("50.00")
    assert (whole["CoworkerId"], whole["BusinessId"]) == (ledger.customer, ledger.business)
    assert whole["CoworkerProductUniqueId"] == sold["UniqueId"]
    assert (whole["Description"], whole["CaneBeUsedForBookings"]) == ("Rooms", True)
    assert whole["ElegibleResourceTypes"] == (ledger.resource_type,)
    assert (whole["ValidFrom"], whole["ExpireDate"]) == (
        NOON,
        datetime(2026, 4, 10, 12, tzinfo=UTC),
    )
    (time,) = await ledger.find(CoworkerExtraService)
    assert (time["RemainingUses"], time["ExtraServiceId"]) == (120, ledger.rate)
    assert time["CoworkerProductUniqueId"] == sold["UniqueId"]
    assert not time["IsFromTariff"]
    assert [line["Kind"] for line in await ledger.journal_lines("money", credit["Id"])] == ["grant"]


async def test_rule_27_benefits_are_granted_once_on_activation(ledger: LedgerBuilder) -> None:
    sale = await add_sale(ledger, await add_product(ledger))
    assert await ledger.find(CoworkerBookingCredit) == []
    ledger.now = NOON + timedelta(days=3)
    done = await asyncio.gather(activate_sales(ledger, sale), activate_sales(ledger, sale))
    assert sorted(len(each.granted) for (each,) in done) == [0, 2]
    assert (await activate_sales(ledger, sale))[0].granted == ()
    (credit,) = await ledger.find(CoworkerBookingCredit)
    assert credit["ValidFrom"] == ledger.now
    keys = [key["Key"] for key in await ledger.find(BenefitGrant)]
    assert sorted(keys) == [f"product/{sale}/money/1", f"product/{sale}/time/1"]


async def test_rule_27_the_grant_key_prevents_a_second_grant(ledger: LedgerBuilder) -> None:
    sale = await add_sale(ledger, await add_product(ledger), ActivateNow=True)
    async with ledger.store.write_session() as session:
        await session.update(CoworkerProduct, [(sale, {"Activated": False})])
    assert (await activate_sales(ledger, sale))[0].granted == ()
    assert len(await ledger.find(CoworkerBookingCredit)) == 1


@pytest.mark.parametrize("mark", ["Activated", "CoworkerInvoicePaid"])
async def test_rule_27_a_paid_or_activated_sale_grants_its_benefits(ledger: LedgerBuilder, mark: str) -> None:
    sale = await add_sale(ledger, await add_product(ledger))
    await update_sale(ledger, sale, Notes="thanks")
    assert await ledger.find(CoworkerBookingCredit) == []
    for _ in range(2):
        await update_sale(ledger, sale, **{mark: True})
        assert len(await ledger.find(CoworkerBookingCredit)) == 1
    assert (await ledger.get(CoworkerProduct, sale))["Activated"]
    await add_sale(ledger, await add_product(ledger), **{mark: True})
    assert len(await ledger.find(CoworkerBookingCredit)) == 2


async def test_benefits_scale_with_the_quantity(ledger: LedgerBuilder) -> None:
    product = await add_product(ledger)
    await add_sale(ledger, product, ActivateNow=True, Quantity=3)
    await add_sale(ledger, product, ActivateNow=True, Quantity=0)
    assert [c["TotalCredit"] for c in await ledger.find(CoworkerBookingCredit)] == [money("150.00")]
    assert [c["TotalUses"] for c in await ledger.find(CoworkerExtraService)] == [360]


@pytest.mark.parametrize(
    ("lifetime", "ends"),
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
async def test_rule_27_benefits_expire_as_the_product_defines(
    ledger: LedgerBuilder, lifetime: dict[str, Any], ends: datetime
) -> None:
    await add_sale(ledger, await add_product(ledger, **lifetime), ActivateNow=True)
    assert [c["ExpireDate"] for c in await ledger.find(CoworkerBookingCredit)] == [ends]
    assert [c["ExpireDate"] for c in await ledger.find(CoworkerExtraService)] == [ends]


@pytest.mark.parametrize(
    ("months", "weeks", "ends"),
    [
        (1, 0, datetime(2026, 3, 15, tzinfo=UTC)),
        (3, 0, datetime(2026, 4, 15, tzinfo=UTC)),
        (0, 2, datetime(2026, 3, 12, tzinfo=UTC)),
        (12, 0, datetime(2027, 1, 15, tzinfo=UTC)),
    ],
)
async def test_rule_27_a_plan_period_benefit_ends_with_the_main_contract_period(
    ledger: LedgerBuilder, months: int, weeks: int, ends: datetime
) -> None:
    contract = await add_contract(ledger)
    async with ledger.store.write_session() as session:
        await session.update(CoworkerContract, [(contract, {"MainContract": True})])
        await session.update(Tariff, [(1, {"InvoiceEvery": months, "InvoiceEveryWeeks": weeks})])
    await add_sale(ledger, await add_product(ledger, PLAN), ActivateNow=True)
    assert [c["ExpireDate"] for c in await ledger.find(CoworkerBookingCredit)] == [ends]


async def test_rule_27_a_plan_period_benefit_needs_a_main_contract(ledger: LedgerBuilder) -> None:
    product = await add_product(ledger, PLAN)
    with pytest.raises(StateConflict, match="no active main contract"):
        await add_sale(ledger, product, ActivateNow=True)
    assert await ledger.find(CoworkerProduct) == []
    with pytest.raises(ValidationError):
        await add_sale(ledger, await add_product(ledger, DAY, ExpiresIn=0), ActivateNow=True)


async def test_product_benefits_do_not_affect_plan_renewals(ledger: LedgerBuilder) -> None:
    contract = await add_contract(ledger)
    sale = await add_sale(ledger, await add_product(ledger), ActivateNow=True)
    assert sale == contract
    assert len(await run_due_renewals(ledger)) == 2


async def test_the_action_activates_sales_and_can_be_repeated(ledger: LedgerBuilder) -> None:
    product = await add_product(ledger)
    sales = [await add_sale(ledger, product), await add_sale(ledger, product, ActivateNow=True)]
    (action,) = ledger_actions(ledger.context)["CoworkerProduct"]
    assert action.key == "ACTIVATE_PRODUCT"
    results = []
    for _ in range(2):
        async with ledger.store.write_session() as session:
            results.append(await action.run(session, sales, Params((), {}), ledger.request_context()))
    assert [each.message for each in results] == [
        "2 products are active; 2 credits added.",
        "2 products are active; 0 credits added.",
    ]
    assert results[0].value[0] == {"CoworkerProductId": sales[0], "Granted": ["money/2", "time/2"]}
    stranger = Principal(2, "far@example.com", locations=frozenset({999}))
    with pytest.raises(ValidationError):
        async with ledger.store.write_session() as session:
            await action.run(session, sales, Params((), {}), ledger.request_context(caller=stranger))


async def test_a_sale_is_activated_on_create_or_by_action_over_http(ledger: LedgerBuilder) -> None:
    token = await _signed_in_token(ledger.store)
    app = build_app(ledger.store, Settings(), lambda: ledger.now)
    path = "/api/billing/coworkerproducts"
    body = {
        "CoworkerId": ledger.customer, "BusinessId": ledger.business, "ProductId": await add_product(ledger),
        "Quantity": 1, "RepeatCycle": 4, "DiscountAmount": 0,
    }  # fmt: skip
    async with http_client(app, token) as client:
        first = await client.post(path, json={**body, "ActivateNow": True})
        assert first.status_code == 200, first.text
        second = (await client.post(path, json=body)).json()["Value"]["Id"]
        assert len(await ledger.find(CoworkerBookingCredit)) == 1
        order = {"Key": "ACTIVATE_PRODUCT", "Ids": [second], "Parameters": []}
        for added in (2, 0):
            done = (await client.post(f"{path}/runcommand", json=order)).json()
            assert done["Message"] == f"1 products are active; {added} credits added."
    assert len(await ledger.find(CoworkerBookingCredit)) == 2


async def _signed_in_token(store: Store) -> str:
    settings = AuthSettings()
    secret = await signing_secret(store, settings, NOON)
    async with store.write_session() as session:
        user = await create_user(session, ADMIN_PRINCIPAL.email, None, "Some One", is_admin=True, now=NOON)
        return (await issue_token(session, user, secret, settings, now=NOON)).access_token
