"""What each request leaves behind: metrics by route, a line of the log, an id in its response."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from creditdesk.telemetry.metrics import (
    BATCH_REQUESTS,
    CREDITS_CONSIDERED,
    ERRORS,
    JOURNAL_ENTRIES,
    REPLAYS,
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_IN_PROGRESS,
    SIGN_INS,
)
from creditdesk.telemetry.request_log import RequestLog, json_line, text_line
from creditdesk.telemetry.request_record import RequestRecord
from tests.support.api_client import CREDITS, USES, AdjustableClock, ApiClient
from tests.support.metrics import counted

Ended = list[tuple[str, RequestRecord, float]]


@pytest.fixture(scope="module")
def ended() -> Ended:
    """The requests that have ended."""
    return []


@pytest.fixture(scope="module")
def app(store: Store, clock: AdjustableClock, ended: Ended) -> ASGIApp:
    return build_app(store, Settings(), clock, request_listener=lambda *request: ended.append(request))


@pytest_asyncio.fixture
async def anonymous(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


def line(ended: Ended) -> dict[str, Any]:
    """The line of the last request that ended."""
    document: dict[str, Any] = json.loads(json_line(*ended[-1], datetime(2026, 3, 10, 12, tzinfo=UTC)))
    return document


async def test_a_request_is_counted_by_its_route(api: ApiClient, ended: Ended) -> None:
    credit = await api.ledger.add_money_credit("10.00")
    route = f"{CREDITS}/{{id}}"
    before = counted(REQUESTS, "GET", route, "200"), counted(REQUEST_SECONDS, "GET", route)
    await api.get(f"{CREDITS}/{credit}")
    assert (counted(REQUESTS, "GET", route, "200"), counted(REQUEST_SECONDS, "GET", route)) == (
        before[0] + 1,
        before[1] + 1,
    )
    assert counted(REQUESTS_IN_PROGRESS) == 0
    found = line(ended)
    assert (found["event"], found["method"], found["route"], found["status"]) == ("request", "GET", route, 200)
    assert found["user"] > 0
    assert 0 < found["db_ms"] <= found["ms"]
    assert found["time"] == "2026-03-10T12:00:00Z"


@pytest.mark.parametrize("path", ["/api/nothing", "/%00", "/api/nothing/17/of/18"])
async def test_unknown_paths_share_one_route(anonymous: httpx.AsyncClient, path: str) -> None:
    before = counted(REQUESTS, "GET", "unknown", "404")
    await anonymous.get(path)
    assert counted(REQUESTS, "GET", "unknown", "404") == before + 1


async def test_any_method_of_a_client_is_one_label(anonymous: httpx.AsyncClient) -> None:
    before = counted(REQUESTS, "other", "/health", "405")
    for method in ("BREW", "PROPFIND"):
        await anonymous.request(method, "/health")
    assert counted(REQUESTS, "other", "/health", "405") == before + 2


async def test_pages_of_the_console_are_routes_of_their_own(anonymous: httpx.AsyncClient) -> None:
    before = counted(REQUESTS, "GET", "/console/sign-in", "200")
    await anonymous.get("/console/sign-in")
    assert counted(REQUESTS, "GET", "/console/sign-in", "200") == before + 1


async def test_a_client_may_name_its_request_and_trace(anonymous: httpx.AsyncClient, ended: Ended) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"X-Request-Id": "order-17.3", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = await anonymous.get("/health", headers=headers)
    assert answer.headers["x-request-id"] == line(ended)["id"] == "order-17.3"
    assert line(ended)["trace"] == trace
    for refused in ("a b", "x" * 65, '{"quoted"}'):
        answer = await anonymous.get("/health", headers={"X-Request-Id": refused, "traceparent": refused})
        assert answer.headers["x-request-id"] == line(ended)["id"] != refused
        assert "trace" not in line(ended)


async def test_a_use_is_counted_once_and_its_replay_apart(api: ApiClient, ended: Ended) -> None:
    credit = await api.ledger.add_money_credit("10.00")
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 2.5, "Description": "Secret text"}
    before = counted(JOURNAL_ENTRIES, "money", "use"), counted(REPLAYS), counted(BATCH_REQUESTS)
    for _ in range(2):
        assert (await api.post(USES, body, "secret-key-of-a-client")).status_code == 200
    after = counted(JOURNAL_ENTRIES, "money", "use"), counted(REPLAYS), counted(BATCH_REQUESTS)
    assert after == (before[0] + 1, before[1] + 1, before[2] + 2)
    found = line(ended)
    assert found["batch"] == 1
    assert len(found["key"]) == 12
    assert "ecret" not in json.dumps(found)


async def test_a_refused_use_leaves_its_kind_of_error(api: ApiClient) -> None:
    credit = await api.ledger.add_money_credit("1.00")
    before = counted(ERRORS, "ValidationError"), counted(JOURNAL_ENTRIES, "money", "use")
    answer = await api.post(USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 2.5, "Description": "Too much"})
    assert answer.json()["WasSuccessful"] is False
    after = counted(ERRORS, "ValidationError"), counted(JOURNAL_ENTRIES, "money", "use")
    assert after == (before[0] + 1, before[1])


async def test_a_spend_counts_why_credits_paid_or_did_not(api: ApiClient) -> None:
    await api.ledger.add_money_credit("100.00")
    await api.ledger.add_money_credit("100.00", ExpireDate=api.ledger.now)
    booking = await api.ledger.add_booking(hours=1)
    before = counted(CREDITS_CONSIDERED, "used"), counted(CREDITS_CONSIDERED, "expired")
    await api.spend({"Kind": "booking", "Id": booking})
    assert (counted(CREDITS_CONSIDERED, "used"), counted(CREDITS_CONSIDERED, "expired")) == (
        before[0] + 1,
        before[1] + 1,
    )


async def test_failed_sign_ins_are_counted(anonymous: httpx.AsyncClient) -> None:
    before = counted(SIGN_INS, "unknown user")
    form = {"grant_type": "password", "username": "nobody@example.com", "password": "wrong password"}
    await anonymous.post("/api/token", data=form)
    assert counted(SIGN_INS, "unknown user") == before + 1


def test_a_line_for_people() -> None:
    record = RequestRecord(b"1", None)
    record.route, record.status, record.user_id = "/api/spaces/bookings", 200, 7
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert text_line("GET", record, 0.0123, now) == b"12:00:00 200 GET /api/spaces/bookings 12.3 ms user 7\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends for reading and writing."""
    ends = os.pipe()
    yield ends
    os.close(ends[0])


async def test_lines_are_written_when_the_server_stops(pipe: tuple[int, int]) -> None:
    log = RequestLog(pipe[1], as_text=False)
    for number in range(100):
        log("GET", RequestRecord(b"id-%d" % number, None), 0.001)
    log.close()
    os.close(pipe[1])
    lines = os.read(pipe[0], 1_000_000).splitlines()
    assert [json.loads(each)["id"] for each in lines] == [f"id-{number}" for number in range(100)]
