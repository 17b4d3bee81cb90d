"""One change of many credits: a result for each row, a dry run that decides the same, one write."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.schema.repository import Store
from tests.support.api_client import CREDITS, TIME_CREDITS, ApiClient, result_value
from tests.support.users import create_location, create_user_role, create_user_token, http_client

BULK = "/api/ledger/bulk"
REASON = "The lift was out of order"


async def change(api: ApiClient, act: str, rows: list[Any], key: str | None = None, **values: Any) -> dict[str, Any]:
    answer = await api.post(f"{BULK}/{act}", {"Reason": REASON, "Rows": rows, **values}, key)
    value: dict[str, Any] = result_value(answer)
    return value


def money_row(credit: int, **values: Any) -> dict[str, Any]:
    return {"Kind": "money", "Id": credit, **values}


def remaining(row: dict[str, Any]) -> tuple[Any, Any]:
    return (row["Before"] and row["Before"]["Remaining"], row["After"] and row["After"]["Remaining"])


def messages(row: dict[str, Any]) -> list[str]:
    return [error["Message"] for error in row["Errors"]]


async def test_a_void_answers_each_row_and_a_dry_run_answers_the_same(api: ApiClient) -> None:
    used, full, time = await api.create_credit(20), await api.create_credit(10), await api.create_time_credit(600)
    await api.post_use(used, 5)
    rows = [money_row(used), money_row(full), {"Kind": "time", "Id": time}, money_row(10**9), money_row(used)]
    dry = await change(api, "voids", rows, DryRun=True)
    assert await api.remaining(used) == 15
    done = await change(api, "voids", rows)
    assert dry == done
    assert (done["Accepted"], done["Refused"]) == (3, 2)
    assert [remaining(row) for row in done["Rows"][:3]] == [("15.0000", "0.0000"), ("10.0000", "0.0000"), (600, 0)]
    assert [messages(row) for row in done["Rows"][3:]] == [["is not found"], ["is named twice"]]
    assert [await api.remaining(credit) for credit in (used, full)] == [0, 0]
    assert (await api.list_journal_lines(full))[-1]["Reason"] == REASON
    again = await change(api, "voids", [money_row(full)])
    assert messages(again["Rows"][0]) == ["has nothing unused to void"]


async def test_a_repeated_key_writes_once(api: ApiClient) -> None:
    credit = await api.create_credit(10)
    first = await change(api, "adjustments", [money_row(credit, Amount=2)], key=f"bulk-{credit}")
    assert await change(api, "adjustments", [money_row(credit, Amount=2)], key=f"bulk-{credit}") == first
    assert await api.remaining(credit) == 12


async def test_adjustments_say_per_row_what_is_wrong(api: ApiClient) -> None:
    credit, time = await api.create_credit(10), await api.create_time_credit(60)
    rows = [
        money_row(credit, Amount="2.5"),
        {"Kind": "time", "Id": time, "Amount": 1.5},
        money_row(credit, Amount="ten"),
        {"Kind": "gold", "Id": "x"},
        money_row(await api.create_credit(3), Amount=-4),
        {"Kind": "time", "Id": time, "Amount": -10},
    ]
    done = await change(api, "adjustments", rows)
    assert [bool(row["Errors"]) for row in done["Rows"]] == [False, True, True, True, True, False]
    assert [error["PropertyName"] for error in done["Rows"][3]["Errors"]] == ["Kind", "Id", "Amount"]
    assert "takes more than the 3.00" in messages(done["Rows"][4])[0]
    assert await api.remaining(credit) == Decimal("12.5")
    assert done["Rows"][0]["After"]["Total"] == "12.5000"


async def test_extensions_move_the_end_and_reopen_what_has_expired(api: ApiClient) -> None:
    start, soon, later = api.timestamp(days=-9), api.timestamp(days=1), api.timestamp(days=90)
    expired = await api.create_credit(10, ValidFrom=start, ExpireDate=api.timestamp(days=-1))
    running = await api.create_credit(10, ValidFrom=start, ExpireDate=soon)
    rows = [money_row(expired, ExpireDate=later), money_row(running), money_row(running, ExpireDate=start)]
    dry = await change(api, "extensions", rows, DryRun=True)
    assert (await api.get(f"{CREDITS}/{running}"))["ExpireDate"] == soon
    done = await change(api, "extensions", rows)
    assert done == dry
    assert [row["After"] and row["After"]["ExpireDate"] for row in done["Rows"]] == [later, None, None]
    assert done["Rows"][1]["Before"]["ExpireDate"] == soon
    assert messages(done["Rows"][2]) == ["is named twice"]
    lines = await api.list_journal_lines(expired)
    assert [(line["Kind"], line["Reason"]) for line in lines[1:]] == [("change", REASON), ("reopening", REASON)]
    assert (await api.get(f"{CREDITS}/{running}"))["ExpireDate"] is None
    same = await change(api, "extensions", [money_row(running), money_row(expired, ExpireDate=start)])
    assert [len(row["Errors"]) for row in same["Rows"]] == [1, 1]


async def test_grants_are_credits_as_their_own_path_takes_them(api: ApiClient) -> None:
    good = api.credit_body(20, Description="Goodwill")
    bad = [
        {**good, "CoworkerId": 10**9},
        {**good, "TotalCredit": None},
        {**good, "TotalCredit": 0},
        {"TotalCredit": "x"},
    ]
    rows = [good, *bad, {**good, "ExpireDate": api.timestamp(days=9)}]
    dry = await change(api, "grants", rows, Kind="money", Funding="goodwill", DryRun=True)
    before = len(await api.list_records(CREDITS, CoworkerBookingCredit_Coworker=api.ledger.customer))
    done = await change(api, "grants", rows, Kind="money", Funding="goodwill")
    assert before == 0
    assert [row["Errors"] for row in done["Rows"]] == [row["Errors"] for row in dry["Rows"]]
    assert [bool(row["Errors"]) for row in done["Rows"]] == [False, True, True, True, True, False]
    created = [row["Id"] for row in done["Rows"] if row["Id"]]
    assert [await api.remaining(credit) for credit in created] == [20, 20]
    balance = await api.get_balance(created[0])
    assert balance["Funding"] == "goodwill"
    assert (await api.list_journal_lines(created[0]))[0]["Reason"] == REASON


async def test_time_grants_are_priced_by_their_rate(api: ApiClient) -> None:
    row = {"CoworkerId": api.ledger.customer, "BusinessId": api.ledger.business, "ExtraServiceId": api.ledger.rate,
           "TotalUses": 120, "ChargePeriod": 1}  # fmt: skip
    charge = {**row, "BookingId": await api.create_booking()}
    done = await change(api, "grants", [row, charge], Kind="time")
    assert (await api.get(f"{TIME_CREDITS}/{done['Rows'][0]['Id']}"))["Price"] == 40
    assert done["Rows"][1]["Errors"][0]["PropertyName"] == "BookingId"


@pytest.mark.parametrize("act", ["grants", "extensions", "voids", "adjustments"])
async def test_reason_and_rows_are_required(api: ApiClient, act: str) -> None:
    empty = await api.post(f"{BULK}/{act}", {"Rows": []})
    assert empty.status_code == 400
    assert {"Reason", "Rows"} <= {error["PropertyName"] for error in empty.json()["Errors"]}
    many = await api.post(f"{BULK}/{act}", {"Reason": REASON, "Kind": "money", "Rows": [{}] * 201})
    assert (many.status_code, many.json()["Errors"][0]["Message"]) == (400, "must name at most 200")


async def test_another_location_and_other_roles_are_refused(app: ASGIApp, store: Store, api: ApiClient) -> None:
    credit, north = await api.create_credit(10), await create_location(store)
    role = await create_user_role(store, north, ("Ledger-Correct", "CoworkerBookingCredit-Create"))
    token = await create_user_token(
        store, f"north{north}@example.com", is_admin=False, business_ids=[north], user_role_id=role
    )
    async with http_client(app, token) as http:
        away = ApiClient(http, api.ledger, api.clock)
        for act, row in (("voids", money_row(credit)), ("adjustments", money_row(credit, Amount=1))):
            done = await change(away, act, [row])
            assert messages(done["Rows"][0]) == ["is not found"]
        granted = await change(away, "grants", [api.credit_body(1)], Kind="money")
        assert granted["Accepted"] == 0
        refused = await extension(http, credit)
    assert refused.status_code == 403
    assert "CoworkerBookingCredit-Edit" in refused.text
    assert await api.remaining(credit) == 10


async def extension(http: httpx.AsyncClient, credit: int) -> httpx.Response:
    return await http.post(f"{BULK}/extensions", json={"Reason": REASON, "Rows": [money_row(credit)]})
