"""A closed period takes no line with an effective time inside it (rule 37), on both engines."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.period_locks import find_late_lines, load_closed_until, load_period_locks
from creditdesk.ledger.operations.corrections import adjust
from creditdesk.ledger.operations.period_locks import close_period, reopen_period
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.errors import StateConflict, ValidationError
from creditdesk.schema.query import where
from creditdesk.schema.service import Principal
from creditdesk.settings import LedgerSettings
from creditdesk.transfer.importer import Importer
from tests.support.api_client import ApiClient, succeeded
from tests.support.progress import CollectingReporter


async def close(api: ApiClient, until: datetime) -> None:
    async with api.ledger.store.write_session() as session:
        await close_period(
            session, api.ledger.business, until, "month end", api.ledger.request_context(), api.ledger.context
        )


async def reopen(api: ApiClient, until: datetime | None) -> None:
    async with api.ledger.store.write_session() as session:
        await reopen_period(
            session, api.ledger.business, until, "a late invoice", api.ledger.request_context(), api.ledger.context
        )


@pytest.fixture
async def month_end(api: ApiClient) -> datetime:
    """An instant two days ago until which the location is closed; each test has a location of its own."""
    api.ledger.business = await api.ledger.add(Business, Name="Loft", CurrencyId=api.ledger.currency)
    ends = api.clock().replace(microsecond=0) - timedelta(days=2)
    await close(api, ends)
    return ends


async def test_rule_37_a_correction_inside_a_closed_period_is_refused(api: ApiClient, month_end: datetime) -> None:
    credit = await api.create_credit("40.00")
    body = {"Kind": "money", "Id": credit, "Amount": -1, "Reason": "late"}
    inside = format_datetime(month_end - timedelta(seconds=1))
    answer = await api.post("/api/ledger/adjustments", {**body, "EffectiveOn": inside})
    assert answer.status_code == 400
    (error,) = answer.json()["Errors"]
    assert (error["PropertyName"], error["AttemptedValue"]) == ("EffectiveOn", inside)
    assert error["Message"] == (f"lies in a closed period: the location is closed until {format_datetime(month_end)}")
    assert len(await api.list_journal_lines(credit)) == 1
    for effective in (format_datetime(month_end), None):
        assert succeeded(await api.post("/api/ledger/adjustments", {**body, "EffectiveOn": effective}))


async def test_rule_37_reopening_takes_it_and_both_are_recorded(api: ApiClient, month_end: datetime) -> None:
    credit = await api.create_credit("40.00")
    inside = format_datetime(month_end - timedelta(days=1))
    body = {"Kind": "money", "Id": credit, "Amount": -1, "Reason": "late", "EffectiveOn": inside}
    await reopen(api, month_end - timedelta(days=1))
    assert succeeded(await api.post("/api/ledger/adjustments", body))
    await reopen(api, None)
    async with api.ledger.store.read_session() as session:
        assert await load_closed_until(session, [api.ledger.business]) == {}
        locks = (await load_period_locks(session, [api.ledger.business]))[api.ledger.business]
        late = await find_late_lines(session, api.ledger.business)
    assert [(lock.closed_until, lock.reason, lock.updated_by) for lock in locks] == [
        (month_end, "month end", "admin@example.com"),
        (month_end - timedelta(days=1), "a late invoice", "admin@example.com"),
        (None, "a late invoice", "admin@example.com"),
    ]
    assert [line["Reason"] for line in late] == ["late"]


async def test_rule_37_what_cannot_be_closed_or_reopened(api: ApiClient, month_end: datetime) -> None:
    with pytest.raises(ValidationError, match="must not lie ahead"):
        await close(api, api.ledger.now + timedelta(days=1))
    with pytest.raises(StateConflict, match="already"):
        await close(api, month_end)
    with pytest.raises(StateConflict, match="is open"):
        await reopen(api, month_end)
    stranger = Principal(9, "away@example.com", locations=frozenset({999}))
    async with api.ledger.store.write_session() as session:
        with pytest.raises(ValidationError, match="Business"):
            await close_period(
                session,
                api.ledger.business,
                api.ledger.now,
                "x",
                api.ledger.request_context(caller=stranger),
                api.ledger.context,
            )


async def test_rule_37_a_setting_takes_the_line_and_it_is_listed(api: ApiClient, month_end: datetime) -> None:
    credit = await api.create_credit("40.00")
    ledger = LedgerContext(lambda: api.ledger.now, LedgerSettings(take_closed_period_lines=True))
    inside = month_end - timedelta(days=1)
    async with api.ledger.store.write_session() as session:
        account = (AccountType.MONEY, credit)
        await adjust(session, account, -10_000, "late", api.ledger.request_context(), ledger, inside)
    async with api.ledger.store.read_session() as session:
        late = await find_late_lines(session, api.ledger.business)
    assert [(line["CreditId"], line["EffectiveOn"]) for line in late] == [(credit, inside)]


async def test_rule_37_a_line_from_the_second_before_the_closing_is_not_late(api: ApiClient) -> None:
    api.ledger.business = await api.ledger.add(Business, Name="Loft", CurrencyId=api.ledger.currency)
    second = api.clock().replace(microsecond=0)
    api.ledger.now = second + timedelta(microseconds=200)
    credit = await api.ledger.add_money_credit("40.00")
    async with api.ledger.store.write_session() as session:
        account, context = (AccountType.MONEY, credit), api.ledger.request_context()
        await adjust(session, account, -10_000, "in time", context, api.ledger.context, second - timedelta(days=1))
    api.ledger.now = second + timedelta(microseconds=300)
    await close(api, second)
    async with api.ledger.store.read_session() as session:
        assert await find_late_lines(session, api.ledger.business) == []


async def test_rule_37_late_lines_are_those_that_each_closing_names(api: ApiClient) -> None:
    """Of a random life with closings and reopenings, the lines after a closing with a time that it closed."""
    ledger, random = api.ledger, Random(37)
    ledger.business = await ledger.add(Business, Name="Loft", CurrencyId=ledger.currency)
    account = (AccountType.MONEY, await ledger.add_money_credit("40.00"))
    context = LedgerContext(lambda: ledger.now, LedgerSettings(take_closed_period_lines=True))
    for _ in range(60):
        ledger.now += timedelta(hours=random.randrange(1, 30))
        earlier = ledger.now - timedelta(hours=random.choice((0, 1, 50, 400)))
        match random.randrange(5):
            case 0:
                with suppress(StateConflict):
                    await close(api, earlier)
            case 1:
                with suppress(StateConflict):
                    await reopen(api, random.choice((earlier, None)))
            case _:
                async with ledger.store.write_session() as session:
                    await adjust(session, account, 10_000, "by hand", ledger.request_context(), context, earlier)
    async with ledger.store.read_session() as session:
        late = [line["Id"] for line in await find_late_lines(session, ledger.business)]
        locks = (await load_period_locks(session, [ledger.business]))[ledger.business]
        lines = await session.find(JournalLine, where(JournalLine, BusinessId=ledger.business))
    assert late == [
        line["Id"]
        for line in lines
        if any(
            lock.closed_until and lock.created_on <= line["RecordedOn"] and line["EffectiveOn"] < lock.closed_until
            for lock in locks
        )
    ]
    assert 5 < len(late) < len(lines)


async def test_rule_37_an_import_into_a_closed_period_is_refused(
    api: ApiClient, month_end: datetime, tmp_path: Path
) -> None:
    credit = await api.create_credit("40.00")
    created = [format_datetime(month_end + timedelta(hours=hours)) for hours in (-1, 1)]
    rows = [
        f"01969a1e-7e00-7000-8000-{api.ledger.business:06d}00000{n},{credit},1.00,{at},{at}"
        for n, at in enumerate(created)
    ]
    header = "UniqueId,CoworkerBookingCreditId,CreditUsed,CreatedOn,UpdatedOn"
    (tmp_path / "coworkerbookingcreditusehistories.csv").write_text("\n".join([header, *rows]))
    report = CollectingReporter()
    await Importer(api.ledger.store, report, api.ledger.now).run(tmp_path)
    assert [problem for problem in report.problems if "closed" in problem] == [
        "coworkerbookingcreditusehistories.csv: row 1: CreatedOn lies in a closed period: the location is "
        f"closed until {format_datetime(month_end)}; the row is refused"
    ]
    assert [use["CreatedOn"] for use in await api.list_uses(credit)] == [created[1]]
