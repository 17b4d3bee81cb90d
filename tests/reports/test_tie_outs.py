"""The reports tie out over random lives: with each other, with the journal, and with plain Python over it."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from creditdesk.app import build_app
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.reports.catalog import run_report
from creditdesk.reports.csv_files import report_csv
from creditdesk.reports.documents import report_document
from creditdesk.reports.request import parse_report_request
from creditdesk.reports.values import Flow
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.settings import Settings
from tests.reports.now_and_instant import rows_of_now
from tests.reports.plain_journal import export_journal, flows_between, heads_digest, outstanding_at, read_journal
from tests.reports.random_lives import RandomLife
from tests.support.ledger_builder import ADMIN_PRINCIPAL
from tests.support.users import create_user_token, http_client

FLOWS = [flow.value.title().replace("_", "") for flow in Flow]
AT_END = ("liability", "ageing")
STEPS = 120
LIVES = [
    (1, "America/New_York", "GBP"),
    (2, "Europe/Lisbon", "JPY"),
    (3, "Australia/Lord_Howe", "KWD"),
    (4, "Pacific/Apia", "EUR"),
]
MONTHS = [(2026, month) for month in range(1, 11)]


class Life:
    """One life that was lived, and its reports."""

    def __init__(self, life: RandomLife, session: ReadSession, zone: str) -> None:
        self.life, self.session, self.zone = life, session, ZoneInfo(zone)
        self.now = life.ledger.now

    async def result(self, name: str, **params: Any) -> Any:
        raw = {"LocationIds": [self.life.ledger.business], **params}
        return await run_report(self.session, parse_report_request(name, raw, ADMIN_PRINCIPAL, self.now))

    async def report(self, name: str, **params: Any) -> dict[str, Any]:
        return report_document(await self.result(name, **params))


@pytest_asyncio.fixture(scope="module", params=LIVES, ids=lambda life: f"{life[1]} {life[2]}")
async def life(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[Life]:
    seed, zone, currency = request.param
    lived = await RandomLife.start(store, seed, zone, currency)
    await lived.live(STEPS)
    async with store.read_session() as session:
        yield Life(lived, session, zone)


def group(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["Location"], row["Kind"], row["Unit"], row["Funding"])


async def test_closing_is_the_next_opening_and_nothing_varies(life: Life) -> None:
    report = await life.report("roll-forward", From="2026-01-01", To="2026-10-31")
    assert {each for row in report["Rows"] for each in (Decimal(row["Variance"]),)} == {Decimal(0)}
    assert report["Footer"]["TiesOut"]
    by_month: dict[str, dict[tuple[str, ...], dict[str, Any]]] = defaultdict(dict)
    for row in report["Rows"]:
        by_month[row["Month"]][group(row)] = row
    months = sorted(by_month)
    assert len(months) >= 3
    for month, following in pairwise(months):
        closing = {key: row["Closing"] for key, row in by_month[month].items() if Decimal(row["Closing"])}
        opening = {key: row["Opening"] for key, row in by_month[following].items() if Decimal(row["Opening"])}
        assert closing == opening


@pytest.mark.parametrize("params", [{}, {"AsKnownAt": "2026-06-01T00:00:00Z"}], ids=["as recorded", "as known"])
@pytest.mark.parametrize("day", ["2026-02-28", "2026-03-29", "2026-04-30", "2026-06-15"])
async def test_the_liability_is_the_closing_of_every_group(life: Life, day: str, params: dict[str, str]) -> None:
    liability = await life.report("liability", At=day, **params)
    owed: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for row in liability["Rows"]:
        owed[group(row)] += Decimal(row["Outstanding"])
    closing = {
        group(row): Decimal(row["Closing"])
        for row in (await life.report("roll-forward", From=day, To=day, **params))["Rows"]
    }
    assert {key: amount for key, amount in owed.items() if amount} == {k: a for k, a in closing.items() if a}
    ageing = (await life.report("ageing", At=day, **params))["Totals"]
    by_unit = {(row["Kind"], row["Unit"]): Decimal(row["Outstanding"]) for row in liability["Totals"]}
    aged = {(row["Kind"], row["Unit"]): Decimal(row["Outstanding"]) for row in ageing}
    assert {k: a for k, a in aged.items() if a} == {k: a for k, a in by_unit.items() if a}


async def test_reports_of_now_are_those_of_the_same_instant(life: Life) -> None:
    """Of now the balances of credits are added up, of an instant those of their journals."""
    expiries = {
        record["ExpireDate"]
        for entity in (CoworkerBookingCredit, CoworkerExtraService)
        for record in await life.session.find(entity, columns=("ExpireDate",))
        if record["ExpireDate"] is not None and record["ExpireDate"] > life.now
    }
    ends = timedelta(0), timedelta(microseconds=1), timedelta(days=7), timedelta(days=14), timedelta(days=30)
    last = sorted(expiries)[-3:]
    assert last
    business = life.life.ledger.business
    for end in ends:
        for now in (life.now, *(expiry - end for expiry in last if expiry - end >= life.now)):
            assert await rows_of_now(life.session, business, now, "ageing")
            if end < timedelta(days=1):
                assert await rows_of_now(life.session, business, now, "liability", By="plan")
                assert await rows_of_now(life.session, business, now, "liability", By="customer")
                assert await rows_of_now(life.session, business, now, "breakage", Funding="unknown")


@pytest.mark.parametrize("params", [{}, {"AsKnownAt": "2026-05-01T00:00:00Z"}], ids=["as recorded", "as known"])
async def test_the_statements_of_the_customers_add_up_to_the_location(life: Life, params: dict[str, str]) -> None:
    period = {"From": "2026-02-01", "To": "2026-05-31", **params}
    summed: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for customer in life.life.customers:
        statement = await life.report("statement", CoworkerId=customer, **period)
        lines: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in statement["Rows"]:
            lines[row["Kind"], row["Unit"]] += Decimal(row["Amount"])
        for row in statement["Sections"][0]["Rows"]:
            unit = (row["Kind"], row["Unit"])
            assert lines[unit] == Decimal(row["Closing"]) - Decimal(row["Opening"])
            for name in ("Opening", *FLOWS, "Closing"):
                summed[*unit, name] += Decimal(row[name])
    totals = (await life.report("roll-forward", **period))["Totals"]
    assert summed == {
        (row["Kind"], row["Unit"], name): Decimal(row[name])
        for row in totals
        for name in ("Opening", *FLOWS, "Closing")
    }


async def test_every_figure_opens_the_movements_that_it_adds_up(life: Life) -> None:
    period = {"From": "2026-02-01", "To": "2026-04-30"}
    totals = (await life.report("roll-forward", **period))["Totals"]
    entries = {row["Id"] for row in await life.session.find(JournalLine, columns=("Id",))}
    for flow, name in zip(Flow, FLOWS, strict=True):
        opened = await life.report("movements", Flow=flow.value, **period)
        sums = {(row["Kind"], row["Unit"]): row["Amount"] for row in opened["Totals"]}
        assert sums == {(row["Kind"], row["Unit"]): row[name] for row in totals if Decimal(row[name])} | {
            unit: amount for unit, amount in sums.items() if not Decimal(amount)
        }
        assert all(row["EntryId"] in entries for row in opened["Rows"] if row["EntryId"])
        assert all(row["EntryId"] for row in opened["Rows"] if flow is not Flow.EXPIRED)


@pytest.mark.parametrize("name", ["liability", "roll-forward", "ageing", "utilisation", "activity"])
async def test_the_footer_says_what_a_report_stands_on(life: Life, name: str) -> None:
    business = life.life.ledger.business
    first, last = date(2026, 2, 1), date(2026, 4, 30)
    footer = (await life.report(name, To=last.isoformat(), **({} if name in AT_END else {"From": str(first)})))[
        "Footer"
    ]
    [place] = footer["Locations"]
    ends = local_midnight(last + timedelta(days=1), life.zone)
    assert (place["TimeZone"], place["ToUtc"]) == (life.zone.key, format_datetime(ends))
    if name not in AT_END:
        assert place["FromUtc"] == format_datetime(local_midnight(first, life.zone))
        assert footer["Period"] == f"{first} to {last}"
    assert footer["KnownAsOf"] == format_datetime(ends)
    lines = await life.session.find(JournalLine, where(JournalLine, BusinessId=business))
    known = [line for line in lines if line["RecordedOn"] < ends]
    assert 0 < footer["Entries"] == len(known) < len(lines)
    assert footer["HeadsDigest"] == heads_digest(business, known)
    assert footer["TiesOut"]
    assert not any(Decimal(each) for each in footer["Variance"].values())


async def test_files_have_the_figures_of_the_screen(life: Life) -> None:
    for name in ("liability", "roll-forward", "ageing", "utilisation", "statement", "activity"):
        result = await life.result(name, To="2026-04-30")
        document = report_document(result)
        rows = list(csv.DictReader(io.StringIO(report_csv(result).decode()), strict=True))
        shown = [{k: "" if v is None else str(v) for k, v in row.items()} for row in document["Rows"]]
        shown = [{k: {"True": "true", "False": "false"}.get(v, v) for k, v in row.items()} for row in shown]
        assert rows == shown


async def test_what_remains_now_is_what_the_records_show(life: Life) -> None:
    liability = await life.report("liability")
    remaining = {(row["Kind"], row["CreditId"]): Decimal(row["Remaining"]) for row in liability["Rows"]}
    money = await life.session.find(
        CoworkerBookingCredit, where(CoworkerBookingCredit, BusinessId=life.life.ledger.business)
    )
    prints = await life.session.find(
        CoworkerExtraService, where(CoworkerExtraService, BusinessId=life.life.ledger.business)
    )
    shown = {("money", row["Id"]): Decimal(row["RemainingCredit"]) / 10_000 for row in money}
    shown |= {("printing", row["Id"]): Decimal(row["RemainingUses"]) for row in prints}
    assert remaining == {key: amount for key, amount in shown.items() if amount}
    codes = {row["Code"] for row in (await life.report("exceptions"))["Rows"]}
    assert "balance_not_explained" not in codes


async def test_plain_python_over_the_exported_journal_agrees_to_the_last_digit(life: Life, tmp_path: Path) -> None:
    ledger, path = life.life.ledger, tmp_path / "entries.jsonl"
    token = await create_user_token(ledger.store, f"auditor{ledger.business}@example.com", lifetime_days=400)
    async with http_client(build_app(ledger.store, Settings(), lambda: life.now), token) as client:
        await export_journal(client, ledger.business, path)
    journal = read_journal(path)
    for year, month in MONTHS:
        start = local_midnight(date(year, month, 1), life.zone)
        end = local_midnight(date(year, month + 1, 1), life.zone)
        expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for (kind, _), entries in journal.items():
            figures = flows_between(entries, start, end)
            figures["Opening"] = outstanding_at(entries, start)
            figures["Closing"] = outstanding_at(entries, end)
            for name, amount in figures.items():
                expected[kind, name] += amount
        last = date(year, month + 1, 1).toordinal() - 1
        report = await life.report("roll-forward", From=f"{year}-{month:02}-01", To=date.fromordinal(last).isoformat())
        found = {
            ("money" if row["Kind"] == "money" else "time", name): Decimal(row[name])
            for row in report["Totals"]
            for name in ("Opening", *FLOWS, "Closing")
        }
        for kind in ("money", "time"):
            found[kind, "Expired"] = found.get((kind, "Expired"), Decimal(0)) + found.pop(
                (kind, "Reopened"), Decimal(0)
            )
        assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
