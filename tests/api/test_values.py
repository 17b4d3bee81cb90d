"""Which values a body may send: amounts, dates and GUIDs as text, and the times of a booking."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.billing.product import Product
from creditdesk.entities.billing.product_booking_credit import ProductBookingCredit
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.spaces.booking import Booking
from tests.support.api_client import ApiClient, booking_item, result_value
from tests.support.ledger_builder import LedgerBuilder, money

BOOKINGS, CREDITS = "/api/spaces/bookings", "/api/billing/coworkerbookingcredits"
START, END = "2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z"
LATER = {"Message": "must be later than FromTime", "PropertyName": "ToTime"}


def credit_body(ledger: LedgerBuilder, amount: Any) -> dict[str, Any]:
    return {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "TotalCredit": amount}


def booking_body(ledger: LedgerBuilder, starts: str, ends: str) -> dict[str, Any]:
    times = {"FromTime": starts, "ToTime": ends}
    return {"ResourceId": ledger.resource, "CoworkerId": ledger.customer, **times}


@pytest.mark.parametrize("sent", ["1_000", "١٢", "１２", "1_0.5", "0x10", "1e", "--1", "+", "."])
async def test_amounts_in_other_digits_are_refused(client: httpx.AsyncClient, ledger: LedgerBuilder, sent: str) -> None:
    response = await client.post(CREDITS, json=credit_body(ledger, sent))
    assert response.status_code == 400
    assert response.json()["Errors"] == [
        {"AttemptedValue": sent, "Message": "must be a number", "PropertyName": "TotalCredit"}
    ]
    response = await client.post(BOOKINGS, json={"ResourceId": sent})
    assert response.status_code == 400
    assert response.json()["Errors"][0] == {
        "AttemptedValue": sent, "Message": "must be a whole number", "PropertyName": "Resource",
    }  # fmt: skip
    name = "CoworkerBookingCredit_TotalCredit"
    response = await client.get(CREDITS, params={name: sent})
    assert response.status_code == 400
    assert [e["PropertyName"] for e in response.json()["Errors"]] == [name]


@pytest.mark.parametrize(("sent", "stored"), [(" 12.50 ", 12.5), ("1e2", 100), (".5", 0.5)])
async def test_amounts_may_come_as_text(
    client: httpx.AsyncClient, ledger: LedgerBuilder, sent: str, stored: float
) -> None:
    response = await client.post(CREDITS, json=credit_body(ledger, sent))
    assert response.status_code == 200, response.text
    assert response.json()["Value"]["TotalCredit"] == stored


async def test_dates_and_guids_in_other_digits_are_refused(client: httpx.AsyncClient, ledger: LedgerBuilder) -> None:
    body = booking_body(ledger, "٢٠٢٦-05-01", END)
    body["RepeatSeriesUniqueId"] = "1_345678-1234-1234-1234-123456789012"
    response = await client.post(BOOKINGS, json=body)
    assert response.status_code == 400
    refused = [each["PropertyName"] for each in response.json()["Errors"]]
    assert refused == ["FromTime", "RepeatSeriesUniqueId"]


@pytest.mark.parametrize("ends", [START, "2026-05-01T09:00:00Z"])
async def test_a_booking_ends_after_it_starts(client: httpx.AsyncClient, ledger: LedgerBuilder, ends: str) -> None:
    response = await client.post(BOOKINGS, json=booking_body(ledger, START, ends))
    assert response.status_code == 400
    assert response.json()["Errors"] == [LATER | {"AttemptedValue": ends}]
    created = await client.post(BOOKINGS, json=booking_body(ledger, START, END))
    whole = created.json()["Value"]
    response = await client.put(BOOKINGS, json=whole | {"ToTime": ends})
    assert response.status_code == 400
    assert response.json()["Errors"] == [LATER | {"AttemptedValue": ends}]


@pytest.mark.parametrize(
    ("starts", "ends", "names"),
    [
        ("9999-12-31T10:00:00Z", "9999-12-31T23:59:59Z", ["FromTime", "ToTime"]),
        (START, "9999-12-31T23:59:59Z", ["ToTime"]),
        ("0001-01-01T00:00:00Z", END, ["FromTime"]),
    ],
)
async def test_a_booking_lies_in_years_that_local_dates_have(
    client: httpx.AsyncClient, ledger: LedgerBuilder, starts: str, ends: str, names: list[str]
) -> None:
    body = booking_body(ledger, starts, ends) | {"ChargeNow": True}
    response = await client.post(BOOKINGS, json=body)
    assert response.status_code == 400
    errors = response.json()["Errors"]
    assert [each["PropertyName"] for each in errors] == names
    assert {each["Message"] for each in errors} == {"must be in the years 1900 to 9998"}


@pytest.mark.parametrize("instant", ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z"])
@pytest.mark.parametrize("days", [0, 30, 2**63 - 1])
async def test_balances_have_no_edge_of_the_calendar(api: ApiClient, instant: str, days: int) -> None:
    await api.create_credit("20.00", ExpireDate="9999-12-31T23:59:59Z")
    for moments in ({"At": instant}, {"At": instant, "AsKnownAt": instant}, {}):
        found = await api.get("/api/ledger/balances", CoworkerId=api.ledger.customer, Days=days, **moments)
        assert len(found["Value"]) == 1


@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        ("9999-12-30T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ],
)
@pytest.mark.parametrize("period", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def test_a_stored_booking_at_an_edge_of_the_calendar_is_priced(
    api: ApiClient, starts: str, ends: str, period: int, zone: str
) -> None:
    ledger = api.ledger
    for profile in await ledger.find(LocationProfile, BusinessId=ledger.business):
        async with ledger.store.write_session() as session:
            await session.delete(LocationProfile, [profile["Id"]])
    await ledger.add_location_profile(zone)
    rate = await ledger.add_rate(period, "20.00")
    await ledger.add_time_credit(600, ExtraServiceId=rate)
    times = {"FromTime": datetime.fromisoformat(starts), "ToTime": datetime.fromisoformat(ends)}
    booking = await ledger.add(
        Booking, ResourceId=ledger.resource, CoworkerId=ledger.customer, ExtraServiceId=rate, **times
    )
    [priced] = await api.preview(booking_item(booking))
    assert Decimal(priced["price"]) >= 0
    assert (await api.get(f"/api/spaces/bookings/{booking}"))["Id"] == booking


@pytest.mark.parametrize("expires_in", [10**6, 2**31, 2**63 - 1])
@pytest.mark.parametrize("expiration", [2, 3, 4, 5, 6])
async def test_a_benefit_of_any_length_is_granted(api: ApiClient, expiration: int, expires_in: int) -> None:
    ledger = api.ledger
    product = await ledger.add(Product, Name="Pack", BusinessId=ledger.business, CurrencyId=ledger.currency)
    lifetime = {"ProductId": product, "ExpirationType": expiration, "ExpiresIn": expires_in}
    await ledger.add(ProductBookingCredit, Name="Rooms", Credit=money("5.00"), CaneBeUsedForBookings=True, **lifetime)
    body = {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "ProductId": product, "Quantity": 1}
    sale = await api.post(CoworkerProduct.path(), {**body, "RepeatCycle": 1, "DiscountAmount": 0, "ActivateNow": True})
    assert result_value(sale)["Activated"] is True
    [balance] = (await api.get("/api/ledger/balances", CoworkerId=ledger.customer))["Value"]
    assert balance["ExpireDate"] > "4700"


@pytest.mark.parametrize("path", ["/api/ledger/previews", "/api/ledger/spends", "/api/ledger/holds"])
async def test_a_price_below_zero_is_refused(api: ApiClient, path: str) -> None:
    booking = await api.create_booking(OverridePrice=-5)
    response = await api.post(path, api.basket_body(booking_item(booking)))
    assert response.status_code == 400
    assert response.json()["Message"] == f"Sources: booking/{booking} has a price below zero"
    assert (await api.get(f"{BOOKINGS}/{booking}"))["EstimatedCost"] is None


@pytest.mark.parametrize("values", [{}, {"BookingId": 1}])
async def test_more_uses_than_an_amount_holds_the_price_of_are_refused(api: ApiClient, values: dict[str, Any]) -> None:
    rate = await api.ledger.add(
        ExtraService, Name="Dear", BusinessId=api.ledger.business, CurrencyId=api.ledger.currency,
        ChargePeriod=5, Price=money("1000000.00"),
    )  # fmt: skip
    body = {
        "CoworkerId": api.ledger.customer, "BusinessId": api.ledger.business, "ExtraServiceId": rate,
        "TotalUses": 42_740_930_821_786, "ChargePeriod": 5, **values,
    }  # fmt: skip
    answer = await api.post("/api/billing/coworkerextraservices", body)
    assert (answer.status_code, answer.json()["Message"]) == (400, "TotalUses: is too much at the price of its rate")
