"""Responses that are stored for repeated requests are removed after a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from creditdesk.cli.program import OK, run
from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.ledger.jobs import run_response_removal
from creditdesk.schema.repository import Store
from tests.support.api_client import ApiClient


async def remove(store: Store, older_than: datetime) -> list[int]:
    return [count async for count in run_response_removal(store, older_than, batch=2)]


async def set_age(store: Store, ids: list[int], days: int) -> None:
    created = datetime.now(UTC) - timedelta(days=days)
    async with store.write_session() as session:
        await session.update(StoredResponse, [(each, {"CreatedOn": created}) for each in ids])


async def stored_ids(store: Store) -> list[int]:
    async with store.read_session() as session:
        return [row["Id"] for row in await session.find(StoredResponse)]


async def test_old_responses_are_removed_in_batches(api: ApiClient) -> None:
    store, credit = api.ledger.store, await api.create_credit("100")
    before = await stored_ids(store)
    for number in range(6):
        assert (await api.post_use(credit, "1", f"old-{number}")).status_code == 200
    new = [each for each in await stored_ids(store) if each not in before]
    assert len(new) == 6
    limit = datetime.now(UTC) - timedelta(days=30)
    assert await remove(store, limit) == []
    await set_age(store, [*before, *new[:5]], 31)
    assert sum(await remove(store, limit)) == len(before) + 5
    assert await stored_ids(store) == new[5:]
    repeated = await api.post_use(credit, "1", "old-5")
    assert repeated.status_code == 200
    assert await api.remaining(credit) == 94


async def test_expire_removes_what_the_setting_does_not_keep(
    api: ApiClient,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    credit = await api.create_credit("100")
    assert (await api.post_use(credit, "1", "kept for eight days")).status_code == 200
    await set_age(api.ledger.store, await stored_ids(api.ledger.store), 8)
    monkeypatch.setenv("CREDITDESK_DATABASE_URL", database)

    async def expire() -> int:
        return await asyncio.to_thread(run, ["expire"])

    assert await expire() == OK
    assert "stored response" not in capsys.readouterr().out
    monkeypatch.setenv("CREDITDESK_API_STORED_RESPONSE_DAYS", "7")
    assert await expire() == OK
    assert "stored response" in capsys.readouterr().out
    assert await stored_ids(api.ledger.store) == []
