"""A write that loses a race changes nothing, runs again and is answered like any other, at every path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.app import build_app
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.support.api_client import CREDITS, AdjustableClock, ApiClient, succeeded
from tests.support.failing_store import RacedStore
from tests.support.users import create_location, create_user_token, http_client

IMPORTS = "/api/admin/imports"
CLOSINGS = "/api/reports/closings"
CSV = "FullName,Email\nAda Lovelace,ada.of.the.import@example.com\n"


@pytest.fixture(scope="module")
def raced(store: Store) -> RacedStore:
    return RacedStore(store)


@pytest_asyncio.fixture(scope="module")
async def http(
    raced: RacedStore, clock: AdjustableClock, admin_token: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("reports")
    async with http_client(build_app(raced, Settings(report_folder=str(folder)), clock), admin_token) as opened:
        yield opened


async def test_a_write_at_any_path_runs_again(http: httpx.AsyncClient, raced: RacedStore, api: ApiClient) -> None:
    customer = api.ledger.customer
    async with raced.store.write_session() as writing:
        await writing.update(Coworker, [(customer, {"Active": True, "Email": "ada@example.org"})])
    closed = {"LocationId": await create_location(raced.store, "Raced"), "Month": "2026-01"}
    view = {"EntityName": "Coworker", "Name": "Raced", "Query": "a=1"}
    for path, body in (
        ("/api/admin/jobs", {"Name": "verify"}),
        ("/api/auth/tokens", {"Name": "Export", "Days": 9}),
        (CLOSINGS, closed),
        (f"{CLOSINGS}/reopen", closed | {"Reason": "A late invoice"}),
        ("/api/members/links", {"CoworkerId": customer, "Purpose": "sign-in"}),
        ("/api/sys/savedviews", view),
        (IMPORTS, {"Records": "coworkers", "Csv": CSV}),
        (CREDITS, api.credit_body("5.00")),
    ):
        raced.lose_next()
        answer = await http.post(path, json=body)
        assert not raced.is_losing, (path, answer.text)
        assert succeeded(answer), (path, answer.text)
    session = await create_user_token(raced.store, "leaver@example.org")
    raced.lose_next()
    left = await http.post("/api/token/revoke", data={"token": session})
    assert (left.status_code, raced.is_losing) == (200, False), left.text


async def test_an_import_that_loses_any_of_its_transactions_has_one_effect(
    http: httpx.AsyncClient, raced: RacedStore
) -> None:
    async def batches() -> set[int]:
        return {each["Id"] for each in (await http.get(f"{IMPORTS}/batches")).json()}

    async def post(path: str, lost: int, **body: object) -> dict[str, Any] | None:
        """The result of a call whose transaction with this number loses; None where it has not so many."""
        raced.lose_next(lost)
        answer = await http.post(path, json=body)
        has_lost = not raced.is_losing
        raced.restore()
        assert succeeded(answer), (path, lost, answer.text)
        return dict(answer.json()["Value"]) if has_lost else None

    for is_check in (True, False):
        for lost in count():
            before = await batches()
            csv = f"FullName,Email\nAda,ada.{is_check}.{lost}@example.com\n"
            done = await post(IMPORTS, lost, Records="coworkers", Csv=csv, DryRun=is_check)
            assert len(await batches() - before) == (0 if is_check else 1)
            if done is None:
                break
            assert (done["Added"], done["MessageCount"]) == (1, 0)
        assert lost > 2
    for lost in count():
        csv = f"Name\nTeam {lost}\n"
        batch = (await http.post(IMPORTS, json={"Records": "teams", "Csv": csv})).json()["Value"]["Id"]
        undone = await post(f"{IMPORTS}/batches/{batch}/undo", lost)
        if undone is None:
            break
        assert (undone["State"], undone["Deleted"], undone["MessageCount"]) == ("undone", 1, 0), lost
    assert lost > 2


async def test_closings_with_one_key_have_one_answer(http: httpx.AsyncClient, store: Store) -> None:
    body = {"LocationId": await create_location(store, "Twice"), "Month": "2026-01"}
    for path, sent in ((CLOSINGS, body), (f"{CLOSINGS}/reopen", body | {"Reason": "A late invoice"})):
        headers = {"Idempotency-Key": path}
        answers = await asyncio.gather(*(http.post(path, json=sent, headers=headers) for _ in range(4)))
        answers.append(await http.post(path, json=sent, headers=headers))
        assert {each.status_code for each in answers} == {200}, [each.text for each in answers]
        assert len({each.content for each in answers}) == 1
        other = await http.post(path, json=sent | {"Month": "2025-12"}, headers=headers)
        assert not succeeded(other)
    assert not succeeded(await http.post(f"{CLOSINGS}/reopen", json=body | {"Reason": "Once more"}))
