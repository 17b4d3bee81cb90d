"""A database without room on its disk: writes are 503 and leave no trace, reads go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.repository import Store
from creditdesk.storage.naming import table_name
from creditdesk.storage.sqlite import SQLiteStore
from tests.support.api_client import CREDITS, USES, ApiClient
from tests.support.databases import run_sql

FILL = 3000
"""Characters of a text that needs a page of its own."""


@asynccontextmanager
async def full_disk(store: Store, database: str) -> AsyncIterator[None]:
    """The database cannot grow during the block.

    SQLite gets a page limit, which it reports as a full disk. PostgreSQL reports its error code for one from a
    trigger, as its disk cannot be filled for one database alone.
    """
    if isinstance(store, SQLiteStore):
        [pages] = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages}")
        yield
        store.connection.execute("PRAGMA max_page_count = 1073741823")
        return
    tables = map(table_name, (JournalLine, ResourceType, CoworkerBookingCredit))
    await run_sql(
        database,
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
    )
    for table in tables:
        await run_sql(
            database,
            f"CREATE TRIGGER no_room BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION no_room()",
        )
    yield
    await run_sql(database, "DROP FUNCTION no_room CASCADE")


@pytest.mark.parametrize("kind", ["use", "spend", "record", "grant"])
async def test_writes_are_503_and_reads_go_on(api: ApiClient, store: Store, database: str, kind: str) -> None:
    credit = await api.create_credit("50000.00", IsUniversalCredit=True)
    path, body = await _request(api, kind, credit)
    async with full_disk(store, database):
        # SQLite has free room in pages that are in use.
        for number in range(400):
            answer = await api.post(path, body, f"{kind} {number}")
            if answer.status_code != 200:
                break
        before = await api.remaining(credit)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert "no room on its disk" in answer.json()["Message"]
        again = await api.post(path, body, f"{kind} {number}")
        assert again.status_code == 503
        assert await api.remaining(credit) == before
        assert (await api.http.get("/ready")).status_code == 200
        assert await api.list_records(USES, size=5) is not None
    repeated = await api.post(path, body, f"{kind} {number}")
    assert repeated.status_code == 200
    assert repeated.json()["WasSuccessful"]


async def _request(api: ApiClient, kind: str, credit: int) -> tuple[str, dict[str, Any]]:
    text = "x" * FILL
    if kind == "use":
        return USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 1, "Description": text}
    if kind == "spend":
        charge = {"Kind": "charge", "Id": 1, "Amount": 1}
        return "/api/ledger/spends", api.basket_body(charge)
    if kind == "record":
        return ResourceType.path(), {"Name": text[:200], "BusinessId": api.ledger.business}
    return CREDITS, api.credit_body("1.00")
