"""Changes made directly in the database are detected: lines 23 and 24 of the catalogue."""

from __future__ import annotations

from typing import Any

import pytest

from creditdesk.audit.checkpoint_check import verify_checkpoint
from creditdesk.audit.checkpoints import create_checkpoint
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.schema.query import where
from creditdesk.schema.repository import Store
from creditdesk.storage.sqlite import SQLiteStore
from tests.support.api_client import CREDITS, ApiClient, result_value
from tests.support.progress import CollectingReporter


async def test_removed_newest_line_is_detected(unverified_api: ApiClient, store: Store) -> None:
    """Line 23: the newest rows cut off and the chain still "verifies"."""
    credit = await used_thrice(unverified_api)
    await without_guards(store, "journal_line")
    await execute(store, f"DELETE FROM journal_line WHERE credit_id = {credit} AND sequence = 4")
    findings = await of(unverified_api, credit)
    assert any("line" in finding for finding in findings)
    assert len(findings) > 1


async def test_removal_with_adjusted_balances_is_detected_by_checkpoint(
    unverified_api: ApiClient, store: Store
) -> None:
    """Line 23, when the whole credit was set back to an earlier state of itself."""
    credit = await used_thrice(unverified_api, uses=2)
    before = await heads(store, credit)
    result_value(await unverified_api.post_use(credit, "1.00"))
    async with store.write_session() as unit:
        checkpoint = await create_checkpoint(unit, unverified_api.clock())
    for table in ("journal_line", "coworker_booking_credit_use_history"):
        await without_guards(store, table)
    sequence, digest = before
    for text in (
        f"DELETE FROM journal_line WHERE credit_id = {credit} AND sequence > {sequence}",
        "DELETE FROM coworker_booking_credit_use_history WHERE id = (SELECT max(id) FROM "
        f"coworker_booking_credit_use_history WHERE coworker_booking_credit_id = {credit})",
        f"UPDATE coworker_booking_credit SET remaining_credit = remaining_credit + 10000 WHERE id = {credit}",
        f"UPDATE account_state SET sequence = {sequence}, digest = '{digest}', last_recorded_on = (SELECT max(recorded_on) "
        f"FROM journal_line WHERE credit_id = {credit}) WHERE credit_id = {credit}",
    ):
        await execute(store, text)
    assert await unverified_api.remaining(credit) == 8
    assert await of(unverified_api, credit) == []
    report = CollectingReporter()
    await verify_checkpoint(store, checkpoint, report)
    assert f"money credit {credit}: line 4 is missing, which the checkpoint covers" in report.problems


@pytest.mark.parametrize("change", ["amount = amount + 10000", "actor = 'nobody'", "recorded_on = earlier"])
async def test_edited_line_is_named(unverified_api: ApiClient, store: Store, change: str) -> None:
    """Line 24: a past row edited without detection."""
    credit = await used_thrice(unverified_api)
    if change.startswith("recorded_on"):
        change = "recorded_on = (SELECT min(recorded_on) - " + (
            "1000000 FROM journal_line)" if isinstance(store, SQLiteStore)
            else "interval '1 second' FROM journal_line)"
        )  # fmt: skip
    await without_guards(store, "journal_line")
    await execute(store, f"UPDATE journal_line SET {change} WHERE credit_id = {credit} AND sequence = 2")
    assert any("line 2" in finding for finding in await of(unverified_api, credit))


async def test_edited_balance_is_named(unverified_api: ApiClient, store: Store) -> None:
    """Line 24, for a balance."""
    credit = await used_thrice(unverified_api)
    await execute(store, f"UPDATE coworker_booking_credit SET remaining_credit = 95000 WHERE id = {credit}")
    assert any("remaining" in finding for finding in await of(unverified_api, credit))


async def test_api_cannot_change_history(unverified_api: ApiClient) -> None:
    """Line 24, through the API."""
    credit = await used_thrice(unverified_api)
    (line, *_) = await unverified_api.list_journal_lines(credit)
    path = f"/api/ledger/entries/{line['Id']}"
    for method in ("PUT", "DELETE", "POST"):
        answer = await unverified_api.http.request(method, path, json={})
        assert answer.status_code == 405
    (use, *_) = await unverified_api.list_uses(credit)
    uses = "/api/billing/coworkerbookingcreditusehistories"
    assert (await unverified_api.http.delete(f"{uses}/{use['Id']}")).status_code == 405
    body = {**{k: use[k] for k in ("Id", "CoworkerBookingCreditId")}, "CreditUsed": 0.5}
    assert (await unverified_api.http.put(uses, json=body)).status_code == 400
    deleted = await unverified_api.http.delete(f"{CREDITS}/{credit}")
    assert not deleted.json()["WasSuccessful"]
    assert await of(unverified_api, credit) == []


async def used_thrice(api: ApiClient, uses: int = 3) -> int:
    credit = await api.create_credit("10.00")
    for _ in range(uses):
        result_value(await api.post_use(credit, "1.00"))
    return credit


async def of(api: ApiClient, credit: int) -> list[str]:
    """The findings about one credit; earlier tests left theirs in the database."""
    names = (f"money credit {credit}:", f"money credit {credit},", f"credit {credit} ")
    return [each for each in await api.verify_problems() if any(name in each for name in names)]


async def heads(store: Store, credit: int) -> tuple[int, str]:
    """The newest journal line of a money credit."""
    async with store.read_session() as reading:
        (state,) = await reading.find(AccountState, where(AccountState, CreditKind="money", CreditId=credit))
    return state["Sequence"], state["Digest"]


async def without_guards(store: Any, table: str) -> None:
    at = "" if isinstance(store, SQLiteStore) else f" ON {table}"
    for act in ("update", "delete"):
        await execute(store, f"DROP TRIGGER IF EXISTS {table}_no_{act}{at}")


async def execute(store: Any, text: str) -> None:
    """Runs a statement on the database directly."""
    if isinstance(store, SQLiteStore):
        store.connection.execute(text)
        return
    async with store.pool.acquire() as connection:
        await connection.execute(text)
