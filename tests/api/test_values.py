"""Which values a body may send: amounts, dates and GUIDs as text, and the times of a booking."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.ledger_builder import LedgerBuilder

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
