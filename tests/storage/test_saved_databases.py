"""A database that version 0.1.0 wrote opens, migrates and verifies, and answers as it did."""

from __future__ import annotations

import json
import lzma
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
import pytest_asyncio
from httpx import AsyncClient

from creditdesk.app import build_app
from creditdesk.audit.checkpoint_check import verify_checkpoint
from creditdesk.audit.checkpoints import latest_checkpoint
from creditdesk.audit.verify import verify_ledger
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import issue_token
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.causes import recorded_cause
from creditdesk.schema.query import where
from creditdesk.schema.repository import Store
from creditdesk.settings import AuthSettings, Settings
from creditdesk.storage.engine import migration_steps, open_store, planned_changes
from creditdesk.storage.migrations import OlderDatabase
from tests.support.databases import create_postgres_database, drop_postgres_database, run_sql
from tests.support.progress import CollectingReporter
from tests.support.users import http_client

FIXTURES = Path(__file__).parent.parent / "fixtures"
SAVED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Saved(NamedTuple):
    """A database of version 0.1.0, and what that version answered."""

    url: str
    answers: dict[str, Any]


@pytest_asyncio.fixture(params=("sqlite", "postgresql"))
async def saved(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Saved]:
    answers = json.loads((FIXTURES / f"creditdesk-0.1.0-{request.param}.json").read_text())
    if request.param == "sqlite":
        file = tmp_path / "saved.db"
        file.write_bytes(lzma.decompress((FIXTURES / "creditdesk-0.1.0.db.xz").read_bytes()))
        yield Saved(f"sqlite:///{file}", answers)
        return
    server = request.getfixturevalue("postgres_server")
    url = create_postgres_database(server)
    connection = await asyncpg.connect(url)
    dump = lzma.decompress((FIXTURES / "creditdesk-0.1.0.sql.xz").read_bytes())
    await connection.execute(dump.decode())
    await connection.close()
    yield Saved(url, answers)
    drop_postgres_database(server, url)


_NAMES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
    "postgresql": """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 'S')
UNION ALL SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
""",
}


async def schema_names(url: str) -> list[str]:
    """The names of tables, indexes, constraints, triggers and functions, read directly."""
    text = _NAMES["sqlite" if url.startswith("sqlite") else "postgresql"]
    return sorted(str(name) for (name,) in await run_sql(url, text))


async def test_plan_lists_pending_steps_and_changes_nothing(saved: Saved) -> None:
    before = await schema_names(saved.url)
    pending = [step.title for step in await migration_steps(saved.url) if not step.applied_on]
    changes = await planned_changes(saved.url)
    assert pending
    assert [change.title for change in changes][: len(pending)] == pending
    statements = [statement for change in changes for statement in change.statements]
    assert "ALTER TABLE credit_state RENAME TO account_state;" in statements
    assert await schema_names(saved.url) == before
    with pytest.raises(OlderDatabase):
        await open_store(saved.url)


async def test_saved_database_migrates_and_verifies(saved: Saved) -> None:
    store = await open_store(saved.url, migrated=True)
    try:
        report = CollectingReporter()
        assert await verify_ledger(store, report) > 60
        async with store.read_session() as session:
            checkpoint = await latest_checkpoint(session)
        assert checkpoint is not None
        await verify_checkpoint(store, checkpoint.checkpoint, report)
        assert report.problems == []
    finally:
        await store.close()
    if saved.url.startswith("sqlite"):
        assert await run_sql(saved.url, "PRAGMA integrity_check") == [("ok",)]
    assert await planned_changes(saved.url) == []
    assert all(step.applied_on for step in await migration_steps(saved.url))


async def test_credit_without_a_journal_is_granted_by_the_migration(saved: Saved) -> None:
    await run_sql(
        saved.url,
        "INSERT INTO coworker_booking_credit (id, created_on, updated_on, unique_id, business_id, coworker_id, "
        "remaining_credit, total_credit, business_currency_code, business_currency_code_fold) "
        "SELECT 7777, created_on, updated_on, 'u7777', business_id, coworker_id, "
        "400000, 400000, business_currency_code, business_currency_code_fold FROM coworker_booking_credit WHERE id = 1",
    )
    store = await open_store(saved.url, migrated=True)
    report = CollectingReporter()
    await verify_ledger(store, report)
    async with store.read_session() as session:
        lines = await session.find(JournalLine, where(JournalLine, CreditKind="money", CreditId=7777))
    await store.close()
    assert [(line["Kind"], line["BalanceAfter"], line["Actor"]) for line in lines] == [
        ("grant", 400_000, "system"),
    ]
    assert report.problems == []


