"""The exceptions report: each rule finds what was planted, once, with its explanation, and nothing in a clean ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditdesk.audit.findings import AuditFinding, FindingCode
from creditdesk.audit.stored_findings import store_findings
from creditdesk.auth.encryption import NO_CIPHER
from creditdesk.console.translations import translated_message
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.reports.exception_acknowledgement import ExceptionAcknowledgement
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import state_id
from creditdesk.ledger.operations.corrections import adjust, void
from creditdesk.ledger.operations.period_locks import close_period, reopen_period
from creditdesk.ledger.operations.set_overdraft import set_overdraft
from creditdesk.reports.exception_rules import EXCEPTION_RULES, ExceptionCode
from creditdesk.scheduler.jobs import JobContext, scheduled_jobs
from creditdesk.scheduler.lease import release_lease
from creditdesk.scheduler.runner import run_due_jobs
from creditdesk.settings import LedgerSettings
from tests.reports.report_client import ReportClient
from tests.support.api_client import BOOKINGS
from tests.support.ledger_builder import ADMIN_PRINCIPAL, money
from tests.support.shared_team import SharedTeam

ACKNOWLEDGEMENTS = "/api/reports/exceptions/acknowledgements"
CONTRACT = "0197b1e2-0000-7000-8000-000000000001"


async def exceptions(reports: ReportClient, **params: Any) -> list[dict[str, Any]]:
    return list((await reports.get("exceptions", **params))["Rows"])


async def pay_booking(reports: ReportClient, credit: int, amount: float) -> int:
    """A use that names what it paid."""
    booking = await reports.ledger.add_booking()
    return await reports.use(credit, amount, BookingId=booking)


async def plant_balance(reports: ReportClient) -> None:
    credit = await reports.grant(40)
    async with reports.ledger.store.write_session() as session:
        await session.update(CoworkerBookingCredit, [(credit, {"RemainingCredit": 390_000})])


async def plant_override(reports: ReportClient) -> None:
    await pay_booking(reports, await reports.grant(40, ValidFrom="2026-06-01T00:00:00Z"), 1)


async def plant_expiry(reports: ReportClient) -> None:
    await reports.grant(40, ExpireDate="2026-01-05T00:00:00Z")
    reports.set_time("2026-01-06T00:00:00Z")


async def plant_hold(reports: ReportClient) -> None:
    await reports.grant(40)
    booking = await reports.ledger.add_booking()
    body = {
        "CoworkerId": reports.ledger.customer,
        "BusinessId": reports.ledger.business,
        "Sources": [{"Kind": "booking", "Id": booking}],
        "Until": "2026-01-02T00:00:00Z",
    }
    await reports.post("/api/ledger/holds", **body)
    reports.set_time("2026-01-03T00:00:00Z")


async def plant_renewal(reports: ReportClient) -> None:
    ledger = reports.ledger
    tariff = await ledger.add(Tariff, Name="Desk", BusinessId=ledger.business, CurrencyId=ledger.currency)
    await ledger.add(
        TariffBookingCredit, Name="Rooms", TariffId=tariff, Credit=300_000, ServiceRenewalTime=2,
        CaneBeUsedForBookings=True,
    )  # fmt: skip
    await ledger.add(
        CoworkerContract, IssuedById=ledger.business, CoworkerId=ledger.customer, TariffId=tariff,
        StartDate=datetime(2026, 1, 1, 5, tzinfo=UTC), BillingDay=1, Quantity=1, Active=True,
    )  # fmt: skip


async def plant_second_grant(reports: ReportClient) -> None:
    ledger = reports.ledger
    tariff = await ledger.add(Tariff, Name="Desk", BusinessId=ledger.business, CurrencyId=ledger.currency)
    benefit = await ledger.add(TariffBookingCredit, Name="Rooms", TariffId=tariff, Credit=300_000, ServiceRenewalTime=2)
    for _ in range(2):
        credit = await ledger.add_money_credit(
            "30.00", TariffBookingCreditId=benefit, CoworkerContractUniqueId=CONTRACT, ValidFrom=ledger.now
        )
        await pay_booking(reports, credit, 1)


async def plant_use_without_source(reports: ReportClient) -> None:
    await reports.use(await reports.grant(40), 2)


async def plant_use_without_length(reports: ReportClient) -> None:
    await reports.ledger.post_time_use(await reports.grant_time(600))


async def plant_overdrawn(reports: ReportClient) -> None:
    ledger = reports.ledger
    prints = await ledger.add_rate(5, "1", resource_types=(), IsPrintingCredit=True)
    credit = await reports.grant_time(1, ExtraServiceId=prints)
    async with ledger.store.write_session() as session:
        await set_overdraft(session, [credit], 3, ledger.request_context(), ledger.context)
    for _ in range(2):
        await ledger.post_time_use(credit, BookingId=await ledger.add_booking())


async def plant_void_without_reason(reports: ReportClient) -> None:
    credit = await reports.grant(40)
    async with reports.ledger.store.write_session() as session:
        account = (AccountType.MONEY, credit)
        await void(session, [account], "", reports.ledger.request_context(), reports.ledger.context)


async def plant_late_line(reports: ReportClient) -> None:
    ledger = reports.ledger
    credit = await reports.grant(40)
    earlier, ledger.now = ledger.now, ledger.now + timedelta(days=40)
    taking = replace(ledger.context, settings=LedgerSettings(take_closed_period_lines=True))
    context, account = ledger.request_context(), (AccountType.MONEY, credit)
    async with ledger.store.write_session() as session:
        await close_period(session, ledger.business, ledger.now, "closed", context, taking)
    ledger.now += timedelta(days=1)
    async with ledger.store.write_session() as session:
        await adjust(session, account, -30_000, "late", ledger.request_context(), taking, earlier)
    async with ledger.store.write_session() as session:
        await reopen_period(session, ledger.business, None, "for other tests", ledger.request_context(), taking)


async def plant_use_of_a_cancelled_booking(reports: ReportClient) -> None:
    credit = await reports.grant(60)
    booking = await reports.api.create_booking(2, FromTime="2026-01-02T12:00:00Z", ToTime="2026-01-02T14:00:00Z")
    for command in ("CHARGE_BOOKING", "CANCEL_BOOKING"):
        assert (await reports.api.run_command(BOOKINGS, command, [booking])).json()["WasSuccessful"]
    await reports.use(credit, 7, BookingId=booking)


async def plant_use_over_a_cap(reports: ReportClient) -> None:
    ledger = reports.ledger
    team = await SharedTeam.create(ledger)
    await team.cap("10.00")
    credit = await team.pool()
    for amount in (8, 3.5):
        await pay_booking(reports, credit, amount)
    ledger.customer = team.payer


async def plant_needless_charge(reports: ReportClient) -> None:
    await reports.grant(50)
    reports.ledger.now += timedelta(hours=1)
    await add_charge(reports, await reports.ledger.add_booking())


async def add_charge(reports: ReportClient, booking: int) -> int:
    """A charge as an import brings it, of which the ledger decided nothing."""
    ledger = reports.ledger
    return await ledger.add(
        CoworkerExtraService, CoworkerId=ledger.customer, BusinessId=ledger.business, ExtraServiceId=ledger.rate,
        TotalUses=120, RemainingUses=0, Price=money("40.00"), BookingId=booking,
    )  # fmt: skip


async def plant_broken_chain(reports: ReportClient) -> None:
    """A changed digest, which only the scheduled verification recomputes."""
    ledger = reports.ledger
    account = (AccountType.MONEY, await reports.grant(40))
    async with ledger.store.write_session() as session:
        await session.update(AccountState, [(state_id(account), {"Digest": "ab" * 32})])
    assert await exceptions(reports) == []
    jobs = scheduled_jobs(JobContext(ledger.store, ledger.context, ADMIN_PRINCIPAL, NO_CIPHER, 30, None))
    await run_due_jobs(ledger.store, jobs, "me", lambda: ledger.now, only=["verify"])
    await release_lease(ledger.store, "me", ledger.now)


PLANTED: dict[ExceptionCode, tuple[Callable[[ReportClient], Awaitable[None]], str | None]] = {
    ExceptionCode.BALANCE: (plant_balance, "-1.00"),
    ExceptionCode.OVERRIDE: (plant_override, "1.00"),
    ExceptionCode.EXPIRY_NOT_RECORDED: (plant_expiry, "40.00"),
    ExceptionCode.HOLD_OVERDUE: (plant_hold, "40.00"),
    ExceptionCode.RENEWAL_MISSED: (plant_renewal, None),
    ExceptionCode.GRANTED_TWICE: (plant_second_grant, "29.00"),
    ExceptionCode.NO_SOURCE: (plant_use_without_source, "2.00"),
    ExceptionCode.NO_LENGTH: (plant_use_without_length, None),
    ExceptionCode.OVERDRAWN: (plant_overdrawn, "-1"),
    ExceptionCode.NO_REASON: (plant_void_without_reason, "-40.00"),
    ExceptionCode.CLOSED_PERIOD: (plant_late_line, "-3.00"),
    ExceptionCode.NOT_RETURNED: (plant_use_of_a_cancelled_booking, "7.00"),
    ExceptionCode.CAP_EXCEEDED: (plant_use_over_a_cap, "1.50"),
    ExceptionCode.CHARGED: (plant_needless_charge, "40.00"),
    ExceptionCode.VERIFICATION: (plant_broken_chain, None),
}


def test_every_rule_is_planted() -> None:
    assert PLANTED.keys() == EXCEPTION_RULES.keys() - {ExceptionCode.NO_CLOCK}


@pytest.mark.parametrize("code", PLANTED)
async def test_what_is_planted_once_is_found_once(reports: ReportClient, code: ExceptionCode) -> None:
    plant, amount = PLANTED[code]
    await plant(reports)
    [found] = await exceptions(reports)
    assert (found["Code"], found["Amount"], found["CustomerId"]) == (code.value, amount, reports.ledger.customer)
    assert translated_message(found["Explanation"], "es") != found["Explanation"]
    assert found["Severity"] == EXCEPTION_RULES[code].severity.value


async def test_a_change_of_printing_credit_without_a_reason_is_found(reports: ReportClient) -> None:
    ledger = reports.ledger
    prints = await ledger.add_rate(5, "1", resource_types=(), IsPrintingCredit=True)
    credit = await reports.grant_time(9, ExtraServiceId=prints)
    await ledger.post_time_use(credit)
    async with ledger.store.write_session() as session:
        await adjust(session, (AccountType.TIME, credit), 2, " ", ledger.request_context(), ledger.context)
    of_location = await exceptions(reports, LocationIds=ledger.business)
    [found] = [each for each in of_location if (each["Kind"], each["CreditId"]) == ("printing", credit)]
    assert (found["Code"], found["Amount"]) == ("no_reason", "2")


async def test_a_location_without_a_time_zone_is_listed(reports: ReportClient) -> None:
    ledger = reports.ledger
    new = await ledger.add(Business, Name="Yard", CurrencyId=ledger.currency)
    [found] = await exceptions(reports, LocationIds=new)
    assert (found["Code"], found["Location"]) == ("location_without_clock", "Yard")
    assert await exceptions(reports) == []


async def test_the_report_says_when_the_ledger_was_verified_and_what_of_it_differs(reports: ReportClient) -> None:
    await plant_broken_chain(reports)
    report = await reports.get("exceptions")
    [found] = report["Rows"]
    assert found["Explanation"].startswith("Finding `past_rewritten` about money credit ")
    assert "el resumen más nuevo" in translated_message(found["Explanation"], "es")
    assert report["Footer"]["Notes"][-1].startswith(
        "The scheduled verification of the whole ledger ended at 2026-01-01T12:00:00Z: "
    )


async def test_a_finding_about_no_credit_is_in_the_report_of_all_locations(reports: ReportClient) -> None:
    ledger = reports.ledger
    finding = AuditFinding(code=FindingCode.AUDIT_TRAIL, message="record 3 was changed")
    async with ledger.store.write_session() as session:
        await store_findings(session, [finding], ledger.now)
    response = await reports.http.get("/api/reports/exceptions")
    [key] = [row["Key"] for row in response.json()["Rows"] if row["Code"] == "verification_failed"]
    assert await exceptions(reports) == []
    accepted = await reports.http.post(ACKNOWLEDGEMENTS, json={"Key": key, "Note": "x"})
    assert accepted.status_code == 400, "nobody accepts a broken audit trail"
    async with ledger.store.write_session() as session:
        await store_findings(session, [], ledger.now)
    assert "verification_failed" not in (await reports.http.get("/api/reports/exceptions")).text


async def test_a_clean_ledger_has_none(reports: ReportClient) -> None:
    credit = await reports.grant(40, ExpireDate="2026-06-01T00:00:00Z")
    use = await pay_booking(reports, credit, 5)
    await reports.post("/api/ledger/reversals", Kind="money", Ids=[use], Reason="Left early")
    await reports.post("/api/ledger/adjustments", Kind="money", Id=credit, Amount=5, Reason="Goodwill")
    reports.set_time("2026-02-01T00:00:00Z")
    assert await exceptions(reports) == []


async def test_a_charge_that_no_credit_could_have_paid_is_in_order(reports: ReportClient) -> None:
    """It came before the credit, or the booking declines credit, or the ledger decided it."""
    ledger = reports.ledger
    await add_charge(reports, await ledger.add_booking())
    decided = await reports.api.create_booking(2, FromTime="2026-01-03T12:00:00Z", ToTime="2026-01-03T14:00:00Z")
    assert (await reports.api.run_command(BOOKINGS, "CHARGE_BOOKING", [decided])).json()["WasSuccessful"]
    ledger.now += timedelta(hours=1)
    await reports.grant(50)
    await add_charge(reports, await ledger.add_booking(DoNotUseBookingCredit=True))
    assert await exceptions(reports) == []


async def test_credit_of_a_rate_that_does_not_say_whether_it_prints_could_have_paid(reports: ReportClient) -> None:
    ledger = reports.ledger
    await reports.grant_time(600)
    async with ledger.store.write_session() as session:
        await session.update(ExtraService, [(ledger.rate, {"IsPrintingCredit": None})])
    ledger.now += timedelta(hours=1)
    await add_charge(reports, await ledger.add_booking())
    assert [each["Code"] for each in await exceptions(reports)] == ["charged_with_credit_left"]


async def test_a_cap_judges_no_use_from_before_it_was_set(reports: ReportClient) -> None:
    ledger = reports.ledger
    team = await SharedTeam.create(ledger)
    await pay_booking(reports, await team.pool(), 8)
    ledger.now += timedelta(hours=1)
    await team.cap("5.00")
    ledger.customer = team.payer
    assert await exceptions(reports) == []


async def test_a_cancelled_booking_that_is_charged_again_is_in_order(reports: ReportClient) -> None:
    await reports.grant(60)
    booking = await reports.api.create_booking(2, FromTime="2026-01-02T12:00:00Z", ToTime="2026-01-02T14:00:00Z")
    for command in ("CHARGE_BOOKING", "CANCEL_BOOKING", "CHARGE_BOOKING"):
        assert (await reports.api.run_command(BOOKINGS, command, [booking])).json()["WasSuccessful"]
    assert await exceptions(reports) == []


async def test_a_print_needs_no_source(reports: ReportClient) -> None:
    """A posted use of printing credit has no field for what was printed."""
    ledger = reports.ledger
    prints = await ledger.add_rate(5, "1", resource_types=(), IsPrintingCredit=True)
    await ledger.post_time_use(await reports.grant_time(5, ExtraServiceId=prints))
    assert await exceptions(reports) == []


async def test_an_acknowledged_exception_says_who_when_and_why(reports: ReportClient) -> None:
    await plant_use_without_source(reports)
    [found] = await exceptions(reports)
    assert (found["AcknowledgedBy"], found["Note"]) == ("", "")
    reports.ledger.now += timedelta(days=1)
    await reports.post(ACKNOWLEDGEMENTS, Key=found["Key"], Note="Paid in cash")
    [found] = await exceptions(reports)
    accepted = (found["AcknowledgedBy"], found["AcknowledgedOn"], found["Note"])
    assert accepted == ("boss@example.com", "2026-01-02T12:00:00Z", "Paid in cash")


async def test_accepting_an_exception_again_with_the_same_note_stores_nothing(reports: ReportClient) -> None:
    await plant_override(reports)
    [found] = await exceptions(reports)
    body = {"Key": found["Key"], "Note": "Paid in cash"}
    together = await asyncio.gather(*(reports.http.post(ACKNOWLEDGEMENTS, json=body) for _ in range(5)))
    again = await reports.post(ACKNOWLEDGEMENTS, Key=found["Key"], Note="Paid by card")
    stored = await reports.ledger.find(ExceptionAcknowledgement, Key=found["Key"])
    assert [each["Note"] for each in stored] == ["Paid in cash", "Paid by card"]
    assert {answer.status_code for answer in together} == {200}
    assert {answer.json()["Value"]["Id"] for answer in together} == {stored[0]["Id"]}
    assert again.json()["Value"]["Id"] == stored[1]["Id"]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "1",
        "0:override:x:",
        "999999:override:x:",
        "1:gold:money/1:5",
        "x:override:money/1:5",
        "-1:override:x:",
        "٣:override:x:",
    ],
)
async def test_an_unknown_key_is_a_field_error(reports: ReportClient, key: str) -> None:
    response = await reports.http.post(ACKNOWLEDGEMENTS, json={"Key": key, "Note": "x"})
    assert response.status_code == 400
    assert response.json()["Errors"][0]["PropertyName"] == "Key"
