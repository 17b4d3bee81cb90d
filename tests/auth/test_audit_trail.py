"""The audit trail (rule 39): what is recorded, who reads it, and that `verify` finds every edit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.api import access_trail
from creditdesk.app import build_app
from creditdesk.audit.verify import verify_ledger
from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.support.api_client import AdjustableClock
from tests.support.databases import run_sql_in_store
from tests.support.progress import CollectingReporter
from tests.support.users import (
    FAST_HASHING,
    PASSWORD,
    SIGN_IN_TIME,
    basic_authorization,
    create_location,
    create_person,
    create_user_role,
    http_client,
    password_form,
)

TRAIL = "/api/ledger/audittrail"
EMAIL = "ada@example.org"


@pytest_asyncio.fixture
async def client(each_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    await create_person(each_store)
    app = build_app(each_store, Settings(auth=FAST_HASHING), AdjustableClock())
    async with http_client(app) as opened:
        yield opened


async def sign_in(client: httpx.AsyncClient, **fields: str) -> dict[str, str]:
    """The header of a new session."""
    response = await client.post("/api/token", data=password_form(**fields))
    assert response.status_code == 200, response.text
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def trail(store: Store) -> list[tuple[Any, ...]]:
    """Action, actor, subject with Id and details of every record."""
    async with store.read_session() as session:
        records = await session.find(AuditRecord)
    return [
        (r["Action"], r["Actor"], r["Subject"] and (r["Subject"], r["SubjectId"]), json.loads(r["Details"]))
        for r in records
    ]


async def problems(store: Store) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    return [str(each) for each in report.problems]


async def test_rule_39_sign_ins_and_failed_ones_are_recorded(client: httpx.AsyncClient, each_store: Store) -> None:
    header = await sign_in(client)
    await client.post("/api/token", data=password_form(password="wrong"))
    await client.post("/api/token", data=password_form(username="my secret password"))
    await client.post("/api/token/revoke", data={"token": header["Authorization"][7:]})
    body = {"Email": EMAIL, "Password": PASSWORD, "NewPassword": "analytical engine no. 2"}
    await client.post("/api/auth/password", json=body)
    ada = ("User", 1)
    assert await trail(each_store) == [
        ("sign-in", EMAIL, ada, {"SessionId": 1, "ClientId": EMAIL}),
        ("sign-in refused", EMAIL, ada, {"Reason": "wrong password"}),
        ("sign-in refused", "unknown", None, {"Reason": "unknown user"}),
        ("sign-out", EMAIL, ada, {"SessionId": 1}),
        ("password changed", EMAIL, ada, {}),
    ]
    async with each_store.read_session() as session:
        records = await session.find(AuditRecord)
    assert {record["Address"] for record in records} == {"127.0.0.1"}
    assert await problems(each_store) == []


async def test_rule_39_changes_of_users_and_roles_say_what_changed(
    client: httpx.AsyncClient, each_store: Store
) -> None:
    header = await sign_in(client)
    north = await create_location(each_store)
    user = {"FullName": "Bob", "Email": "bob@example.org", "Language": 1, "Active": True, "Password": "a good password"}
    created = await client.post("/api/sys/users", json=user, headers=header)
    user_id = created.json()["Value"]["Id"]
    changed = user | {
        "Id": user_id,
        "FullName": "Bobby",
        "IsAdmin": True,
        "Password": "",
        "NewPassword": "another password",
    }
    assert (await client.put("/api/sys/users", json=changed, headers=header)).json()["WasSuccessful"]
    role = {"Name": "Desk", "BusinessId": north, "Users": [user_id]}
    assert (await client.post("/api/security/userroles", json=role, headers=header)).json()["WasSuccessful"]
    refused = await client.put("/api/sys/users", json=changed | {"Email": EMAIL}, headers=header)
    assert refused.status_code == 400
    _, first, second, third = await trail(each_store)
    assert first[:3] == ("created", EMAIL, ("User", user_id))
    assert first[3]["Email"] == [None, "bob@example.org"]
    assert first[3]["Password"] == "set"
    assert second[:3] == ("changed", EMAIL, ("User", user_id))
    expected = {"FullName": ["Bob", "Bobby"], "IsAdmin": [False, True], "NewPassword": "set"}
    assert expected.items() <= second[3].items()
    assert third[:3] == ("created", EMAIL, ("UserRole", 1))
    assert third[3]["Users"] == [None, [user_id]]
    everything = json.dumps(await trail(each_store))
    assert "a good password" not in everything
    assert "another password" not in everything
    assert (await client.delete("/api/security/userroles/1", headers=header)).json()["WasSuccessful"]
    assert (await trail(each_store))[-1] == ("deleted", EMAIL, ("UserRole", 1), {"Name": ["Desk", None]})
    assert await problems(each_store) == []


async def test_requests_with_basic_write_no_record_each(client: httpx.AsyncClient, each_store: Store) -> None:
    for _ in range(3):
        header = {"Authorization": basic_authorization()}
        assert (await client.get("/api/auth/me", headers=header)).status_code == 200
    assert await trail(each_store) == []


async def test_denials_are_recorded_once_for_each_path_and_at_most_so_many(
    client: httpx.AsyncClient, each_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_trail, "DENIALS_PER_HOUR", 2)
    north = await create_location(each_store)
    await create_person(each_store, "bob@example.org", is_admin=False, business_ids=(north,))
    header = {"Authorization": basic_authorization("bob@example.org")}
    for path in (TRAIL, f"{TRAIL}/7", "/api/spaces/coworkers", "/api/reports/liability"):
        for _ in range(2):
            assert (await client.get(path, headers=header)).status_code == 403
    assert (await client.get(f"{TRAIL}/x", headers=header)).status_code == 404
    reasons = ("The role Audit-Read is needed", "The role Audit-Read is needed")
    paths = (TRAIL, f"{TRAIL}/{{id}}")
    assert await trail(each_store) == [
        ("refused", "bob@example.org", None, {"Method": "GET", "Path": path, "Reason": reason})
        for path, reason in zip(paths, reasons, strict=True)
    ]
    assert await problems(each_store) == []


async def test_files_of_reports_are_recorded_as_exports(client: httpx.AsyncClient, each_store: Store) -> None:
    header = {"Authorization": basic_authorization()}
    for file_format in ("json", "csv"):
        query = {"Format": file_format, "To": "2026-01-31"}
        assert (await client.get("/api/reports/liability", params=query, headers=header)).status_code == 200
    details = {"Path": "/api/reports/liability", "Query": "Format=csv&To=2026-01-31"}
    assert await trail(each_store) == [("exported", EMAIL, None, details)]


async def test_concurrent_events_form_one_chain(client: httpx.AsyncClient, each_store: Store) -> None:
    await sign_in(client)
    for n in range(4):
        await create_person(each_store, f"n{n}@example.org")
    await asyncio.gather(*(sign_in(client, username=f"n{n}@example.org") for n in range(4)))
    async with each_store.read_session() as session:
        assert [record["Sequence"] for record in await session.find(AuditRecord)] == [1, 2, 3, 4, 5]
    assert await problems(each_store) == []


async def test_trail_is_listed_with_its_role_within_the_callers_locations(
    client: httpx.AsyncClient, each_store: Store
) -> None:
    north, south = await create_location(each_store), await create_location(each_store, "South")
    async with each_store.write_session() as session:
        for business_id in (north, south, None):
            event = AuditEvent(AuditAction.EXPORTED, "ann@example.org", business_id=business_id)
            await record_event(session, event, SIGN_IN_TIME)
    bob = await create_person(each_store, "bob@example.org", is_admin=False, business_ids=(north,))
    header = await sign_in(client, username="bob@example.org")
    assert (await client.get(TRAIL, headers=header)).status_code == 403
    await create_user_role(each_store, north, ("Audit-Read",), (bob,))
    listed = (await client.get(TRAIL, headers=header)).json()
    assert [record["BusinessId"] for record in listed["Records"]] == [north]
    admin = await sign_in(client)
    query = {"AuditRecord_Action": "exported", "AuditRecord_Actor": "ann@example.org"}
    assert (await client.get(TRAIL, params=query, headers=admin)).json()["TotalItems"] == 3
    for method in ("post", "put"):
        assert (await getattr(client, method)(TRAIL, json={}, headers=admin)).status_code == 405
    assert (await client.delete(f"{TRAIL}/1", headers=admin)).status_code == 405


async def test_database_refuses_to_change_or_delete_records(client: httpx.AsyncClient, each_store: Store) -> None:
    await sign_in(client)
    for statement in ("UPDATE audit_record SET actor = 'eve'", "DELETE FROM audit_record"):
        with pytest.raises(Exception, match="is append-only"):
            await run_sql_in_store(each_store, statement)


EDITS = {
    "changed": ("UPDATE audit_record SET actor = 'eve' WHERE sequence = 2", "AuditRecord 2: its content"),
    "details": ("UPDATE audit_record SET details = '{}' WHERE sequence = 2", "AuditRecord 2: its content"),
    "removed": ("DELETE FROM audit_record WHERE sequence = 2", "AuditRecord 3: the record before it is 1"),
    "truncated": ("DELETE FROM audit_record WHERE sequence = 4", "the audit trail ends at 3"),
    "emptied": ("DELETE FROM audit_record", "the audit trail ends at 0"),
    "rewritten digest": ("UPDATE audit_record SET digest = '00' WHERE sequence = 4", "AuditRecord 4: its content"),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_verify_finds_every_edit_of_the_trail(each_store: Store, edit: str) -> None:
    async with each_store.write_session() as session:
        for n in range(4):
            await record_event(session, AuditEvent(AuditAction.EXPORTED, EMAIL, details={"N": n}), SIGN_IN_TIME)
    assert await problems(each_store) == []
    statement, message = EDITS[edit]
    for trigger in await trigger_drops(each_store):
        await run_sql_in_store(each_store, trigger)
    await run_sql_in_store(each_store, statement)
    found = await problems(each_store)
    assert any(each.startswith(message) for each in found), found


async def trigger_drops(store: Store) -> list[str]:
    """Statements that remove the guards of the trail, as somebody with the database could."""
    if hasattr(store, "connection"):
        rows = await run_sql_in_store(
            store, "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_record'"
        )
        return [f"DROP TRIGGER {name}" for (name,) in rows]
    return ["ALTER TABLE audit_record DISABLE TRIGGER USER"]
