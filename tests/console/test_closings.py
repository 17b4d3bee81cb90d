"""Closing months over HTTP and in the console: preview, close, open again, and who may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.entities.roles import CORRECT_ROLE, REPORTS_ROLE
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.console.conftest import browser
from tests.support.api_client import AdjustableClock, ApiClient, parse_body, succeeded
from tests.support.users import create_location, create_user_role, create_user_token, http_client

API = "/api/reports/closings"
PAGE = "/console/closings"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def closing_app(store: Store, clock: AdjustableClock, folder: Path) -> ASGIApp:
    return build_app(store, Settings(report_folder=str(folder)), clock)


@pytest_asyncio.fixture(scope="module")
async def accountant(closing_app: ASGIApp, admin_token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(closing_app, admin_token) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module")
async def http(closing_app: ASGIApp, admin_token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(closing_app, admin_token) as opened:
        yield opened


@pytest.fixture
def month(clock: AdjustableClock) -> str:
    """The last month that ended."""
    return f"{clock().replace(day=1) - timedelta(days=1):%Y-%m}"


async def state_of(http: httpx.AsyncClient, location: int, month: str) -> dict[str, Any]:
    [found] = [
        each
        for each in parse_body(await http.get(API))["Value"]
        if (each["LocationId"], each["Month"]) == (location, month)
    ]
    return dict(found)


async def test_month_is_previewed_closed_and_opened_again(
    accountant: httpx.AsyncClient, http: httpx.AsyncClient, store: Store, folder: Path, month: str
) -> None:
    location = await create_location(store, "Closing Hall")
    address = f"{PAGE}/{location}/{month}"
    assert "Closing Hall" in (await accountant.get(PAGE)).text
    preview = (await accountant.get(address)).text
    for text in ("What closing does", "nothing found now", f"Close {month}", "roll-forward.xlsx"):
        assert text in preview
    assert (await accountant.post(f"{address}/close")).headers["location"] == PAGE
    state = await state_of(http, location, month)
    assert (state["State"], state["By"], state["Checkpoint"] > 0) == ("closed", "admin@example.com", True)
    assert list(folder.rglob(f"{location}-{month}-1/closing.json"))
    assert f"{month} is closed" in (await accountant.get(PAGE)).text
    again = await accountant.post(f"{address}/close")
    assert (again.status_code, "Reopen it first" in again.text) == (409, True)
    locked = parse_body(await http.get(f"{API}/preview", params={"LocationId": location, "Month": month}))["Value"]
    assert locked["ClosedUntil"] == locked["UntilUtc"]
    unexplained = await accountant.post(f"{address}/reopen", data={"Reason": " "})
    assert (unexplained.status_code, 'aria-invalid="true"' in unexplained.text) == (422, True)
    assert (await state_of(http, location, month))["State"] == "closed"
    await accountant.post(f"{address}/reopen", data={"Reason": "A late invoice"})
    state = await state_of(http, location, month)
    assert (state["State"], state["Reason"]) == ("reopened", "A late invoice")


async def test_earlier_months_are_closed_with_a_later_one(http: httpx.AsyncClient, store: Store, month: str) -> None:
    location = await create_location(store, "Covered Hall")
    earlier = [each for each in parse_body(await http.get(API))["Value"] if each["LocationId"] == location][3]["Month"]
    assert parse_body(await http.post(API, json={"LocationId": location, "Month": month}))["WasSuccessful"]
    assert (await state_of(http, location, earlier))["State"] == "covered"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "LocationId"),
        ({"LocationId": 999_999}, "LocationId"),
        ({"Month": "2026-13"}, "Month"),
        ({"Month": "9999-12"}, "Month"),
        ({"Month": "2\u066026-10"}, "Month"),
        ({"Month": ""}, "Month"),
    ],
)
async def test_wrong_parameter_is_a_field_error(
    http: httpx.AsyncClient, api: ApiClient, values: dict[str, Any], field: str
) -> None:
    body = {"LocationId": api.ledger.business, "Month": "2026-01", **values} if values else {"Month": "2026-01"}
    for answer in (await http.post(API, json=body), await http.get(f"{API}/preview", params=body)):
        assert answer.status_code == 400, answer.text
        assert [each["PropertyName"] for each in answer.json()["Errors"]] == [field]


async def test_month_that_has_not_ended_stays_open(
    accountant: httpx.AsyncClient, http: httpx.AsyncClient, api: ApiClient, clock: AdjustableClock
) -> None:
    present = f"{clock():%Y-%m}"
    answer = await http.post(API, json={"LocationId": api.ledger.business, "Month": present})
    assert (succeeded(answer), "cannot be closed before" in answer.text) == (False, True)
    shown = (await accountant.get(f"{PAGE}/{api.ledger.business}/{present}")).text
    assert "has not ended" in shown
    assert f"Close {present}" not in shown


async def test_closing_without_a_folder_says_what_to_set(client: httpx.AsyncClient, store: Store, month: str) -> None:
    location = await create_location(store, "No Folder")
    answer = await client.post(API, json={"LocationId": location, "Month": month})
    assert (succeeded(answer), "report_folder" in answer.text) == (False, True)


async def test_closing_into_a_folder_that_cannot_be_written_leaves_the_month_open(
    store: Store, clock: AdjustableClock, admin_token: str, http: httpx.AsyncClient, tmp_path: Path, month: str
) -> None:
    location = await create_location(store, "No Room")
    (tmp_path / "file").touch()
    app = build_app(store, Settings(report_folder=str(tmp_path / "file" / "reports")), clock)
    async with http_client(app, admin_token) as client, browser(app, admin_token) as operator:
        answer = await client.post(API, json={"LocationId": location, "Month": month})
        assert (succeeded(answer), "Not a directory. Set report_folder" in answer.text) == (False, True)
        shown = await operator.post(f"{PAGE}/{location}/{month}/close")
        assert (shown.status_code, "Not a directory" in shown.text) == (409, True)
    preview = parse_body(await http.get(f"{API}/preview", params={"LocationId": location, "Month": month}))["Value"]
    assert (preview["State"], preview["ClosedUntil"], preview["CanClose"]) == ("open", None, True)


async def test_readers_see_months_of_their_locations_and_close_none(
    closing_app: ASGIApp, store: Store, api: ApiClient, month: str
) -> None:
    own = await create_location(store, "Own Hall")
    role = await create_user_role(store, own, (REPORTS_ROLE,))
    token = await create_user_token(
        store, "closings@example.com", is_admin=False, business_ids=[own], user_role_id=role
    )
    body = {"LocationId": own, "Month": month}
    async with browser(closing_app, token) as reader, http_client(closing_app, token) as direct:
        page = (await reader.get(PAGE)).text
        assert "Close…" not in page
        assert {each["LocationId"] for each in parse_body(await direct.get(API))["Value"]} == {own}
        denied = await direct.post(API, json=body)
        assert (denied.status_code, CORRECT_ROLE in denied.text) == (403, True)
        assert (await direct.post(f"{API}/reopen", json={**body, "Reason": "x"})).status_code == 403
        hidden: dict[str, str | int] = {"LocationId": api.ledger.business, "Month": month}
        assert (await direct.get(f"{API}/preview", params=hidden)).status_code == 400
        assert (await reader.get(f"{PAGE}/{api.ledger.business}/{month}")).status_code == 404
