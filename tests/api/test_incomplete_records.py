"""Records that an import brought without what a create must have: shown, kept, and refused by name where needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.billing.product import Product
from creditdesk.entities.billing.product_booking_credit import ProductBookingCredit
from creditdesk.entities.billing.product_extra_service import ProductExtraService
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import NullReporter
from creditdesk.transfer.importer import Importer
from tests.api.test_update_round_trip import changes_of_own_put
from tests.support.api_client import (
    BOOKINGS,
    TIME_CREDITS,
    TIME_USES,
    ApiClient,
    booking_item,
    created_id,
    result_value,
)

BUSINESS, CUSTOMER, RESOURCE_TYPE, RESOURCE = 9001, 9002, 9003, 9004
SPARSE: dict[str, list[dict[str, Any]]] = {
    "currencies": [{"Id": 9000, "Code": "EUR", "Name": "Euro"}],
    "businesses": [{"Id": BUSINESS, "Name": "Harbour", "CurrencyId": 9000}],
    "coworkers": [{"Id": CUSTOMER, "FullName": "Ada"}, {"Id": CUSTOMER + 50}],
    "users": [{"Id": 9005, "FullName": "Kim"}, {"Id": 9006}],
    "resourcetypes": [{"Id": RESOURCE_TYPE, "Name": "Room", "BusinessId": BUSINESS}],
    "resources": [{"Id": RESOURCE, "Name": "Room 1", "ResourceTypeId": RESOURCE_TYPE, "BusinessId": BUSINESS}],
    "extraservices": [{"Id": 9007, "Name": "Hours", "BusinessId": BUSINESS}],
    "tariffs": [{"Id": 9008, "Name": "Flex", "BusinessId": BUSINESS}],
    "coworkercontracts": [{"Id": 9009, "CoworkerId": CUSTOMER}],
    "bookings": [{"Id": 9010, "ResourceId": RESOURCE, "CoworkerId": CUSTOMER}, {"Id": 9011}],
    "products": [{"Id": 9012, "Name": "Pack"}],
    "coworkerproducts": [{"Id": 9013, "CoworkerId": CUSTOMER, "ProductId": 9012}],
    "coworkerbookingcredits": [{"Id": 9014, "CoworkerId": CUSTOMER, "BusinessId": BUSINESS, "TotalCredit": 5}],
    "coworkerextraservices": [
        {"Id": 9015, "CoworkerId": CUSTOMER, "BusinessId": BUSINESS, "ExtraServiceId": 9007, "TotalUses": 5}
    ],
}


@pytest.fixture(scope="module")
async def imported(tmp_path_factory: pytest.TempPathFactory, ledger: Any) -> None:
    """Records as an old account may hold them, each with the least that an import takes."""
    folder: Path = tmp_path_factory.mktemp("sparse")
    for plural, records in SPARSE.items():
        (folder / f"{plural}.json").write_text(json.dumps(records), encoding="utf-8")
    state = await Importer(ledger.store, NullReporter(), ledger.now).run(folder)
    assert state.report.refused == 0
    assert all(state.counts[entity.__name__].added for entity in imported_entities())


def imported_entities() -> list[type[Entity]]:
    return [entity for entity in PUBLIC_ENTITIES if entity.plural in SPARSE]


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("entity", [e for e in imported_entities() if "update" in e.verbs], ids=lambda e: e.__name__)
async def test_an_imported_record_is_accepted_as_it_is_shown(client: httpx.AsyncClient, entity: type[Entity]) -> None:
    for record in SPARSE[entity.plural]:
        assert await changes_of_own_put(client, entity, record["Id"]) == {}


async def test_a_stored_value_cannot_be_left_out(api: ApiClient) -> None:
    booking = await api.create_booking()
    shown = await api.get(f"{BOOKINGS}/{booking}")
    response = await api.http.put(BOOKINGS, json={**shown, "FromTime": None, "ToTime": None})
    assert response.status_code == 400
    assert [error["PropertyName"] for error in response.json()["Errors"]] == ["FromTime", "ToTime"]


async def test_a_booking_without_times_is_neither_priced_nor_charged(api: ApiClient) -> None:
    booking = await api.create_booking()
    await update(api, Booking, booking, FromTime=None, ToTime=None)
    for path in ("/api/ledger/previews", "/api/ledger/spends", "/api/ledger/holds"):
        response = await api.post(path, api.basket_body(booking_item(booking)))
        assert response.status_code == 400, response.text
        assert response.json()["Message"] == f"Sources: booking/{booking} has no times"
    for command in ("CHARGE_BOOKING", "RECALCULATE_BOOKING"):
        assert_unsuccessful(await api.run_command(BOOKINGS, command, [booking]))


async def test_a_time_use_needs_the_times_of_its_booking(api: ApiClient) -> None:
    credit, booking = await api.create_time_credit(100), await api.create_booking()
    await update(api, Booking, booking, FromTime=None, ToTime=None)
    response = await api.post(TIME_USES, {"CoworkerExtraServiceId": credit, "BookingId": booking})
    assert response.status_code == 400
    assert response.json()["Message"] == "Booking: has no times"


@pytest.mark.parametrize("missing", ["Price", "ChargePeriod"])
async def test_a_rate_without_price_or_unit_prices_nothing(api: ApiClient, missing: str) -> None:
    rate = await api.ledger.add_rate(1, "20.00")
    credit = created_id(await api.post(TIME_CREDITS, time_credit_body(api, rate)))
    booking = await api.create_booking(ExtraServiceId=rate)
    await update(api, ExtraService, rate, **{missing: None})
    message = f"ExtraService #{rate} has no {missing}: set it first."
    for path, body in (
        ("/api/ledger/previews", api.basket_body(booking_item(booking))),
        ("/api/ledger/spends", api.basket_body(booking_item(booking))),
        (TIME_USES, {"CoworkerExtraServiceId": credit, "BookingId": booking}),
        (TIME_CREDITS, time_credit_body(api, rate)),
    ):
        assert_unsuccessful(await api.post(path, body), message)


async def test_a_sale_without_quantity_is_not_paid(api: ApiClient) -> None:
    product = await api.ledger.add(Product, Name="Pack", BusinessId=api.ledger.business, CurrencyId=api.ledger.currency)
    sale = await api.ledger.add(
        CoworkerProduct, CoworkerId=api.ledger.customer, BusinessId=api.ledger.business, ProductId=product
    )
    response = await api.spend({"Kind": "product", "Id": sale})
    assert_unsuccessful(response, f"CoworkerProduct #{sale} has no Quantity: set it first.")


async def test_a_contract_without_a_plan_stops_no_renewal(api: ApiClient) -> None:
    await api.ledger.add(CoworkerContract, CoworkerId=api.ledger.customer, Active=True, MainContract=True)
    result_value(await api.post("/api/ledger/renewals"))
    await api.create_credit("20.00")
    [paid] = await api.preview({"Kind": "charge", "Id": 1, "Amount": 1})
    assert paid["parts"] == []


async def test_benefits_without_an_amount_grant_nothing(api: ApiClient) -> None:
    ledger = api.ledger
    plan = await api.create_tariff()
    product = await ledger.add(Product, Name="Pack", BusinessId=ledger.business, CurrencyId=ledger.currency)
    for owner, money_benefit, time_benefit in (
        ({"TariffId": plan}, TariffBookingCredit, TariffExtraService),
        ({"ProductId": product}, ProductBookingCredit, ProductExtraService),
    ):
        await ledger.add(money_benefit, **owner)
        await ledger.add(time_benefit, ExtraServiceId=ledger.rate, **owner)
    contract = {"CoworkerId": ledger.customer, "IssuedById": ledger.business, "TariffId": plan, "BillingDay": 1}
    await ledger.add(CoworkerContract, Active=True, MainContract=True, StartDate=ledger.now, **contract)
    result_value(await api.post("/api/ledger/renewals"))
    body = {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "ProductId": product, "Quantity": 1}
    sale = await api.post(CoworkerProduct.path(), {**body, "RepeatCycle": 1, "DiscountAmount": 0, "ActivateNow": True})
    assert sale.json()["WasSuccessful"], sale.text
    assert (await api.get("/api/ledger/balances", CoworkerId=ledger.customer))["Value"] == []


async def test_a_user_without_an_email_gets_no_password(client: httpx.AsyncClient, builder: Any) -> None:
    user = await builder.create(User, Email=None)
    shown = (await client.get(f"{User.path()}/{user}")).json()
    response = await client.put(User.path(), json={**shown, "NewPassword": "correct horse battery"})
    assert response.status_code == 400
    assert [error["PropertyName"] for error in response.json()["Errors"]] == ["Email"]


async def update(api: ApiClient, entity: type[Entity], record_id: int, **values: Any) -> None:
    async with api.ledger.store.write_session() as session:
        await session.update(entity, [(record_id, values)])


def time_credit_body(api: ApiClient, rate: int) -> dict[str, Any]:
    return {
        "CoworkerId": api.ledger.customer,
        "BusinessId": api.ledger.business,
        "ExtraServiceId": rate,
        "TotalUses": 100,
        "ChargePeriod": 1,
    }


def assert_unsuccessful(response: httpx.Response, message: str | None = None) -> None:
    assert response.status_code == 200, response.text
    assert response.json()["WasSuccessful"] is False, response.text
    assert message is None or message in response.json()["Message"]
