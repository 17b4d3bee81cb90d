"""Reports equal those that read every credit's journal: those that start from stored totals, and the exceptions,
which read the journals of the credits that stand out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.reports.daily_total import DailyTotal
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.operations.set_funding import set_funding
from creditdesk.ledger.rules.funding import Funding, FundingKind
from creditdesk.ledger.services import CreditService
from creditdesk.reports.catalog import REPORTS, run_report
from creditdesk.reports.daily_totals_job import find_stale_days, store_daily_totals
from creditdesk.reports.documents import report_document
from creditdesk.reports.loader import load_view
from creditdesk.reports.request import parse_report_request
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.query import where
from creditdesk.schema.repository import Store
from tests.reports.plain_journal import heads_digest
from tests.reports.random_lives import RandomLife
from tests.support.ledger_builder import ADMIN_PRINCIPAL

PERIODS: list[tuple[str, dict[str, Any]]] = [
    ("roll-forward", {}),
    ("roll-forward", {"From": "2026-02-03", "To": "2026-04-30"}),
    ("roll-forward", {"From": "2026-02-14T11:00:00Z", "To": "2026-03-29T01:30:00Z"}),
    ("roll-forward", {"To": "2026-03-31", "Kind": "money"}),
    ("liability", {"By": "kind"}),
    ("liability", {"By": "funding", "At": "2026-03-31"}),
    ("liability", {"By": "funding", "At": "2026-02-20T12:00:00Z"}),
    ("exceptions", {}),
    ("exceptions", {"At": "2026-03-31"}),
    ("exceptions", {"At": "2026-02-20T12:00:00Z"}),
]
LIVES = [(11, "Australia/Lord_Howe", "KWD"), (12, "America/New_York", "GBP")]


@pytest_asyncio.fixture(params=LIVES, ids=lambda life: life[1])
async def life(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[RandomLife]:
    lived = await RandomLife.start(store, *request.param)
    await lived.live(60)
    yield lived


async def assert_same_figures(life: RandomLife, cases: list[tuple[str, dict[str, Any]]]) -> None:
    """Each report as it is answered equals that over the histories of all credits."""
    now = life.ledger.now
    async with life.ledger.store.read_session() as session:
        for name, params in cases:
            raw = {"LocationIds": [life.ledger.business], **params}
            request, kind = parse_report_request(name, raw, ADMIN_PRINCIPAL, now), REPORTS[name]
            wanted = request if kind.of_period else request.since_beginning()
            expected = await kind.compute(session, await load_view(session, wanted))
            found = await run_report(session, request)
            assert report_document(found) == report_document(expected), (name, params)


async def stored_days(life: RandomLife) -> int:
    async with life.ledger.store.read_session() as session:
        return await session.count(DailyTotal, where(DailyTotal, BusinessId=life.ledger.business))


async def stale_days(life: RandomLife) -> list[str]:
    """Those of the life's location; others were lived to other ends."""
    found = await find_stale_days(life.ledger.store, life.ledger.now)
    return [each for each in found if each.startswith(f"location {life.ledger.business} ")]


async def test_reports_are_the_same_before_between_and_after_stored_days(life: RandomLife) -> None:
    store, ledger = life.ledger.store, life.ledger
    await assert_same_figures(life, PERIODS)
    assert await store_daily_totals(store, ledger.now)
    first = await stored_days(life)
    assert first > 10
    await assert_same_figures(life, PERIODS)
    await life.live(15)
    await assert_same_figures(life, PERIODS)
    assert await store_daily_totals(store, ledger.now)
    assert await stored_days(life) > first
    assert await store_daily_totals(store, ledger.now) == 0
    await life.live(5)
    await assert_same_figures(life, PERIODS)
    assert await stale_days(life) == []


async def test_a_late_entry_is_part_of_every_day_after_it(life: RandomLife) -> None:
    store, ledger = life.ledger.store, life.ledger
    await store_daily_totals(store, ledger.now)
    now = ledger.now
    ledger.now -= timedelta(days=40)
    await life.grant_money()
    ledger.now = now
    await assert_same_figures(life, PERIODS)
    assert 0 < await store_daily_totals(store, now) < await stored_days(life)
    await assert_same_figures(life, PERIODS)
    assert await stale_days(life) == []


async def test_a_deleted_credit_and_one_of_a_new_funding_are_counted_once(life: RandomLife) -> None:
    store, ledger = life.ledger.store, life.ledger
    await life.grant_money()
    await life.grant_money()
    ledger.now += timedelta(days=3)
    await store_daily_totals(store, ledger.now)
    *_, changed, unused = life.money
    ledger.now += timedelta(hours=1)
    async with store.write_session() as session:
        record = await session.get(CoworkerBookingCredit, unused)
        assert record is not None
        await CreditService(ledger.context).delete(session, CoworkerBookingCredit, record, ledger.request_context())
    async with store.write_session() as session:
        funding = Funding(FundingKind.GOODWILL)
        account = (AccountType.MONEY, changed)
        await set_funding(session, [account], funding, "gift", ledger.request_context(), ledger.context)
    await assert_same_figures(life, PERIODS)
    ledger.now += timedelta(days=2)
    await store_daily_totals(store, ledger.now)
    await assert_same_figures(life, PERIODS)
    assert await stale_days(life) == []


async def test_stored_totals_that_the_journal_does_not_have_are_found(life: RandomLife) -> None:
    store, ledger = life.ledger.store, life.ledger
    await store_daily_totals(store, ledger.now)
    async with store.write_session() as session:
        [day, *_] = await session.find(DailyTotal, where(DailyTotal, BusinessId=ledger.business))
        group, values = next(iter(day["Totals"].items()))
        totals = {**day["Totals"], group: [values[0] + 1, *values[1:]]}
        await session.update(DailyTotal, [(day["Id"], {"Totals": totals})])
    [found] = await stale_days(life)
    assert found == f"location {ledger.business} until {day['Until']:%Y-%m-%dT%H:%M:%SZ}"


async def test_an_instant_within_a_second_divides_the_entries_of_the_second(life: RandomLife) -> None:
    ledger = life.ledger
    ledger.now = (ledger.now + timedelta(days=1)).replace(microsecond=200_000)
    instant = ledger.now + timedelta(milliseconds=200)
    await life.grant_money()
    ledger.now += timedelta(milliseconds=500)
    await life.grant_money()
    raw = {"LocationIds": [ledger.business], "At": format_datetime(instant), "By": "kind"}
    async with ledger.store.read_session() as session:
        footer = (await run_report(session, parse_report_request("liability", raw, ADMIN_PRINCIPAL, ledger.now))).footer
        lines = await session.find(JournalLine, where(JournalLine, BusinessId=ledger.business))
    known = [line for line in lines if line["RecordedOn"] <= instant]
    assert footer.entries == len(known) == len(lines) - 1
    assert footer.heads_digest == heads_digest(ledger.business, known)
