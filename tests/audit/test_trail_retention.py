"""Records of the audit trail past their retention are removed, and what stays is still verified (rule 39)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from creditdesk.audit import trail_retention
from creditdesk.audit.trail_retention import BrokenTrail, remove_old_records
from creditdesk.audit.verify import verify_ledger
from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.schema.repository import Store
from tests.audit.conftest import Tamper
from tests.audit.test_stated_caps import create_cap, problems_of
from tests.support.api_client import ApiClient, succeeded
from tests.support.databases import run_sql_in_store
from tests.support.progress import CollectingReporter

TODAY = datetime(2026, 3, 10, tzinfo=UTC)
DAY = timedelta(days=1)


async def record_days(store: Store, *ages: int) -> None:
    """A record for each of so many days ago."""
    for age in ages:
        async with store.write_session() as session:
            event = AuditEvent(AuditAction.EXPORTED, "ada@example.org", details={"DaysAgo": age})
            await record_event(session, event, TODAY - age * DAY)


async def purge(store: Store, days: int) -> list[int]:
    """The numbers of the batches that a run removes."""
    return [number async for number in remove_old_records(store, TODAY - days * DAY, "creditdesk", TODAY)]


async def trail(store: Store) -> list[tuple[int, str]]:
    async with store.read_session() as session:
        return [(record["Sequence"], record["Action"]) for record in await session.find(AuditRecord)]


async def problems(store: Store) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    return [str(each) for each in report.problems]


async def edit_trail(store: Store, statement: str) -> None:
    """Changes the trail without its guards, as somebody with the database could."""
    if hasattr(store, "connection"):
        for name in ("no_delete", "no_update"):
            await run_sql_in_store(store, f"DROP TRIGGER audit_record_{name}")
    else:
        await run_sql_in_store(store, "ALTER TABLE audit_record DISABLE TRIGGER USER")
    await run_sql_in_store(store, statement)


async def test_rule_39_old_records_go_and_the_rest_verifies(each_store: Store) -> None:
    # The record of 50 days ago stands after one of 5 days ago, so it stays with it.
    await record_days(each_store, 400, 200, 90, 5, 50, 1)
    assert await purge(each_store, 500) == []
    assert [sequence for sequence, _ in await trail(each_store)] == [1, 2, 3, 4, 5, 6]
    assert await purge(each_store, 60) == [3]
    kept = "exported"
    assert await trail(each_store) == [(4, kept), (5, kept), (6, kept), (7, "audit trail purged")]
    assert await problems(each_store) == []
    async with each_store.read_session() as session:
        *_, stated = await session.find(AuditRecord)
    details = json.loads(stated["Details"])
    assert (stated["Actor"], details["Sequence"], details["Before"]) == ("creditdesk", 3, "2026-01-09T00:00:00Z")
    assert await purge(each_store, 60) == []
    await record_days(each_store, 0)
    assert await purge(each_store, 3) == [2]
    assert [sequence for sequence, _ in await trail(each_store)] == [6, 7, 8, 9]
    assert await problems(each_store) == []
    with pytest.raises(Exception, match="is append-only"):
        await run_sql_in_store(each_store, "DELETE FROM audit_record WHERE sequence = 6")


async def test_all_records_may_be_old(each_store: Store) -> None:
    await record_days(each_store, 9, 8)
    assert await purge(each_store, 3) == [2]
    assert await trail(each_store) == [(3, "audit trail purged")]
    assert await problems(each_store) == []


async def test_a_removal_that_was_cut_short_goes_on(each_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail_retention, "TRAIL_BATCH_SIZE", 2)
    await record_days(each_store, 90, 80, 70, 60, 50, 1)
    batches = remove_old_records(each_store, TODAY - 30 * DAY, "creditdesk", TODAY)
    assert await anext(batches) == 2
    await batches.aclose()  # type: ignore[attr-defined]
    assert [sequence for sequence, _ in await trail(each_store)] == [3, 4, 5, 6, 7]
    assert await problems(each_store) == []
    assert await purge(each_store, 30) == [2, 1]
    assert [sequence for sequence, _ in await trail(each_store)] == [6, 7]
    assert await problems(each_store) == []


EDITS = {
    "first kept record removed": ("DELETE FROM audit_record WHERE sequence = 3", "AuditRecord 4: the record before it"),
    "kept record changed": ("UPDATE audit_record SET actor = 'eve' WHERE sequence = 3", "AuditRecord 3: its content"),
    "start moved": (
        "UPDATE audit_record SET details = replace(details, '\"Sequence\":2', '\"Sequence\":3') WHERE sequence = 5",
        "AuditRecord 5: its content",
    ),
    "record of the removal removed": (
        "DELETE FROM audit_record WHERE sequence = 5",
        "AuditRecord 3: the record before it is 0",
    ),
    "more marked and removed": (
        "DELETE FROM audit_record WHERE sequence < 4",
        "AuditRecord 4: the record before it is 2",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_verify_finds_every_edit_after_a_removal(each_store: Store, edit: str) -> None:
    await record_days(each_store, 90, 80, 5, 1)
    assert await purge(each_store, 30) == [2]
    statement, message = EDITS[edit]
    await edit_trail(each_store, statement)
    found = await problems(each_store)
    assert any(each.startswith(message) for each in found), found


async def test_records_that_were_changed_are_not_removed(each_store: Store) -> None:
    await record_days(each_store, 90, 80, 5)
    await edit_trail(each_store, "UPDATE audit_record SET actor = 'eve' WHERE sequence = 2")
    with pytest.raises(BrokenTrail, match="AuditRecord 2: its content"):
        await purge(each_store, 30)
    assert [sequence for sequence, _ in await trail(each_store)] == [1, 2, 3]


async def test_caps_stay_compared_with_what_removed_records_stated(
    unverified_api: ApiClient, store: Store, tamper: Tamper
) -> None:
    cap, body = await create_cap(unverified_api)
    deleted, _ = await create_cap(unverified_api)
    assert succeeded(await unverified_api.http.delete(f"{PoolCap.path()}/{deleted}"))
    later = unverified_api.ledger.now + DAY
    for _ in range(2):
        assert [number async for number in remove_old_records(store, later, "creditdesk", later)]
        later += DAY
    assert await problems_of(store, cap) == []
    assert succeeded(await unverified_api.http.put(PoolCap.path(), json={**body, "Id": cap, "Period": 1}))
    assert await problems_of(store, cap) == []
    await tamper(f"UPDATE pool_cap SET amount = 990000 WHERE id = {cap}")
    assert await problems_of(store, cap) == ["Amount is 990000 and the audit trail says 300000"]
