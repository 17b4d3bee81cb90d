"""The demo is loaded completely or not at all, and is the same from either process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, date, datetime, time, timedelta
from multiprocessing import active_children
from typing import Any

import pytest

from creditdesk.app import build_app
from creditdesk.audit.verify import verify_ledger
from creditdesk.demo import load
from creditdesk.demo.load import DatabaseNotEmpty, load_demo, record_batches
from creditdesk.demo.recent_activity import add_recent_activity
from creditdesk.demo.staff import ACCOUNTANT, AUDITOR, FRONT_DESK, MANAGER, MEMBER, add_member, add_staff
from creditdesk.demo.worker import generate_in_process
from creditdesk.entities.catalog import CATALOG
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.sys.business import Business
from creditdesk.reports.catalog import run_report
from creditdesk.reports.request import parse_report_request
from creditdesk.schema.entity import Record
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal
from creditdesk.settings import Settings
from tests.support.progress import CollectingReporter
from tests.support.users import PASSWORD, PASSWORDS, basic_authorization, http_client

NewStore = Callable[[], Awaitable[Store]]


class Interrupted(Exception):
    """Raised while the demo is being loaded."""


class InterruptingReport(NullReporter):
    """Raises at the first progress."""

    def advance(self, rows: int) -> None:
        raise Interrupted


def yield_once_then_exit(uses: int, seed: int) -> Iterator[int]:
    """Yields one item; then its process exits."""
    yield uses + seed
    os._exit(1)


@pytest.mark.parametrize("min_uses", [1 << 40, 100], ids=["here", "worker process"])
async def test_interrupted_demo_leaves_database_empty(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch, min_uses: int
) -> None:
    monkeypatch.setattr(load, "MIN_USES_FOR_PROCESS", min_uses)
    monkeypatch.setattr(load, "ROWS_PER_BATCH", 200)
    store = await new_store()
    with pytest.raises(Interrupted):
        await load_demo(store, 120, 3, InterruptingReport())
    await load_demo(store, 120, 3, NullReporter())
    with pytest.raises(DatabaseNotEmpty):
        await load_demo(store, 120, 3, NullReporter())
    report = CollectingReporter()
    assert await verify_ledger(store, report) > 120
    assert report.problems == []


async def test_worker_process_generates_same_records() -> None:
    async with aclosing(generate_in_process(record_batches, 120, 3)) as batches:
        made: list[Any] = [batch async for batch in batches]
    assert made == list(record_batches(120, 3))


async def test_large_demo_uses_worker_process(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MIN_USES_FOR_PROCESS", 100)
    store = await new_store()
    await load_demo(store, 120, 3, NullReporter())
    report = CollectingReporter()
    assert await verify_ledger(store, report) > 120
    assert report.problems == []


async def test_crashed_worker_raises() -> None:
    async with aclosing(generate_in_process(yield_once_then_exit, 1, 2)) as batches:
        assert await anext(batches) == 3
        with pytest.raises(ChildProcessError):
            await anext(batches)


async def test_closing_generator_ends_worker_process() -> None:
    async with aclosing(generate_in_process(record_batches, 100_000, 3)) as batches:
        assert await anext(batches)
    assert not [child for child in active_children() if child.is_alive()]


UNTIL = date(2026, 9, 15)


async def load_with_activity(store: Store, *, plants_unexplained: bool = False) -> None:
    await load_demo(store, 120, 3, NullReporter(), UNTIL)
    await add_recent_activity(store, 3, UNTIL, plants_unexplained=plants_unexplained)


async def all_records(store: Store) -> dict[str, list[Record]]:
    async with store.read_session() as session:
        return {entity.__name__: await session.find(entity) for entity in CATALOG}


async def test_one_seed_and_date_give_the_same_records(new_store: NewStore) -> None:
    """Every record, with its Ids, UniqueIds and times, also those that operations wrote."""
    first, second = await new_store(), await new_store()
    for store in (first, second):
        await load_with_activity(store)
    assert await all_records(first) == await all_records(second)


async def test_the_demo_ends_on_its_day_and_shows_what_can_happen(new_store: NewStore) -> None:
    store = await new_store()
    await load_with_activity(store)
    records = await all_records(store)
    ends = datetime(2026, 9, 15, tzinfo=UTC)
    lines = records["JournalLine"]
    assert max(line["RecordedOn"] for line in lines) < ends
    assert {line["Kind"] for line in lines} >= {
        "grant", "use", "reversal", "adjustment", "expiry", "reopening", "void", "hold", "release",
    }  # fmt: skip
    assert {line["Actor"] for line in lines} >= {FRONT_DESK, ACCOUNTANT, MANAGER, "creditdesk"}
    assert any(line["Override"] for line in lines)
    assert any(line["MemberId"] for line in lines), "a member drew on the credit of its team"
    states = {(hold["State"], hold["Until"] is not None and hold["Until"] < ends) for hold in records["Hold"]}
    assert states == {("confirmed", False), ("held", True), ("held", False)}
    assert {document["Operation"] for document in records["AllocationDocument"]} == {"charge", "hold"}
    assert len(records["PoolCap"]) == 2
    assert any(contract["InPausedPeriod"] for contract in records["CoworkerContract"])
    report = CollectingReporter()
    await verify_ledger(store, report)
    assert report.problems == []


async def test_the_demo_plants_two_balances_for_verify_to_find(new_store: NewStore) -> None:
    store = await new_store()
    await load_with_activity(store, plants_unexplained=True)
    report = CollectingReporter()
    await verify_ledger(store, report)
    assert len(report.problems) == 2
    assert all("the journal says" in problem for problem in report.problems)


async def test_the_demo_shows_only_the_exceptions_that_it_plants(new_store: NewStore) -> None:
    """Over two days: a person opens the demo some hours after its end."""
    store = await new_store()
    await load_demo(store, 400, 3, NullReporter(), UNTIL)
    await add_recent_activity(store, 3, UNTIL, plants_unexplained=True)
    principal = Principal(1, MANAGER, unrestricted=True)
    for days in (0, 1.5):
        now = datetime.combine(UNTIL, time(), UTC) + timedelta(days=days)
        async with store.read_session() as session:
            report = await run_report(session, parse_report_request("exceptions", {}, principal, now))
        codes = [column.name for column in report.columns].index("Code")
        assert Counter(row[codes] for row in report.rows) == {
            "balance_not_explained": 2, "override": 1, "use_without_source": 1, "expiry_not_recorded": 1,
            "hold_overdue": 3,
        }  # fmt: skip


async def test_staff_sign_in_and_may_do_what_their_work_needs(new_store: NewStore) -> None:
    store = await new_store()
    await load_with_activity(store)
    async with store.read_session() as session:
        locations = [location["Id"] for location in await session.find(Business, columns=("Id",))]
        (line, *_) = [line for line in await session.find(JournalLine) if line["Kind"] == "use"]
        holds = await session.find(Hold)
    async with store.write_session() as session:
        await add_staff(session, PASSWORD, locations, datetime.now(UTC), PASSWORDS)
        await add_staff(session, PASSWORD, locations, datetime.now(UTC), PASSWORDS)
        await add_member(session, PASSWORD, datetime.now(UTC), PASSWORDS)
        await add_member(session, PASSWORD, datetime.now(UTC), PASSWORDS)
    adjustment = {"Kind": "money", "Id": line["CreditId"], "Amount": 1, "Reason": "test"}
    expected = {FRONT_DESK: (403, 1), ACCOUNTANT: (200, 2), AUDITOR: (403, 2), MANAGER: (200, 1)}
    opening_time = datetime(2026, 9, 15, 9, tzinfo=UTC)
    async with http_client(build_app(store, Settings(), lambda: opening_time)) as client:
        for email, (adjusts, seen) in expected.items():
            client.headers["Authorization"] = basic_authorization(email, PASSWORD)
            listed = (await client.get("/api/sys/businesses")).json()
            assert listed["TotalItems"] == seen, email
            answer = await client.get("/api/ledger/holds")
            assert answer.status_code == 200, email
            assert answer.json()["TotalItems"] == len(holds), email
            assert (await client.post("/api/ledger/adjustments", json=adjustment)).status_code == adjusts, email
        client.headers["Authorization"] = basic_authorization(MEMBER, PASSWORD)
        benefits = (await client.get("/api/public/coworkers/profiles/current/benefits")).json()
        assert benefits["Personal"]["ExtraServices"]
        assert benefits["Team"]["BookingCredits"]
        assert (await client.get("/api/spaces/coworkers")).status_code == 403
