"""What a posted use does: rules 1, 3 to 5 and 7 to 11 over both engines."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_response import StoredAnswer
from creditdesk.ledger.operations.spends import Spends
from creditdesk.ledger.rules.credit import LedgerPolicy
from creditdesk.schema.errors import Conflict, Invalid, KeyReused, Refusal
from creditdesk.schema.service import Caller
from tests.ledger.town import MONEY_USE, NOON, TIME_USE, Town, money, shown


async def test_rule_7_a_use_lowers_the_credit_and_answers_the_balance_before_it(town: Town):
    credit = await town.add_money("40.00")
    first = await town.use(credit, "1.50", Description="coffee")
    second = await town.use(credit, "38.50")
    assert first["CoworkerBookingCreditRemainingCredit"] == str(money("40.00"))
    assert second["CoworkerBookingCreditRemainingCredit"] == str(money("38.50"))
    assert await town.money_left(credit) == 0
    history = await town.get(MONEY_USE, int(first["Id"]))
    assert history["CoworkerBookingCreditRemainingCredit"] == 0
    assert (history["CreditUsed"], history["Description"]) == (money("1.50"), "coffee")


async def test_rule_7_more_than_remains_is_refused_and_nothing_changes(town: Town):
    credit = await town.add_money("40.00")
    with pytest.raises(Invalid) as refused:
        await town.use(credit, "40.0001")
    (error,) = refused.value.errors
    assert error.PropertyName == "CreditUsed"
    assert error.Message == "is more than the 40.0000 that remains (rule 7)"
    assert await town.money_left(credit) == money("40.00")
    assert await town.rows(MONEY_USE) == []
    assert await town.lines("money", credit) == []


async def test_rule_31_of_64_parallel_spends_of_1_on_40_exactly_40_succeed(town: Town):
    credit = await town.add_money("40.00")
    spends = town.spends()

    async def one() -> bool:
        use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
        try:
            status, _ = await spends.post(MONEY_USE, use, town.call(), "", shown)
        except Invalid:
            return False
        return status == 200

    done = await asyncio.gather(*(one() for _ in range(64)))
    assert sum(done) == 40
    assert await town.money_left(credit) == 0
    lines = await town.lines("money", credit)
    assert [line["Sequence"] for line in lines] == list(range(1, 42))
    assert [line["BalanceAfter"] for line in lines] == [money(str(40 - n)) for n in range(41)]
    assert len(await town.rows(MONEY_USE)) == 40


async def test_rule_31_spends_through_separate_queues_race_and_none_is_lost(town: Town):
    credit = await town.add_money("5.00")

    async def one() -> bool:
        try:
            await town.use(credit, "1.00")
        except Refusal:
            return False
        return True

    done = await asyncio.gather(*(one() for _ in range(8)))
    assert sum(done) == 5
    assert await town.money_left(credit) == 0


async def test_a_refusal_never_undoes_a_neighbour(town: Town):
    credit = await town.add_money("10.00")
    spends = town.spends()

    async def one(amount: str) -> str:
        use = {"CoworkerBookingCreditId": credit, "CreditUsed": money(amount)}
        try:
            await spends.post(MONEY_USE, use, town.call(), "", shown)
        except Invalid:
            return "refused"
        return "done"

    done = await asyncio.gather(one("6.00"), one("5.00"), one("4.00"))
    assert done == ["done", "refused", "done"]
    assert await town.money_left(credit) == 0


async def test_rule_32_the_same_key_and_body_give_the_first_answer_byte_for_byte(town: Town):
    credit = await town.add_money("40.00")
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
    first = await town.spends().post(MONEY_USE, use, town.call("K"), "body", shown)
    await town.use(credit, "1.00")
    again = await town.spends().post(MONEY_USE, use, town.call("K"), "body", shown)
    assert again == first
    assert await town.money_left(credit) == money("38.00")
    other = await town.spends().post(MONEY_USE, use, town.call("k"), "body", shown)
    assert other != first


async def test_rule_32_the_same_key_with_another_body_is_refused(town: Town):
    credit = await town.add_money("40.00")
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
    await town.spends().post(MONEY_USE, use, town.call("K"), "body", shown)
    with pytest.raises(KeyReused):
        await town.spends().post(MONEY_USE, use, town.call("K"), "other", shown)
    stranger = Caller(2, "other@example.com", unrestricted=True)
    await town.spends().post(MONEY_USE, use, town.call("K", stranger), "other", shown)
    assert await town.money_left(credit) == money("38.00")


async def test_rule_32_a_key_in_flight_is_a_conflict_and_a_refused_call_burns_none(town: Town):
    credit = await town.add_money("2.00")
    spends = town.spends()
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("2.00")}
    both = await asyncio.gather(
        spends.post(MONEY_USE, use, town.call("K"), "b", shown),
        spends.post(MONEY_USE, use, town.call("K"), "b", shown),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in both) == 1
    assert await town.money_left(credit) == 0
    with pytest.raises(Invalid):
        await spends.post(MONEY_USE, use, town.call("L"), "b", shown)
    assert len(await town.rows(StoredAnswer)) == 1


async def test_rule_8_a_use_outside_the_window_is_taken_and_marked(town: Town):
    lapsed = await town.add_money("10.00", ExpireDate=NOON)
    early = await town.add_money("10.00", ValidFrom=NOON + timedelta(hours=1))
    good = await town.add_money("10.00", ExpireDate=NOON + timedelta(hours=1))
    late_booking = await town.add_booking()
    for credit in (lapsed, early, good):
        await town.use(credit, "1.00")
    await town.use(good, "1.00", BookingId=late_booking)
    marks = [
        [line["Override"] for line in await town.lines("money", credit)]
        for credit in (lapsed, early, good)
    ]
    assert marks == [[False, True], [False, True], [False, False, True]]


async def test_rule_8_strict_posts_refuse_them_instead(town: Town):
    town.policy = LedgerPolicy(strict_posts=True)
    lapsed = await town.add_money("10.00", ExpireDate=NOON)
    with pytest.raises(Invalid, match="rule 8"):
        await town.use(lapsed, "1.00")
    time = await town.add_time()
    with pytest.raises(Invalid, match="rule 9"):
        await town.use_time(time)


async def test_rule_9_time_is_counted_from_the_booking(town: Town):
    await town.add_profile("Europe/London", 30)
    credit = await town.add_time(600)
    booking = await town.add_booking(hours=1.1)
    use = await town.use_time(credit, BookingId=booking)
    assert use["CreditUsed"] == "90"
    assert await town.uses_left(credit) == 510
    grant, line = await town.lines("time", credit)
    assert (grant["Amount"], line["Amount"]) == (600 * 10_000, 90 * 10_000)
    assert (line["SourceKind"], line["SourceId"]) == ("booking", booking)


async def test_rule_9_without_a_booking_one_on_a_uses_rate_and_null_on_any_other(town: Town):
    uses = await town.add_time(5, ExtraServiceId=town.uses_rate)
    assert (await town.use_time(uses))["CreditUsed"] == "1"
    minutes = await town.add_time(600)
    assert (await town.use_time(minutes))["CreditUsed"] == "None"
    assert await town.uses_left(uses) == 4
    assert await town.uses_left(minutes) == 600
    assert [line["Override"] for line in await town.lines("time", minutes)] == [False, True]


async def test_rule_9_more_uses_than_remain_are_refused(town: Town):
    credit = await town.add_time(60)
    with pytest.raises(Invalid, match="is more than the 60 that remains"):
        await town.use_time(credit, BookingId=await town.add_booking(hours=2))
    assert await town.uses_left(credit) == 60


async def test_rule_10_negative_is_refused_zero_is_taken_and_one_thing_is_named(town: Town):
    credit = await town.add_money("10.00")
    booking = await town.add_booking()
    with pytest.raises(Invalid, match="must not be negative"):
        await town.use(credit, "-1.00")
    await town.use(credit, "0.00", BookingId=booking)
    with pytest.raises(Invalid, match="rule 10"):
        await town.use(credit, "1.00", BookingId=booking, EventAttendeeId=7)


async def test_rule_5_a_booking_charge_has_no_balance(town: Town):
    charge = await town.add_time(60, BookingId=1, RemainingUses=0)
    with pytest.raises(Invalid, match="rule 5"):
        await town.use_time(charge)


async def test_unknown_and_unseen_records_are_refused_alike(town: Town):
    credit = await town.add_money("10.00")
    elsewhere = Caller(2, "far@example.com", locations=frozenset({town.business + 1}))
    for values in ({"caller": elsewhere}, {"BookingId": 999}, {"EventAttendeeId": 999}):
        with pytest.raises(Invalid, match="is not found"):
            await town.use(credit, "1.00", **values)
    with pytest.raises(Invalid, match="CoworkerBookingCredit: is not found"):
        await town.use(999, "1.00")


async def test_rule_4_recorded_time_never_runs_backwards_on_a_credit(town: Town):
    credit = await town.add_money("10.00")
    await town.use(credit, "1.00")
    town.now = NOON - timedelta(hours=1)
    await town.use(credit, "1.00")
    assert {line["RecordedOn"] for line in await town.lines("money", credit)} == {NOON}


async def test_rule_1_the_database_itself_refuses_to_change_a_line(town: Town):
    credit = await town.add_money("10.00")
    await town.use(credit, "1.00")
    (_, line) = await town.lines("money", credit)
    for act in ("update", "delete"):
        with pytest.raises(Refusal):
            async with town.store.writing() as unit:
                if act == "update":
                    await unit.update(JournalLine, [(line["Id"], {"Amount": 0})])
                else:
                    await unit.delete(JournalLine, [line["Id"]])
    assert (await town.lines("money", credit))[1] == line


async def test_rule_12_the_setting_tests_the_window_at_the_spend(town: Town):
    town.policy = replace(town.policy, window_test="spend_time")
    credit = await town.add_money("10.00", ExpireDate=NOON + timedelta(hours=1))
    await town.use(credit, "1.00", BookingId=await town.add_booking())
    assert [line["Override"] for line in await town.lines("money", credit)] == [False, False]


async def test_rule_20_days_are_those_of_the_location(town: Town):
    await town.add_profile("Pacific/Auckland")
    days = await town.add_time(10, ExtraServiceId=await town.add_rate(2, "50.00"))
    booking = await town.add_booking(FromTime=datetime(2026, 3, 11, 10, tzinfo=UTC), hours=2)
    assert (await town.use_time(days, BookingId=booking))["CreditUsed"] == "2"
    assert len(await town.rows(TIME_USE)) == 1


class Stumbling:
    """A store whose first commit fails, as when a connection is lost."""

    def __init__(self, store) -> None:
        self.store = store
        self.commits = 0

    @asynccontextmanager
    async def writing(self):
        async with self.store.writing() as unit:
            yield unit
            self.commits += 1
            if self.commits == 1:
                raise ConnectionError("lost")


async def test_rule_31_a_passing_fault_is_tried_again_one_by_one_and_nothing_counts_twice(
    town: Town,
):
    credit = await town.add_money("3.00")
    stumbling = Stumbling(town.store)
    spends = Spends(stumbling, lambda: town.now)
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
    done = await asyncio.gather(
        *(spends.post(MONEY_USE, use, town.call(key=f"key {n}"), "same", shown) for n in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Invalid) for each in done) == 1
    assert stumbling.commits == 5
    assert await town.money_left(credit) == 0
    assert len(await town.rows(MONEY_USE)) == 3