async def test_migrated_schema_has_the_names_of_a_new_one(
    saved: Saved, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if saved.url.startswith("sqlite"):
        new = f"sqlite:///{tmp_path / 'new.db'}"
    else:
        new = create_postgres_database(request.getfixturevalue("postgres_server"))
    for url in (saved.url, new):
        await (await open_store(url, migrated=True)).close()
    assert await schema_names(saved.url) == await schema_names(new)


async def signed_in(store: Store) -> AsyncClient:
    """A client of the administrator, a minute after the database was saved."""
    settings = AuthSettings()
    secret = await signing_secret(store, settings, SAVED_AT)
    async with store.write_session() as session:
        user_id = await find_user_id(session, "admin@example.com")
        assert user_id is not None
        grant = await issue_token(session, user_id, secret, settings, now=SAVED_AT)
    app = build_app(store, Settings(), lambda: SAVED_AT + timedelta(minutes=1))
    return http_client(app, grant.access_token)


async def test_saved_database_answers_as_before(saved: Saved) -> None:
    store = await open_store(saved.url, migrated=True)
    async with await signed_in(store) as client:
        for path, expected in saved.answers["answers"].items():
            answer = _known(_stable((await client.get(path)).json()), _stable(expected))
            assert _without_changes(path, answer) == _without_changes(path, _stable(expected)), path
        repeated = saved.answers["repeated"]
        response = await client.post(
            repeated["path"],
            json=repeated["body"],
            headers={"Idempotency-Key": repeated["key"]},
        )
        assert response.json() == repeated["answer"]
        hold = saved.answers["hold"]["id"]
        released = await client.post(f"/api/ledger/holds/{hold}/release", json={})
        assert released.json()["WasSuccessful"], released.text
    report = CollectingReporter()
    await verify_ledger(store, report)
    await store.close()
    assert report.problems == []


@pytest.mark.parametrize("action", ["confirm", "release"])
async def test_hold_of_a_saved_database_ends(saved: Saved, action: str) -> None:
    """Its own entry names no decision; what became of it does."""
    store = await open_store(saved.url, migrated=True)
    async with await signed_in(store) as client:
        ended = await client.post(f"/api/ledger/holds/{saved.answers['hold']['id']}/{action}", json={})
        assert ended.json()["WasSuccessful"], ended.text
    report = CollectingReporter()
    await verify_ledger(store, report)
    async with store.read_session() as session:
        lines = await session.find(JournalLine, where(JournalLine, AllocationId=1))
    await store.close()
    assert [line["Kind"] for line in lines] == (["release", "use"] if action == "confirm" else ["release"])
    assert report.problems == []


async def test_logins_are_migrated_to_form_nfkc(saved: Saved) -> None:
    [(credential_id,)] = await run_sql(saved.url, "SELECT min(id) FROM credential")
    await run_sql(
        saved.url,
        f"UPDATE credential SET login = 'ﬁona@example.com', login_fold = 'ﬁona@example.com' WHERE id = {credential_id}",
    )
    await (await open_store(saved.url, migrated=True)).close()
    rows = await run_sql(saved.url, f"SELECT login, login_fold FROM credential WHERE id = {credential_id}")
    assert rows == [("fiona@example.com", "fiona@example.com")]


def _known(answer: Any, expected: Any) -> Any:
    """An answer without the fields that the expected one does not have: later versions add some."""
    if isinstance(expected, dict):
        return {name: _known(answer.get(name), value) for name, value in expected.items()}
    if isinstance(expected, list) and len(answer) == len(expected):
        return [_known(*pair) for pair in zip(answer, expected, strict=True)]
    return answer


CHANGED: dict[str, tuple[str, ...]] = {
    "/api/spaces/bookings?size=1": ("BookingNumber", "ToStringText"),
    "/api/billing/coworkerbookingcredits/25": ("CoworkerFullName",),
}
"""Fields that answers show otherwise than version 0.1.0, or no longer."""


def _without_changes(path: str, answer: Any) -> Any:
    if isinstance(answer, list):
        return [_without_changes(path, each) for each in answer]
    if isinstance(answer, dict):
        kept = answer.keys() - set(CHANGED.get(path, ()))
        return {name: _without_changes(path, answer[name]) for name in kept}
    return answer


async def test_saved_bookings_are_numbered_by_location(saved: Saved) -> None:
    store = await open_store(saved.url, migrated=True)
    async with store.read_session() as session:
        bookings = await session.find(Booking, columns=("Id", "ResourceBusinessId", "BookingNumber"))
    await store.close()
    by_location: dict[int, list[int]] = {}
    for booking in bookings:
        by_location.setdefault(booking["ResourceBusinessId"], []).append(booking["BookingNumber"])
    assert by_location
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_location.values())


def _stable(answer: Any) -> Any:
    """An answer without the instant at which it was given."""
    if isinstance(answer, dict) and "WasSuccessful" in answer:
        return {name: value for name, value in answer.items() if name != "UpdatedOn"}
    return answer


async def test_saved_lines_get_the_causes_that_follow_from_them(saved: Saved) -> None:
    await (await open_store(saved.url, migrated=True)).close()
    rows = await run_sql(
        saved.url,
        "SELECT DISTINCT kind, source_kind, history_id IS NULL, cause, format_version FROM journal_line",
    )
    found = {
        (str(kind), source and str(source), bool(no_row)): (cause, version)
        for kind, source, no_row, cause, version in rows
    }
    assert found == {
        key: (recorded_cause(kind, source, None if no_row else 1), 1) for key in found for kind, source, no_row in [key]
    }
    assert {cause for cause, _ in found.values()} >= {"unknown", "booking", "unattributed"}


