"""Scheduled work: what is due runs once, under one leader, and its last result is kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.auth.encryption import NO_CIPHER
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.entities.report_enums import (
    ReportFileType,
    ReportType,
    SavedReportGrouping,
    SavedReportKind,
    SavedReportPeriod,
)
from creditdesk.entities.reports.daily_total import DailyTotal
from creditdesk.entities.reports.saved_report import SavedReport
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.business import Business
from creditdesk.scheduler import month_end
from creditdesk.scheduler.jobs import JobContext, scheduled_jobs
from creditdesk.scheduler.lease import LEASE_TIME, release_lease, take_lease
from creditdesk.scheduler.month_end import write_month_end_reports
from creditdesk.scheduler.runner import JobFailed, ScheduledJob, load_job_results, run_due_jobs
from creditdesk.scheduler.schedule import Schedule
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import Store
from creditdesk.schema.service import RequestContext
from tests.support.ledger_builder import ADMIN_PRINCIPAL, LedgerBuilder

MORNING = datetime(2026, 3, 10, 5, tzinfo=UTC)
DAILY = Schedule(timedelta(days=1), timedelta(hours=4))


def jobs_of(
    ledger: LedgerBuilder, folder: Path | None = None, audit_days: int = 0, report_days: int = 0
) -> tuple[ScheduledJob, ...]:
    context = JobContext(ledger.store, ledger.context, ADMIN_PRINCIPAL, NO_CIPHER, 30, folder)
    return scheduled_jobs(replace(context, audit_days=audit_days, report_days=report_days))


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (None, True),
        ("2026-03-10T04:00:00+00:00", False),
        ("2026-03-10T03:59:59+00:00", True),
        ("2026-03-01T04:00:00+00:00", True),
    ],
)
def test_a_missed_run_is_made_up_for_once(last: str | None, due: bool) -> None:
    assert DAILY.is_due(datetime.fromisoformat(last) if last else None, MORNING) is due


def test_before_its_hour_a_daily_job_is_due_from_the_day_before() -> None:
    assert DAILY.latest_due(MORNING.replace(hour=3)) == datetime(2026, 3, 9, 4, tzinfo=UTC)


async def test_one_process_leads_until_its_lease_ends_or_is_given_back(store: Store) -> None:
    taken = await asyncio.gather(*(take_lease(store, name, MORNING) for name in ("a", "b", "c")))
    assert sum(taken) == 1
    leader = "abc"[taken.index(True)]
    assert await take_lease(store, leader, MORNING + timedelta(minutes=1))
    assert not await take_lease(store, "other", MORNING + LEASE_TIME)
    assert await take_lease(store, "other", MORNING + timedelta(minutes=1) + LEASE_TIME)
    await release_lease(store, "other", MORNING + LEASE_TIME)
    assert await take_lease(store, leader, MORNING + LEASE_TIME + timedelta(minutes=1))
    await release_lease(store, leader, MORNING)


async def test_due_jobs_run_once_and_a_failure_stops_no_other(store: Store) -> None:
    ran: list[str] = []

    async def good() -> str:
        ran.append("good")
        return "3 done"

    async def bad() -> str:
        raise JobFailed("the disk is full")

    jobs = [ScheduledJob("bad", "fails", DAILY, bad), ScheduledJob("good", "works", DAILY, good)]
    for _ in range(2):
        await run_due_jobs(store, jobs, "me", lambda: MORNING)
    known = await load_job_results(store)
    assert ran == ["good"]
    assert (known["good"].succeeded, known["good"].message) == (True, "3 done")
    assert (known["bad"].succeeded, known["bad"].message) == (False, "the disk is full")
    await run_due_jobs(store, jobs, "me", lambda: MORNING, only=["good"])
    assert ran == ["good", "good"]
    assert await run_due_jobs(store, jobs, "you", lambda: MORNING) is None
    await release_lease(store, "me", MORNING)


async def test_the_jobs_expire_credit_verify_and_sign_a_checkpoint(ledger: LedgerBuilder) -> None:
    ledger.now = MORNING
    credit = await ledger.add_money_credit("40.00", ExpireDate=MORNING - timedelta(days=1))
    results = await run_due_jobs(ledger.store, jobs_of(ledger), "me", lambda: ledger.now)
    assert results is not None
    messages = {result.name: (result.succeeded, result.message) for result in results}
    assert messages["expire"] == (True, "1 expired")
    assert messages["verify"][0]
    assert messages["checkpoint"][0]
    assert "expiry" in [line["Kind"] for line in await ledger.journal_lines("money", credit)]
    assert len(await ledger.find(StoredCheckpoint)) == 1
    async with ledger.store.write_session() as session:
        await session.update(CoworkerBookingCredit, [(credit, {"RemainingCredit": 10_000})])
    [result] = await run_due_jobs(ledger.store, jobs_of(ledger), "me", lambda: ledger.now, only=["verify"]) or []
    assert result.succeeded is False
    assert f"money credit {credit} of" in result.message
    async with ledger.store.write_session() as session:
        await session.update(CoworkerBookingCredit, [(credit, {"RemainingCredit": 400_000})])
    await release_lease(ledger.store, "me", MORNING)


async def test_audit_records_and_report_files_past_their_retention_are_removed(
    ledger: LedgerBuilder, tmp_path: Path
) -> None:
    ledger.now = MORNING - timedelta(days=40)
    async with ledger.store.write_session() as session:
        await record_event(session, AuditEvent(AuditAction.EXPORTED, "ada@example.org"), ledger.now)
    ledger.now = MORNING
    kept = ["2025-12/notes.txt", "2026-01/1-2-Liability.csv", "closings/1-2025-12-1/manifest.json"]
    for name in ("2025-11/1-2-Liability.csv", "2025-12/1-2-Liability.csv", *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    async def run(audit_days: int = 0, report_days: int = 0) -> str:
        jobs = jobs_of(ledger, tmp_path, audit_days, report_days)
        [result] = await run_due_jobs(ledger.store, jobs, "me", lambda: MORNING, only=["purge"]) or []
        assert result.succeeded
        return result.message

    assert await run() == "0 audit records and 0 report files removed"
    assert await run(audit_days=30, report_days=1) == "1 audit records and 2 report files removed"
    assert await run(audit_days=30, report_days=1) == "0 audit records and 0 report files removed"
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == kept
    assert not (tmp_path / "2025-11").exists()
    await release_lease(ledger.store, "me", MORNING)


async def test_the_totals_of_ended_days_are_stored_and_compared_with_the_journal(ledger: LedgerBuilder) -> None:
    ledger.now = MORNING - timedelta(days=2)
    await ledger.add_money_credit("40.00")
    ledger.now = MORNING

    async def run(name: str) -> tuple[bool | None, str]:
        [result] = await run_due_jobs(ledger.store, jobs_of(ledger), "me", lambda: ledger.now, only=[name]) or []
        return result.succeeded, result.message

    assert (await run("totals"))[0]
    assert await run("totals") == (True, "0 stored")
    assert (await run("verify"))[0]
    day = next(each for each in await ledger.find(DailyTotal) if each["BusinessId"] == ledger.business)
    async with ledger.store.write_session() as session:
        await session.update(DailyTotal, [(day["Id"], {"Totals": {}})])
    succeeded, message = await run("verify")
    assert succeeded is False
    assert f"location {ledger.business} until" in message
    await release_lease(ledger.store, "me", MORNING)


async def test_saved_reports_are_written_once_after_the_month_has_ended(ledger: LedgerBuilder, tmp_path: Path) -> None:
    ledger.now = MORNING
    for report, file_type in ((ReportType.Liability, ReportFileType.Json), (ReportType.Statement, ReportFileType.Csv)):
        await ledger.add(
            SavedReport, BusinessId=ledger.business, Name=f"../{report.name}", Report=int(report), Format=int(file_type)
        )
    for _ in range(2):
        [result] = (
            await run_due_jobs(ledger.store, jobs_of(ledger, tmp_path), "me", lambda: MORNING, only=["reports"]) or []
        )
    assert result.message == "0 written"
    files = sorted(tmp_path.rglob("*.*"))
    assert [path.parent for path in files] == [tmp_path / "2026-02"] * 2
    liability = json.loads(next(path for path in files if path.suffix == ".json").read_bytes())
    assert liability["Footer"]["Period"] == "the beginning to 2026-02-28"
    await release_lease(ledger.store, "me", MORNING)


@pytest.mark.parametrize(
    ("period", "first"),
    [
        (None, "2026-02-01"),
        (SavedReportPeriod.LastMonth, "2026-02-01"),
        (SavedReportPeriod.LastThreeMonths, "2025-12-01"),
        (SavedReportPeriod.LastTwelveMonths, "2025-03-01"),
        (SavedReportPeriod.YearToDate, "2026-01-01"),
    ],
)
async def test_a_saved_report_has_a_relative_period_and_a_customer(
    ledger: LedgerBuilder, tmp_path: Path, period: SavedReportPeriod | None, first: str
) -> None:
    ledger.now = MORNING - timedelta(days=20)
    customer = await ledger.add_customer("Grace")
    for owner in (ledger.customer, customer):
        await ledger.add_money_credit("40.00", CoworkerId=owner)
    saved = await ledger.add(
        SavedReport, BusinessId=ledger.business, Name="Hers", Report=int(ReportType.Statement),
        Format=int(ReportFileType.Json), Period=period and int(period), CoworkerId=customer,
    )  # fmt: skip
    result = await write_month_end_reports(
        ledger.store, tmp_path, RequestContext(ADMIN_PRINCIPAL, MORNING), ledger.context
    )
    [path] = [path for path in result.written if f"-{saved}-" in path.name]
    document = json.loads(path.read_bytes())
    assert (document["Subtitle"], len(document["Rows"])) == ("Grace", 1)
    assert document["Footer"]["Period"] == f"{first} to 2026-02-28"


async def test_a_saved_report_has_a_kind_and_a_grouping(ledger: LedgerBuilder, tmp_path: Path) -> None:
    ledger.now = MORNING - timedelta(days=20)
    customer = await ledger.add_customer("Mary")
    for _ in range(2):
        await ledger.add_money_credit("40.00", CoworkerId=customer)
    await ledger.add_time_credit(60, CoworkerId=customer)
    saved = await ledger.add(
        SavedReport, BusinessId=ledger.business, Name="Money by customer", Report=int(ReportType.Liability),
        Format=int(ReportFileType.Json), Kind=int(SavedReportKind.Money), GroupBy=int(SavedReportGrouping.Customer),
    )  # fmt: skip
    context = RequestContext(ADMIN_PRINCIPAL, MORNING)
    result = await write_month_end_reports(ledger.store, tmp_path, context, ledger.context)
    [path] = [path for path in result.written if f"-{saved}-" in path.name]
    [row] = [row for row in json.loads(path.read_bytes())["Rows"] if row["CustomerId"] == customer]
    assert (row["Kind"], row["Outstanding"]) == ("money", "80.00")
    assert "CreditId" not in row


async def test_a_saved_report_that_fails_stops_no_other(ledger: LedgerBuilder, tmp_path: Path) -> None:
    ledger.now = MORNING
    elsewhere = await ledger.add(Business, Name="Yard", CurrencyId=ledger.currency)
    stranger = await ledger.add(Coworker, FullName="Ida", Businesses=(elsewhere,))
    for name, customer in (("Broken", stranger), ("月" * 100, None), ("Whole", None)):
        await ledger.add(
            SavedReport, BusinessId=ledger.business, Name=name, Report=int(ReportType.Statement),
            Format=int(ReportFileType.Pdf if customer else ReportFileType.Csv), CoworkerId=customer,
        )  # fmt: skip

    def fail(*_: object) -> bytes:
        raise invalid_field("Format", "needs the extra of the package")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(month_end, "file_bytes", lambda result, kind: fail() if kind == "pdf" else b"written")
        jobs = jobs_of(ledger, tmp_path)
        [result] = await run_due_jobs(ledger.store, jobs, "me", lambda: MORNING, only=["reports"]) or []
    assert result.succeeded is False
    assert "not written: Broken: " in result.message
    for name in ("Whole", "月" * 60):
        assert any(name in path.name for path in tmp_path.rglob("*.csv"))
    await release_lease(ledger.store, "me", MORNING)
