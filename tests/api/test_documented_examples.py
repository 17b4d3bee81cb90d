"""The documented samples, replayed: same keys, same order, same types of values."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.extra_service import ExtraService
from tests.support.record_builder import RecordBuilder

MONEY_USES = "/api/billing/coworkerbookingcreditusehistories"
TIME_USES = "/api/billing/coworkerextraserviceusehistories"
BASE = [
    "Id", "UpdatedOn", "CreatedOn", "UniqueId", "UpdatedBy", "IsNew", "SystemId", "ToStringText",
    "LocalizationDetails", "CustomFields",
]  # fmt: skip
MONEY_SAMPLE = [
    "Description", "CoworkerBookingCreditId", "BookingId", "BookingFromTime", "BookingToTime",
    "BookingResourceName", "CoworkerInvoiceLineId", "CoworkerInvoiceLineCoworkerInvoiceId",
    "CoworkerInvoiceLineCoworkerInvoiceInvoiceNumber", "EventAttendeeId",
    "EventAttendeeCalendarEventName", "EventAttendeeEventProductName", "EventAttendeeFullName",
    "EventAttendeeEmail", "CreditUsed",
]  # fmt: skip
MONEY_NEWEST = [
    "CoworkerBookingCreditBusinessCurrencyCode", "CoworkerBookingCreditCoworkerId",
    "CoworkerBookingCreditDescription", "CoworkerBookingCreditTariffBookingCreditName",
    "CoworkerBookingCreditExpireDate", "CoworkerBookingCreditRemainingCredit",
    "CoworkerBookingCreditCoworkerProductUniqueId",
]  # fmt: skip
TIME_SAMPLE = [
    "CoworkerExtraServiceId", "BookingId", "BookingFromTime", "BookingToTime",
    "BookingResourceName", "CreditUsed",
]  # fmt: skip
TIME_NEWEST = [
    "CoworkerExtraServiceCoworkerId", "CoworkerExtraServiceExtraServiceIsPrintingCredit",
    "CoworkerExtraServiceExtraServiceName", "CoworkerExtraServiceExpireDate",
    "CoworkerExtraServiceRemainingUses", "CoworkerExtraServiceIsFromTariff",
    "CoworkerExtraServiceCoworkerProductUniqueId",
]  # fmt: skip
ENVELOPE = [
    "Records", "CurrentPageSize", "CurrentPage", "CurrentOrderField", "CurrentSortDirection",
    "FirstItem", "HasNextPage", "HasPreviousPage", "LastItem", "PageNumber", "PageSize",
    "TotalItems", "TotalPages",
]  # fmt: skip
ACTION = [
    "Status", "Message", "Value", "OpenInDialog", "OpenInWindow", "RedirectURL", "JavaScript",
    "UpdatedOn", "UpdatedBy", "Errors", "WasSuccessful",
]  # fmt: skip
GrantCredit = Callable[[float], Awaitable[int]]
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture(scope="module")
def grant(client: httpx.AsyncClient, builder: RecordBuilder) -> GrantCredit:
    """Posts a money credit and returns its id."""

    async def granted(total: float) -> int:
        response = await client.post(
            CoworkerBookingCredit.path(),
            json={
                "CoworkerId": await builder.shared_id("Coworker"),
                "BusinessId": await builder.shared_id("Business"),
                "TotalCredit": total,
            },
        )
        assert response.status_code == 200, response.text
        return int(response.json()["Value"]["Id"])

    return granted


async def test_a_money_use_is_created_as_documented(client: httpx.AsyncClient, grant: GrantCredit) -> None:
    credit = await grant(100)
    response = await client.post(MONEY_USES, json={"CoworkerBookingCreditId": credit, "CreditUsed": 0})
    assert response.status_code == 200, response.text
    body = response.json()
    assert list(body) == ACTION
    assert body["Status"] == 200
    assert body["Message"] == "CoworkerBookingCreditUseHistory was successfully created."
    assert isinstance(body["Value"]["Id"], int)
    nothing = {"OpenInDialog": False, "OpenInWindow": False, "RedirectURL": None}
    nothing |= {"JavaScript": None, "Errors": None, "WasSuccessful": True}
    assert {key: body[key] for key in nothing} == nothing
    assert INSTANT.fullmatch(body["UpdatedOn"])
    assert body["UpdatedBy"] == "admin@example.com"


async def test_money_use_without_an_amount_is_the_documented_400(client: httpx.AsyncClient, grant: GrantCredit) -> None:
    credit = await grant(100)
    response = await client.post(MONEY_USES, json={"CoworkerBookingCreditId": credit})
    assert response.status_code == 400
    assert response.text == (
        '{"Message":"CreditUsed: is a required field","Value":null,"Errors":[{"AttemptedValue":'
        'null,"Message":"is a required field","PropertyName":"CreditUsed"}],"WasSuccessful":false}'
    )


async def test_a_missing_credit_is_reported_under_its_relation(client: httpx.AsyncClient) -> None:
    for missing in ({}, {"CoworkerBookingCreditId": 0}):
        response = await client.post(MONEY_USES, json=missing | {"CreditUsed": 0})
        assert response.json()["Message"] == "CoworkerBookingCredit: is a required field"
    response = await client.post(MONEY_USES, json={"CoworkerBookingCreditId": 987654, "CreditUsed": 1})
    assert response.status_code == 400
    assert response.json()["Message"] == "CoworkerBookingCredit: is not found"


async def test_an_overspend_is_the_documented_400(client: httpx.AsyncClient, grant: GrantCredit) -> None:
    credit = await grant(5)
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": 5.01}
    response = await client.post(MONEY_USES, json=use)
    assert response.status_code == 400
    assert list(response.json()) == ["Message", "Value", "Errors", "WasSuccessful"]
    assert response.json()["Errors"][0]["PropertyName"] == "CreditUsed"
    drained = await client.post(MONEY_USES, json=use | {"CreditUsed": "5"})
    assert drained.status_code == 200
    assert drained.json()["Value"]["CoworkerBookingCreditRemainingCredit"] == 5
    seen = await client.get(f"{MONEY_USES}/{drained.json()['Value']['Id']}")
    assert seen.json()["CoworkerBookingCreditRemainingCredit"] == 0


async def test_money_uses_are_listed_as_documented(client: httpx.AsyncClient, grant: GrantCredit) -> None:
    credit = await grant(50)
    await client.post(MONEY_USES, json={"CoworkerBookingCreditId": credit, "CreditUsed": 2.5})
    response = await client.get(
        f"{MONEY_USES}?page=1&size=15&orderBy=CreatedOn&dir=1"
        f"&CoworkerBookingCreditUseHistory_CoworkerBookingCredit={credit}"
    )
    body = response.json()
    assert list(body) == ENVELOPE
    [record] = body["Records"]
    assert list(record) == [*MONEY_SAMPLE, *MONEY_NEWEST, *BASE]
    assert record["CreditUsed"] == 2.5
    assert record["ToStringText"] == f"#{record['Id']}"
    assert [body[key] for key in ENVELOPE[1:]] == [
        15, 1, "CreatedOn", 1, 1, False, False, 1, 1, 15, 1, 1,
    ]  # fmt: skip


async def test_the_documented_ranges_are_inclusive(client: httpx.AsyncClient, grant: GrantCredit) -> None:
    credit = await grant(50)
    made = await client.post(MONEY_USES, json={"CoworkerBookingCreditId": credit, "CreditUsed": 7.25})
    name, instant = "CoworkerBookingCreditUseHistory", made.json()["UpdatedOn"]
    mine = {f"{name}_CoworkerBookingCredit": credit}

    async def total(**params: Any) -> int:
        response = await client.get(MONEY_USES, params=mine | params)
        assert response.status_code == 200, response.text
        return int(response.json()["TotalItems"])

    assert await total(**{f"from_{name}_CreditUsed": 7.25, f"to_{name}_CreditUsed": 7.25}) == 1
    assert await total(**{f"From_{name}_CreditUsed": 7.2501}) == 0
    assert await total(**{f"from_{name}_UpdatedOn": instant, f"to_{name}_UpdatedOn": instant}) == 1
    assert await total(**{f"from_{name}_UpdatedOn": "2025-01-01T00:00"}) == 1
    assert await total(**{f"to_{name}_UpdatedOn": "2025-12-31T23:59"}) == 0
    assert await total(**{f"{name}_CreatedOn": instant[:16]}) == 1
    assert await total(**{f"{name}_CreatedOn": instant[:10]}) == 1


async def test_a_time_use_is_created_and_listed_as_documented(
    client: httpx.AsyncClient, builder: RecordBuilder
) -> None:
    rate = await builder.create(ExtraService, ChargePeriod=5)
    response = await client.post(
        CoworkerExtraService.path(),
        json={
            "CoworkerId": await builder.shared_id("Coworker"),
            "BusinessId": await builder.shared_id("Business"),
            "ExtraServiceId": rate,
            "TotalUses": 3,
        },
    )
    credit = response.json()["Value"]
    assert (credit["RemainingUses"], credit["ChargePeriod"]) == (3, 1)
    used = await client.post(TIME_USES, json={"CoworkerExtraServiceId": credit["Id"]})
    assert used.status_code == 200, used.text
    assert list(used.json()) == ACTION
    assert used.json()["Value"]["CreditUsed"] == 1
    listed = await client.get(f"{TIME_USES}?CoworkerExtraServiceUseHistory_CoworkerExtraService={credit['Id']}")
    [record] = listed.json()["Records"]
    assert list(record) == [*TIME_SAMPLE, *TIME_NEWEST, *BASE]
    assert record["CoworkerExtraServiceRemainingUses"] == 2


async def test_use_with_a_key_is_replayed_byte_for_byte(client: httpx.AsyncClient, grant: GrantCredit) -> None:
    use = {"CoworkerBookingCreditId": await grant(10), "CreditUsed": 6}
    headers = {"Idempotency-Key": "Spend-1"}
    first = await client.post(MONEY_USES, json=use, headers=headers)
    again = await client.post(MONEY_USES, json=use, headers=headers)
    other = await client.post(MONEY_USES, json=use | {"CreditUsed": 1}, headers=headers)
    spelled = await client.post(MONEY_USES, json=use | {"CreditUsed": 1}, headers={"Idempotency-Key": "SPEND-1"})
    assert (first.status_code, again.content) == (200, first.content)
    assert other.status_code == 422
    assert spelled.status_code == 200
