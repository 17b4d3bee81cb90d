"""Posted uses: rules 1, 3 to 5 and 7 to 11, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.ledger.operations.spend_queue import SpendQueue
from creditdesk.schema.errors import Conflict, DomainError, IdempotencyKeyReused, ValidationError
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.schema.service import Principal
from creditdesk.settings import LedgerSettings, ValidityInstant
from tests.support.ledger_builder import (
    MONEY_USE,
    NOON,
    TIME_USE,
    LedgerBuilder,
    money,
    serialize_record,
)


async def test_rule_7_a_use_lowers_the_credit_and_returns_the_previous_balance(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("40.00")
    first = await ledger.post_use(credit, "1.50", Description="coffee")
    second = await ledger.post_use(credit, "38.50")
    assert first["CoworkerBookingCreditRemainingCredit"] == str(money("40.00"))
    assert second["CoworkerBookingCreditRemainingCredit"] == str(money("38.50"))
    assert await ledger.remaining_money(credit) == 0
    history = await ledger.get(MONEY_USE, int(first["Id"]))
    assert history["CoworkerBookingCreditRemainingCredit"] == 0
    assert (history["CreditUsed"], history["Description"]) == (money("1.50"), "coffee")


async def test_rule_7_a_use_beyond_the_balance_is_rejected(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("40.00")
    with pytest.raises(ValidationError) as refused:
        await ledger.post_use(credit, "40.0001")
    (error,) = refused.value.errors
    assert error.PropertyName == "CreditUsed"
    assert error.Message == "exceeds the remaining credit of 40.0000"
    assert await ledger.remaining_money(credit) == money("40.00")
    assert await ledger.find(MONEY_USE) == []
    assert [line["Kind"] for line in await ledger.journal_lines("money", credit)] == ["grant"]


async def test_rule_31_of_64_parallel_spends_of_1_on_40_exactly_40_succeed(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("40.00")
    spends = ledger.spends()

    async def one() -> bool:
        use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
        try:
            response = await spends.post(MONEY_USE, use, ledger.request_context(), "", serialize_record)
        except ValidationError:
            return False
        return response.status == 200

    done = await asyncio.gather(*(one() for _ in range(64)))
    assert sum(done) == 40
    assert await ledger.remaining_money(credit) == 0
    lines = await ledger.journal_lines("money", credit)
    assert [line["Sequence"] for line in lines] == list(range(1, 42))
    assert [line["BalanceAfter"] for line in lines] == [money(str(40 - n)) for n in range(41)]
    assert len(await ledger.find(MONEY_USE)) == 40


async def test_rule_31_concurrent_spends_through_separate_queues_are_all_counted(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("5.00")

    async def one() -> bool:
        try:
            await ledger.post_use(credit, "1.00")
        except DomainError:
            return False
        return True

    done = await asyncio.gather(*(one() for _ in range(8)))
    assert sum(done) == 5
    assert await ledger.remaining_money(credit) == 0


async def test_an_error_leaves_the_rest_of_the_batch(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    spends = ledger.spends()

    async def one(amount: str) -> str:
        use = {"CoworkerBookingCreditId": credit, "CreditUsed": money(amount)}
        try:
            await spends.post(MONEY_USE, use, ledger.request_context(), "", serialize_record)
        except ValidationError:
            return "refused"
        return "done"

    done = tuple(await asyncio.gather(one("6.00"), one("5.00"), one("4.00")))
    assert done == ("done", "refused", "done")
    assert await ledger.remaining_money(credit) == 0


async def test_rule_32_the_same_key_and_body_return_the_first_response(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("40.00")
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
    first = await ledger.spends().post(MONEY_USE, use, ledger.request_context("K"), "body", serialize_record)
    await ledger.post_use(credit, "1.00")
    again = await ledger.spends().post(MONEY_USE, use, ledger.request_context("K"), "body", serialize_record)
    assert again == first
    assert await ledger.remaining_money(credit) == money("38.00")
    other = await ledger.spends().post(MONEY_USE, use, ledger.request_context("k"), "body", serialize_record)
    assert other != first


async def test_rule_32_a_key_reused_with_another_body_is_rejected(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("40.00")
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
    await ledger.spends().post(MONEY_USE, use, ledger.request_context("K"), "body", serialize_record)
    with pytest.raises(IdempotencyKeyReused):
        await ledger.spends().post(MONEY_USE, use, ledger.request_context("K"), "other", serialize_record)
    stranger = Principal(2, "other@example.com", unrestricted=True)
    await ledger.spends().post(MONEY_USE, use, ledger.request_context("K", stranger), "other", serialize_record)
    assert await ledger.remaining_money(credit) == money("38.00")


async def test_rule_32_a_key_in_flight_conflicts_and_a_failed_request_keeps_it_free(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("2.00")
    spends = ledger.spends()
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("2.00")}
    both = await asyncio.gather(
        spends.post(MONEY_USE, use, ledger.request_context("K"), "b", serialize_record),
        spends.post(MONEY_USE, use, ledger.request_context("K"), "b", serialize_record),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in both) == 1
    assert await ledger.remaining_money(credit) == 0
    with pytest.raises(ValidationError):
        await spends.post(MONEY_USE, use, ledger.request_context("L"), "b", serialize_record)
    assert len(await ledger.find(StoredResponse)) == 1


async def test_rule_8_a_use_out_of_window_is_accepted_and_marked(ledger: LedgerBuilder) -> None:
    expired = await ledger.add_money_credit("10.00", ExpireDate=NOON)
    early = await ledger.add_money_credit("10.00", ValidFrom=NOON + timedelta(hours=1))
    good = await ledger.add_money_credit("10.00", ExpireDate=NOON + timedelta(hours=1))
    late_booking = await ledger.add_booking()
    for credit in (expired, early, good):
        await ledger.post_use(credit, "1.00")
    await ledger.post_use(good, "1.00", BookingId=late_booking)
    marks = [
        [line["Override"] for line in await ledger.journal_lines("money", credit)] for credit in (expired, early, good)
    ]
    assert marks == [[False, True], [False, True], [False, False, True]]


async def test_rule_8_strict_posts_reject_uses_out_of_window(ledger: LedgerBuilder) -> None:
    ledger.settings = LedgerSettings(strict_posts=True)
    expired = await ledger.add_money_credit("10.00", ExpireDate=NOON)
    with pytest.raises(ValidationError, match="is not valid at this time"):
        await ledger.post_use(expired, "1.00")
    time = await ledger.add_time_credit()
    with pytest.raises(ValidationError, match="the length of the use is unknown"):
        await ledger.post_time_use(time)


async def test_rule_9_time_is_counted_from_the_booking(ledger: LedgerBuilder) -> None:
    await ledger.add_location_profile("Europe/London", 30)
    credit = await ledger.add_time_credit(600)
    booking = await ledger.add_booking(hours=1.1)
    use = await ledger.post_time_use(credit, BookingId=booking)
    assert use["CreditUsed"] == "90"
    assert await ledger.remaining_uses(credit) == 510
    grant, line = await ledger.journal_lines("time", credit)
    assert (grant["Amount"], line["Amount"]) == (600 * 10_000, 90 * 10_000)
    assert (line["SourceKind"], line["SourceId"]) == ("booking", booking)


async def test_rule_9_without_a_booking_one_on_a_uses_rate_and_null_on_any_other(
    ledger: LedgerBuilder,
) -> None:
    uses = await ledger.add_time_credit(5, ExtraServiceId=ledger.uses_rate)
    assert (await ledger.post_time_use(uses))["CreditUsed"] == "1"
    minutes = await ledger.add_time_credit(600)
    assert (await ledger.post_time_use(minutes))["CreditUsed"] == "None"
    assert await ledger.remaining_uses(uses) == 4
    assert await ledger.remaining_uses(minutes) == 600
    assert [line["Override"] for line in await ledger.journal_lines("time", minutes)] == [
        False,
        True,
    ]


async def test_rule_9_more_uses_than_remain_are_rejected(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_time_credit(60)
    with pytest.raises(ValidationError, match="exceeds the remaining credit of 60"):
        await ledger.post_time_use(credit, BookingId=await ledger.add_booking(hours=2))
    assert await ledger.remaining_uses(credit) == 60


async def test_rule_10_amounts_are_not_negative_and_one_source_is_named(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("10.00")
    booking = await ledger.add_booking()
    with pytest.raises(ValidationError, match="must not be negative"):
        await ledger.post_use(credit, "-1.00")
    await ledger.post_use(credit, "0.00", BookingId=booking)
    attendee = await ledger.add(EventAttendee, BusinessId=ledger.business, CoworkerId=ledger.customer)
    with pytest.raises(ValidationError, match="a use names one booking"):
        await ledger.post_use(credit, "1.00", BookingId=booking, EventAttendeeId=attendee)


async def test_rule_5_a_booking_charge_has_no_balance(ledger: LedgerBuilder) -> None:
    charge = await ledger.add_time_credit(60, BookingId=1, RemainingUses=0)
    with pytest.raises(ValidationError, match="is a booking charge"):
        await ledger.post_time_use(charge)


async def test_unknown_and_invisible_records_give_the_same_error(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    elsewhere = Principal(2, "far@example.com", locations=frozenset({ledger.business + 1}))
    for values in ({"caller": elsewhere}, {"BookingId": 999}, {"EventAttendeeId": 999}):
        with pytest.raises(ValidationError, match="is not found"):
            await ledger.post_use(credit, "1.00", **values)
    with pytest.raises(ValidationError, match="CoworkerBookingCredit: is not found"):
        await ledger.post_use(999, "1.00")


async def test_rule_4_recorded_time_never_runs_backwards_on_a_credit(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    await ledger.post_use(credit, "1.00")
    ledger.now = NOON - timedelta(hours=1)
    await ledger.post_use(credit, "1.00")
    assert {line["RecordedOn"] for line in await ledger.journal_lines("money", credit)} == {NOON}


async def test_rule_1_the_database_rejects_changes_to_an_entry(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    await ledger.post_use(credit, "1.00")
    (_, line) = await ledger.journal_lines("money", credit)
    for act in ("update", "delete"):
        with pytest.raises(DomainError):
            async with ledger.store.write_session() as session:
                if act == "update":
                    await session.update(JournalLine, [(line["Id"], {"Amount": 0})])
                else:
                    await session.delete(JournalLine, [line["Id"]])
    assert (await ledger.journal_lines("money", credit))[1] == line


async def test_rule_12_the_setting_tests_the_window_at_the_spend(ledger: LedgerBuilder) -> None:
    ledger.settings = replace(ledger.settings, validity_instant=ValidityInstant.SPEND_TIME)
    credit = await ledger.add_money_credit("10.00", ExpireDate=NOON + timedelta(hours=1))
    await ledger.post_use(credit, "1.00", BookingId=await ledger.add_booking())
    assert [line["Override"] for line in await ledger.journal_lines("money", credit)] == [
        False,
        False,
    ]


async def test_rule_20_days_follow_the_locations_time_zone(ledger: LedgerBuilder) -> None:
    await ledger.add_location_profile("Pacific/Auckland")
    days = await ledger.add_time_credit(10, ExtraServiceId=await ledger.add_rate(2, "50.00"))
    booking = await ledger.add_booking(FromTime=datetime(2026, 3, 11, 10, tzinfo=UTC), hours=2)
    assert (await ledger.post_time_use(days, BookingId=booking))["CreditUsed"] == "2"
    assert len(await ledger.find(TIME_USE)) == 1


class FlakyStore:
    """A store buyer first commit fails, as when a connection is lost."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.read_session = store.read_session
        self.commits = 0

    @asynccontextmanager
    async def write_session(self) -> AsyncIterator[WriteSession]:
        async with self.store.write_session() as session:
            yield session
            self.commits += 1
            if self.commits == 1:
                raise ConnectionError("lost")


async def test_rule_31_a_transient_error_is_retried_one_by_one_without_double_counting(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("3.00")
    stumbling = FlakyStore(ledger.store)
    spends = SpendQueue(cast("Store", stumbling), ledger.context)
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
    done = await asyncio.gather(
        *(
            spends.post(MONEY_USE, use, ledger.request_context(key=f"key {n}"), "same", serialize_record)
            for n in range(4)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, ValidationError) for each in done) == 1
    assert stumbling.commits == 5
    assert await ledger.remaining_money(credit) == 0
    assert len(await ledger.find(MONEY_USE)) == 3
