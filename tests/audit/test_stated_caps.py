"""Caps of shared credit are compared with the audit trail, which states each of their values (rules 16, 39)."""

from __future__ import annotations

from typing import Any

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.repository import Store
from tests.audit.conftest import Tamper
from tests.support.api_client import ApiClient, created_id, succeeded
from tests.support.progress import CollectingReporter


async def create_cap(api: ApiClient) -> tuple[int, dict[str, Any]]:
    team = await api.ledger.add(Team, Name="Makers", BusinessId=api.ledger.business)
    body = {"TeamId": team, "CreditKind": 1, "Period": 3, "Amount": 30}
    return created_id(await api.post(PoolCap.path(), body)), body


async def problems_of(store: Store, cap: int) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    start = f"PoolCap {cap}: "
    return [problem.removeprefix(start) for problem in report.problems if problem.startswith(start)]


async def test_caps_that_the_api_changes_verify(unverified_api: ApiClient, store: Store) -> None:
    cap, body = await create_cap(unverified_api)
    assert await problems_of(store, cap) == []
    assert succeeded(await unverified_api.http.put(PoolCap.path(), json={**body, "Id": cap, "Amount": 0}))
    assert await problems_of(store, cap) == []
    assert succeeded(await unverified_api.http.delete(f"{PoolCap.path()}/{cap}"))
    assert await problems_of(store, cap) == []


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        ("UPDATE pool_cap SET amount = 990000 WHERE id = {cap}", "Amount is 990000 and the audit trail says 300000"),
        ("UPDATE pool_cap SET period = 1 WHERE id = {cap}", "Period is 1 and the audit trail says 3"),
        ("DELETE FROM pool_cap WHERE id = {cap}", "it is missing"),
    ],
)
async def test_a_cap_that_was_changed_past_the_api_is_reported(
    unverified_api: ApiClient, store: Store, tamper: Tamper, edit: str, problem: str
) -> None:
    cap, _ = await create_cap(unverified_api)
    await tamper(edit.format(cap=cap))
    assert await problems_of(store, cap) == [problem]
    # An import may have changed it.
    async with store.write_session() as session:
        await record_event(session, AuditEvent(AuditAction.IMPORTED, "command line"), unverified_api.ledger.now)
    assert await problems_of(store, cap) == []
