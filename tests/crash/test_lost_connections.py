"""A connection lost before any statement leaves no trace, and a retry succeeds once."""

from __future__ import annotations

from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.repository import Store
from tests.support.api_client import (
    BOOKINGS,
    CREDITS,
    USES,
    ApiClient,
    booking_item,
    created_id,
    result_value,
    succeeded,
)
from tests.support.failing_store import FailingStore

WATCHED_ENTITIES = (
    CoworkerBookingCredit, CoworkerBookingCreditUseHistory, CoworkerExtraService, AccountState,
    JournalLine, StoredResponse, AllocationDocument, BenefitGrant, Hold, Booking,
)  # fmt: skip
MAX_STATEMENTS = 120
OPERATIONS = (
    "use",
    "spend",
    "reversal",
    "renewal",
    "top-up",
    "void",
    "charge",
    "cancellation",
    "hold",
    "adjustment",
    "bulk grant",
)


@pytest.mark.parametrize("act", OPERATIONS)
async def test_lost_connection_before_each_statement_leaves_nothing(
    api: ApiClient, failing_store: FailingStore, store: Store, act: str
) -> None:
    path, body = await prepare_request(api, act)
    key = f"{act} of {api.ledger.customer}"
    before = await all_records(store)
    for statement in range(1, MAX_STATEMENTS):
        failing_store.fail_before(statement)
        answer = await api.post(path, body, key)
        if not failing_store.has_failed:
            break
        failing_store.restore()
        assert answer.status_code == 503, (statement, answer.text)
        assert await all_records(store) == before, statement
    assert statement > 3
    assert succeeded(answer)
    failing_store.restore()
    after = await all_records(store)
    assert after != before
    assert (await api.post(path, body, key)).content == answer.content
    assert await all_records(store) == after


@pytest.mark.parametrize("act", OPERATIONS)
async def test_retry_after_unknown_commit_outcome_changes_nothing(
    api: ApiClient, failing_store: FailingStore, store: Store, act: str
) -> None:
    path, body = await prepare_request(api, act)
    key = f"{act} of {api.ledger.customer}"
    failing_store.fail_after_commit()
    first = await api.post(path, body, key)
    assert failing_store.has_failed
    failing_store.restore()
    after = await all_records(store)
    again = await api.post(path, body, key)
    assert succeeded(again)
    assert first.status_code == 503 or first.content == again.content
    assert await all_records(store) == after


async def test_use_without_key_is_not_retried_after_unknown_commit_outcome(
    api: ApiClient, failing_store: FailingStore
) -> None:
    credit = await api.create_credit("10.00")
    failing_store.fail_after_commit()
    answer = await api.post_use(credit, "1.00")
    failing_store.restore()
    assert answer.status_code == 503
    assert await api.remaining(credit) == 9
    assert len(await api.list_uses(credit)) == 1


async def prepare_request(api: ApiClient, act: str) -> tuple[str, Any]:
    """The path and body of an operation; the records it needs are created."""
    credit = await api.create_credit("40.00")
    use = created_id(await api.post_use(credit, "4.00"))
    booking = await api.create_booking(hours=2)
    if act == "cancellation":
        result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    if act == "renewal":
        await api.create_plan_contract()
    commands = {
        "reversal": (USES, "REVERSE_USE", use),
        "void": (CREDITS, "VOID_CREDIT", credit),
        "charge": (BOOKINGS, "CHARGE_BOOKING", booking),
        "cancellation": (BOOKINGS, "CANCEL_BOOKING", booking),
    }
    if act in commands:
        path, command, record = commands[act]
        return f"{path}/runcommand", {"Key": command, "Ids": [record]}
    return {
        "use": (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 1}),
        "spend": ("/api/ledger/spends", api.basket_body(booking_item(booking))),
        "hold": ("/api/ledger/holds", api.basket_body(booking_item(booking))),
        "top-up": (CREDITS, api.credit_body("5.00")),
        "renewal": ("/api/ledger/renewals", {}),
        "adjustment": ("/api/ledger/adjustments", {"Kind": "money", "Id": credit, "Amount": 2, "Reason": "count"}),
        "bulk grant": (
            "/api/ledger/bulk/grants",
            {"Kind": "money", "Reason": "lift", "Rows": [api.credit_body("5.00"), api.credit_body("6.00")]},
        ),
    }[act]


async def all_records(store: Store) -> list[Any]:
    """Every record that any of the operations could change."""
    async with store.read_session() as reading:
        return [await reading.find(entity) for entity in WATCHED_ENTITIES]
