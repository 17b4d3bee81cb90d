"""Closing a month: refused while something is not explained; afterwards signed, written, and visible on reports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from creditdesk.auth.encryption import NO_CIPHER
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.reports.period_closing import PeriodClosing
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.operations.corrections import adjust
from creditdesk.reports.acknowledgements import acknowledge
from creditdesk.reports.catalog import run_report
from creditdesk.reports.request import parse_report_request
from creditdesk.reports.result import ReportResult
from creditdesk.scheduler.closing import ClosingContext, close_month, reopen_month
from creditdesk.schema.errors import StateConflict, ValidationError
from creditdesk.schema.repository import Store
from tests.support.ledger_builder import ADMIN_PRINCIPAL, LedgerBuilder

JANUARY = date(2026, 1, 1)


@pytest_asyncio.fixture
async def ledger(store: Store) -> AsyncIterator[LedgerBuilder]:
    """A location in New York with a used credit, on 5 February."""
    ledger = await LedgerBuilder.create(store)
    await ledger.add_location_profile("America/New_York")
    ledger.now = datetime(2026, 1, 10, 12, tzinfo=UTC)
    credit = await ledger.add_money_credit("40.00")
    await ledger.post_use(credit, "12.50")
    ledger.now = datetime(2026, 2, 5, 12, tzinfo=UTC)
    yield ledger


def context_of(ledger: LedgerBuilder, folder: Path) -> ClosingContext:
    return ClosingContext(ledger.store, ADMIN_PRINCIPAL, ledger.context, NO_CIPHER, folder)


async def report(ledger: LedgerBuilder, name: str, **params: Any) -> ReportResult:
    raw = {"LocationIds": [ledger.business], **params}
    async with ledger.store.read_session() as session:
        return await run_report(session, parse_report_request(name, raw, ADMIN_PRINCIPAL, ledger.now))


async def test_a_closed_month_has_reports_with_hashes_and_a_checkpoint(ledger: LedgerBuilder, tmp_path: Path) -> None:
    closing = await close_month(context_of(ledger, tmp_path), ledger.business, JANUARY)
    assert {path.name for path in closing.documents} == {
        "liability.xlsx", "roll-forward.xlsx", "roll-forward.json", "ageing.xlsx", "exceptions.csv", "activity.csv",
    }  # fmt: skip
    for path, digest in closing.documents.items():
        assert sha256(path.read_bytes()).hexdigest() == digest
    [manifest] = tmp_path.rglob("closing.json")
    assert json.loads(manifest.read_text())["checkpoint"] == closing.checkpoint
    rolled = json.loads((manifest.parent / "roll-forward.json").read_text())
    assert [(row["Opening"], row["Closing"], row["Variance"]) for row in rolled["Rows"]] == [("0.00", "27.50", "0.00")]
    with pytest.raises(StateConflict, match="Reopen it first"):
        await close_month(context_of(ledger, tmp_path), ledger.business, JANUARY)


async def test_later_reports_show_that_a_month_was_closed_and_opened_again(
    ledger: LedgerBuilder, tmp_path: Path
) -> None:
    context = context_of(ledger, tmp_path)
    await close_month(context, ledger.business, JANUARY)
    ledger.now = datetime(2026, 2, 7, 12, tzinfo=UTC)
    with pytest.raises(ValidationError):
        await reopen_month(context, ledger.business, JANUARY, " ")
    await reopen_month(context, ledger.business, JANUARY, "a late invoice")
    with pytest.raises(StateConflict, match="is not closed"):
        await reopen_month(context, ledger.business, JANUARY, "again")
    notes = (await report(ledger, "roll-forward", From="2026-01-01", To="2026-01-31")).footer.notes
    assert notes == (
        "2026-01 of Mill was closed on 2026-02-05T12:00:00Z by admin@example.com",
        "2026-01 of Mill was reopened on 2026-02-07T12:00:00Z by admin@example.com: a late invoice",
    )
    assert (await report(ledger, "roll-forward", From="2026-02-01", To="2026-02-28")).footer.notes == ()
    again = await close_month(context, ledger.business, JANUARY)
    assert {path.parent.name for path in again.documents} == {f"{ledger.business}-2026-01-2"}


async def test_a_month_is_closed_and_opened_once_when_several_do_it_at_once(
    ledger: LedgerBuilder, tmp_path: Path
) -> None:
    context = context_of(ledger, tmp_path)
    for act, message in (
        (lambda: close_month(context, ledger.business, JANUARY), "is closed"),
        (lambda: reopen_month(context, ledger.business, JANUARY, "a late invoice"), "is not closed"),
    ):
        done = await asyncio.gather(*(act() for _ in range(3)), return_exceptions=True)
        conflicts = [str(each) for each in done if isinstance(each, StateConflict)]
        assert len(conflicts) == 2, done
        assert all(message in each or "closed until" in each for each in conflicts)
    rows = await ledger.find(PeriodClosing, BusinessId=ledger.business)
    assert [row["Action"] for row in rows] == ["closed", "reopened"]
    assert {path.parent.name for path in tmp_path.rglob("closing.json")} == {f"{ledger.business}-2026-01-1"}


async def test_rule_39_closings_are_in_the_audit_trail(ledger: LedgerBuilder, tmp_path: Path) -> None:
    context = context_of(ledger, tmp_path)
    await close_month(context, ledger.business, JANUARY)
    await reopen_month(context, ledger.business, JANUARY, "a late invoice")
    closed, reopened = await ledger.find(AuditRecord, BusinessId=ledger.business)
    assert (closed["Action"], closed["Actor"]) == ("month closed", "admin@example.com")
    assert (reopened["Action"], reopened["SubjectId"]) == ("month reopened", ledger.business)
    assert json.loads(reopened["Details"]) == {"Month": "2026-01", "Reason": "a late invoice", "CheckpointId": None}


async def test_a_month_is_closed_only_after_it_has_ended_on_the_locations_clock(
    ledger: LedgerBuilder, tmp_path: Path
) -> None:
    ledger.now = datetime(2026, 2, 1, 4, 59, tzinfo=UTC)
    with pytest.raises(StateConflict, match="cannot be closed before"):
        await close_month(context_of(ledger, tmp_path), ledger.business, JANUARY)
    ledger.now = datetime(2026, 2, 1, 5, tzinfo=UTC)
    await close_month(context_of(ledger, tmp_path), ledger.business, JANUARY)


async def test_a_balance_that_is_not_explained_refuses_the_closing_until_it_is_acknowledged(
    ledger: LedgerBuilder, tmp_path: Path
) -> None:
    [credit] = await ledger.find(CoworkerBookingCredit, BusinessId=ledger.business)
    async with ledger.store.write_session() as session:
        await session.update(CoworkerBookingCredit, [(credit["Id"], {"RemainingCredit": 300_000})])
    with pytest.raises(StateConflict, match=f"money/{credit['Id']}"):
        await close_month(context_of(ledger, tmp_path), ledger.business, JANUARY)
    assert not list(tmp_path.rglob("*.*"))
    found = await report(ledger, "exceptions")
    names = [column.name for column in found.columns]
    rows = [dict(zip(names, row, strict=True)) for row in found.rows]
    [key] = [str(row["Key"]) for row in rows if row["Code"] == "balance_not_explained"]
    async with ledger.store.write_session() as session:
        await acknowledge(session, key, "paid in cash", ledger.request_context())
    await close_month(context_of(ledger, tmp_path), ledger.business, JANUARY)


async def test_a_location_that_does_not_exist_is_a_field_error(ledger: LedgerBuilder, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        await close_month(context_of(ledger, tmp_path), 999_999, JANUARY)


async def test_rule_37_a_closed_month_takes_no_line_until_it_is_opened_again(
    ledger: LedgerBuilder, tmp_path: Path
) -> None:
    [credit] = await ledger.find(CoworkerBookingCredit, BusinessId=ledger.business)
    context = context_of(ledger, tmp_path)

    async def correct_january() -> None:
        async with ledger.store.write_session() as session:
            account = (AccountType.MONEY, credit["Id"])
            earlier = datetime(2026, 1, 20, tzinfo=UTC)
            await adjust(session, account, -1, "late", ledger.request_context(), ledger.context, earlier)

    await close_month(context, ledger.business, JANUARY)
    with pytest.raises(ValidationError, match="closed"):
        await correct_january()
    await reopen_month(context, ledger.business, JANUARY, "a late invoice")
    await correct_january()


async def test_months_are_opened_again_from_the_last_one(ledger: LedgerBuilder, tmp_path: Path) -> None:
    ledger.now = datetime(2026, 3, 5, 12, tzinfo=UTC)
    context, february = context_of(ledger, tmp_path), date(2026, 2, 1)
    await close_month(context, ledger.business, JANUARY)
    await close_month(context, ledger.business, february)
    with pytest.raises(StateConflict, match="2026-02 is closed as well"):
        await reopen_month(context, ledger.business, JANUARY, "a late invoice")
    await reopen_month(context, ledger.business, february, "a late invoice")
    await reopen_month(context, ledger.business, JANUARY, "a late invoice")
