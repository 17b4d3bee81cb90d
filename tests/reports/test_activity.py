"""The activity report: ledger acts beside those of the audit trail, and who may read the latter."""

from __future__ import annotations

from creditdesk.app import build_app
from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.users_admin import set_roles
from creditdesk.settings import Settings
from tests.reports.report_client import ReportClient, amounts
from tests.support.users import create_user_token, http_client

BOSS = "boss@example.com"


async def record(reports: ReportClient, action: AuditAction, business: int | None = None, **details: object) -> None:
    event = AuditEvent(action, BOSS, 1, "192.0.2.7", business, "User", 12, details)
    async with reports.ledger.store.write_session() as session:
        await record_event(session, event, reports.ledger.now)


async def test_lists_acts_beside_the_ledger_in_order_of_time(reports: ReportClient) -> None:
    reports.set_time("2026-03-02T09:00:00Z")
    await record(reports, AuditAction.SIGN_IN)
    reports.set_time("2026-03-02T09:01:00Z")
    await reports.grant(40)
    reports.set_time("2026-03-02T09:02:00Z")
    await record(reports, AuditAction.ROLES_CHANGED, Roles=[["Clerk"], ["Clerk", "Manager"]])
    reports.set_time("2026-03-03T05:00:00Z")
    await record(reports, AuditAction.EXPORTED, Files=3)
    answer = await reports.http.get("/api/reports/activity", params={"From": "2026-03-02", "To": "2026-03-02"})
    rows = [row for row in answer.json()["Rows"] if row["Verb"] not in ("created", "changed")]
    assert amounts(rows, "Verb", "Source", "Reason", "Address") == [
        ("sign-in", "User 12", "", "192.0.2.7"),
        ("grant", "", "granted", ""),
        ("roles changed", "User 12", "Roles: Clerk → Clerk, Manager", "192.0.2.7"),
    ]
    assert [bool(row["AuditId"]) for row in rows] == [True, False, True]
    assert {row["Actor"] for row in rows} == {BOSS}
    exported = await reports.http.get("/api/reports/activity", params={"From": "2026-03-03", "Actor": BOSS})
    assert ("exported", "Files: 3") in amounts(exported.json()["Rows"], "Verb", "Reason")
    assert amounts((await reports.get("activity", From="2026-03-02"))["Rows"], "Verb") == [("grant",)]


async def test_acts_need_the_role_of_the_audit_trail_and_their_location(reports: ReportClient) -> None:
    reports.set_time("2026-04-02T09:00:00Z")
    ledger, store = reports.ledger, reports.ledger.store
    await reports.grant(40)
    await record(reports, AuditAction.SIGN_IN)
    await record(reports, AuditAction.CLOSED, ledger.business, Month="2026-03")
    email = f"auditor{ledger.customer}@example.com"
    token = await create_user_token(store, email, is_admin=False, business_ids=[ledger.business], lifetime_days=400)
    seen = []
    for roles in (("Reports-Read",), ("Reports-Read", "Audit-Read")):
        async with store.write_session() as session:
            user_id = await find_user_id(session, email)
            assert user_id is not None
            await set_roles(session, user_id, ledger.business, roles, now=ledger.now)
        async with http_client(build_app(store, Settings(), lambda: ledger.now), token) as auditor:
            answer = await auditor.get("/api/reports/activity", params={"From": "2026-04-02", "To": "2026-04-02"})
            seen.append([row["Verb"] for row in answer.json()["Rows"]])
    assert seen == [["grant"], ["grant", "month closed"]]