async def test_saved_credits_get_the_funding_that_is_known(saved: Saved) -> None:
    true = "1" if saved.url.startswith("sqlite") else "true"
    unfunded = "tariff_booking_credit_id IS NULL"
    [[credit], [other]] = await run_sql(
        saved.url, f"SELECT id FROM coworker_booking_credit WHERE {unfunded} ORDER BY id LIMIT 2"
    )
    [[sale], [unpaid]] = await run_sql(saved.url, "SELECT id FROM coworker_product ORDER BY id LIMIT 2")
    for credit_id, sale_id in ((credit, sale), (other, unpaid)):
        await run_sql(
            saved.url,
            "UPDATE coworker_booking_credit SET coworker_product_unique_id = "
            f"(SELECT unique_id FROM coworker_product WHERE id = {sale_id}) WHERE id = {credit_id}",
        )
    await run_sql(saved.url, f"UPDATE coworker_product SET coworker_invoice_paid = {true} WHERE id = {sale}")
    await run_sql(saved.url, f"UPDATE coworker_product SET coworker_invoice_paid = NOT {true} WHERE id = {unpaid}")
    await (await open_store(saved.url, migrated=True)).close()
    rows = await run_sql(
        saved.url,
        "SELECT credit_kind, credit_id, funding, funding_fold, price_paid, source_document FROM account_state",
    )
    found = {(str(kind), number): tuple(values) for kind, number, *values in rows}
    assert found["money", credit] == ("paid", "paid", None, f"sale/{sale}")
    assert found["money", other] == ("unknown", "unknown", None, None)
    from_plan = await run_sql(
        saved.url,
        f"SELECT 'time', id FROM coworker_extra_service WHERE is_from_tariff = {true} "
        "UNION ALL SELECT 'money', id FROM coworker_booking_credit WHERE tariff_booking_credit_id IS NOT NULL",
    )
    planned = {(str(kind), number) for kind, number in from_plan}
    assert {key for key, values in found.items() if values[0] == "plan"} == planned & found.keys()
    assert planned & found.keys()


async def test_migrated_holds_of_a_basket_name_their_own_decisions(saved: Saved) -> None:
    """A second item of the saved hold's basket: its hold named the first item's decision."""
    basket = "business_id, coworker_id, group_, source_kind, source_id"
    stamps = "updated_on, created_on"
    await run_sql(
        saved.url,
        f"INSERT INTO allocation_document ({basket}, {stamps}, document, id, unique_id) "
        "SELECT business_id, coworker_id, group_, source_kind, 31, updated_on, created_on, document, 9001, 'd-9001' "
        "FROM allocation_document WHERE id = (SELECT allocation_id FROM hold)",
    )
    held = "credit_kind, credit_id, amount, covered, until, state, allocation_id"
    await run_sql(
        saved.url,
        f"INSERT INTO hold ({basket}, {stamps}, {held}, id, unique_id) "
        f"SELECT business_id, coworker_id, group_, source_kind, 31, {stamps}, {held}, 9002, 'h-9002' FROM hold",
    )
    first = await run_sql(saved.url, "SELECT id, allocation_id FROM hold WHERE id < 9002")
    await (await open_store(saved.url, migrated=True)).close()
    assert await run_sql(saved.url, "SELECT id, allocation_id FROM hold ORDER BY id") == [*first, (9002, 9001)]


async def test_migrated_contracts_made_here_are_active(saved: Saved) -> None:
    """Those that were cancelled or imported keep their state."""
    is_sqlite = saved.url.startswith("sqlite")
    yes, no = ("1", "0") if is_sqlite else ("TRUE", "FALSE")
    states = [
        ("01a222a8-51e5-7d97-a84a-626facf31258", no, True),
        ("01a222a8-51e5-7d97-a84a-626facf31259", yes, False),
        ("01a222a8-51e5-4d97-a84a-626facf31260", no, False),
    ]
    for number, (unique_id, cancelled, _) in enumerate(states, 9001):
        await run_sql(
            saved.url,
            "INSERT INTO coworker_contract (issued_by_id, coworker_id, tariff_id, active, cancelled, updated_on, "
            f"created_on, id, unique_id) SELECT issued_by_id, coworker_id, tariff_id, {no}, {cancelled}, updated_on, "
            f"created_on, {number}, '{unique_id}' FROM coworker_contract ORDER BY id LIMIT 1",
        )
    await (await open_store(saved.url, migrated=True)).close()
    found = await run_sql(saved.url, "SELECT id, active FROM coworker_contract WHERE id > 9000 ORDER BY id")
    assert [(number, bool(active)) for number, active in found] == [
        (number, active) for number, (*_, active) in enumerate(states, 9001)
    ]
