"""Reversing, adjusting, voiding, expiring and reopening: rules 2, 11, 28 to 30, on both engines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.ledger.actions import ledger_commands
from creditdesk.ledger.journal.mapping import MONEY, TIME
from creditdesk.ledger.operations.corrections import adjust, expire, reverse, void
from creditdesk.ledger.rules.credit import LedgerPolicy
from creditdesk.ledger.services import CreditWriter
from creditdesk.schema.errors import Blocked, Invalid
from tests.ledger.town import MONEY_USE, NOON, TIME_USE, Town, money


def kinds(lines: list[dict]) -> list[str]:
    return [line["Kind"] for line in lines]


async def test_rule_30_a_reversal_goes_back_to_the_same_credit_as_a_negative_row(town: Town):
    credit = await town.add_money("10.00")
    booking = await town.add_booking()
    use = await town.use(credit, "4.00", BookingId=booking)
    async with town.store.writing() as unit:
        (back,) = await reverse(unit, MONEY, [int(use["Id"])], town.call(), town.desk)
    assert back.amount == money("4.00")
    assert await town.money_left(credit) == money("10.00")
    rows = await town.rows(MONEY_USE)
    assert [row["CreditUsed"] for row in rows] == [money("4.00"), money("-4.00")]
    assert [row["BookingId"] for row in rows] == [booking, booking]
    lines = await town.lines("money", credit)
    assert kinds(lines) == ["grant", "use", "reversal"]
    assert lines[2]["Reverses"] == lines[1]["Sequence"]


async def test_rule_30_repeating_a_reversal_changes_nothing_and_no_more_than_is_left_comes_back(
    town: Town,
):
    credit = await town.add_money("10.00")
    use = int((await town.use(credit, "4.00"))["Id"])
    for amount, expected in ((money("1.50"), "1.50"), (None, "2.50"), (None, "0.00")):
        async with town.store.writing() as unit:
            (back,) = await reverse(unit, MONEY, [use], town.call(), town.desk, amount=amount)
        assert back.amount == money(expected)
    with pytest.raises(Invalid, match="rule 30"):
        async with town.store.writing() as unit:
            await reverse(unit, MONEY, [use], town.call(), town.desk, amount=1)
    assert await town.money_left(credit) == money("10.00")


async def test_rule_30_a_reversal_itself_is_not_reversed(town: Town):
    credit = await town.add_time(5, ExtraServiceId=town.uses_rate)
    use = int((await town.use_time(credit))["Id"])
    async with town.store.writing() as unit:
        await reverse(unit, TIME, [use], town.call(), town.desk)
    back = (await town.rows(TIME_USE))[1]
    assert back["CreditUsed"] == -1
    with pytest.raises(Blocked, match="is not a use"):
        async with town.store.writing() as unit:
            await reverse(unit, TIME, [back["Id"]], town.call(), town.desk)


async def test_rule_30_days_of_grace_reissue_what_returns_to_a_lapsed_credit(town: Town):
    town.policy = LedgerPolicy(return_grace_days=7)
    credit = await town.add_money("10.00", ExpireDate=NOON)
    use = int((await town.use(credit, "4.00"))["Id"])
    async with town.store.writing() as unit:
        (back,) = await reverse(unit, MONEY, [use], town.call(), town.desk)
    assert back.reissued is not None
    again = await town.get(CoworkerBookingCredit, back.reissued)
    assert again["RemainingCredit"] == money("4.00")
    assert again["ExpireDate"] == NOON + timedelta(days=7)
    assert again["CaneBeUsedForBookings"]
    assert await town.money_left(credit) == money("6.00")
    (state,) = await town.rows(CreditState, CreditKind="money", CreditId=back.reissued)
    assert state["GrantedFrom"] == credit


async def test_rule_2_a_correction_past_the_total_raises_the_total(town: Town):
    credit = await town.add_money("10.00")
    await town.use(credit, "4.00")
    async with town.store.writing() as unit:
        account = (MONEY.kind, credit)
        await adjust(unit, account, money("9.00"), "goodwill", town.call(), town.desk)
    record = await town.get(CoworkerBookingCredit, credit)
    assert (record["RemainingCredit"], record["TotalCredit"]) == (money("15.00"), money("15.00"))
    used = [row["CreditUsed"] for row in await town.rows(MONEY_USE)]
    assert used == [money("4.00"), money("-4.00")]
    with pytest.raises(Invalid, match="rule 2"):
        async with town.store.writing() as unit:
            await adjust(unit, account, money("-15.01"), "slip", town.call(), town.desk)


async def test_rule_29_void_removes_the_unused_part_and_tells_what_was_used(town: Town):
    credit = await town.add_money("10.00")
    await town.use(credit, "4.00")
    async with town.store.writing() as unit:
        (done,) = await void(unit, [(MONEY.kind, credit)], "sold twice", town.call(), town.desk)
    assert (done.removed, done.used) == (money("6.00"), money("4.00"))
    record = await town.get(CoworkerBookingCredit, credit)
    assert (record["RemainingCredit"], record["TotalCredit"]) == (0, money("4.00"))
    assert len(await town.rows(MONEY_USE)) == 1


async def test_rule_28_expiry_is_written_once_and_leaves_what_remains(town: Town):
    lapsed = await town.add_money("10.00", ExpireDate=NOON)
    await town.add_money("10.00", ExpireDate=NOON + timedelta(seconds=1))
    for expected in ([(MONEY.kind, lapsed)], []):
        async with town.store.writing() as unit:
            assert await expire(unit, MONEY, town.call(), town.desk) == expected
    assert await town.money_left(lapsed) == money("10.00")
    lines = await town.lines("money", lapsed)
    assert kinds(lines) == ["grant", "expiry"]
    assert lines[1]["Amount"] == money("10.00")


async def test_rule_28_extending_the_expiry_writes_a_reopening_and_it_may_lapse_again(town: Town):
    credit = await town.add_money("10.00", ExpireDate=NOON)
    async with town.store.writing() as unit:
        await expire(unit, MONEY, town.call(), town.desk)
    await town.change(credit, ExpireDate=NOON + timedelta(days=1))
    town.now = NOON + timedelta(days=2)
    async with town.store.writing() as unit:
        await expire(unit, MONEY, town.call(), town.desk)
    lines = await town.lines("money", credit)
    assert kinds(lines) == ["grant", "expiry", "reopening", "expiry"]


async def test_rule_6_a_new_credit_has_all_of_its_total_and_expires_after_it_begins(town: Town):
    writer = CreditWriter(town.desk)
    values = await town.money_values("25.00", RemainingCredit=0)
    async with town.store.writing() as unit:
        credit = await writer.create(unit, CoworkerBookingCredit, values, town.call())
    assert await town.money_left(credit) == money("25.00")
    assert kinds(await town.lines("money", credit)) == ["grant"]
    with pytest.raises(Invalid, match="Expiration data must be greater than valid from date"):
        async with town.store.writing() as unit:
            wrong = {**values, "ValidFrom": NOON, "ExpireDate": NOON}
            await writer.create(unit, CoworkerBookingCredit, wrong, town.call())


async def test_rule_6_a_total_may_change_but_not_below_what_is_used(town: Town):
    credit = await town.add_money("10.00")
    await town.use(credit, "4.00")
    await town.change(credit, TotalCredit=money("12.00"))
    assert await town.money_left(credit) == money("8.00")
    await town.change(credit, TotalCredit=money("4.00"))
    assert await town.money_left(credit) == 0
    with pytest.raises(Invalid, match="rule 6"):
        await town.change(credit, TotalCredit=money("3.99"))
    assert kinds(await town.lines("money", credit)) == ["grant", "use", "grant", "void"]


async def test_a_credit_with_lines_beyond_its_grant_is_voided_not_deleted(town: Town):
    writer = CreditWriter(town.desk)
    used, fresh = await town.add_money("10.00"), await town.add_money("10.00")
    await town.use(used, "1.00")
    for credit in (used, fresh):
        before = await town.get(CoworkerBookingCredit, credit)
        if credit == used:
            with pytest.raises(Blocked, match="void it instead"):
                async with town.store.writing() as unit:
                    await writer.delete(unit, CoworkerBookingCredit, before, town.call())
        else:
            async with town.store.writing() as unit:
                await writer.delete(unit, CoworkerBookingCredit, before, town.call())
    assert [c["Id"] for c in await town.rows(CoworkerBookingCredit)] == [used]
    assert kinds(await town.lines("money", fresh)) == ["grant", "void"]


async def test_rule_11_only_the_description_of_a_use_changes_and_that_is_journalled(town: Town):
    credit = await town.add_money("10.00")
    use = int((await town.use(credit, "1.00", Description="cofee"))["Id"])
    await town.edit_use(use, Description="coffee", CreditUsed=money("1.00"))
    assert (await town.get(MONEY_USE, use))["Description"] == "coffee"
    with pytest.raises(Invalid, match="rule 11"):
        await town.edit_use(use, Description="coffee", CreditUsed=money("2.00"))
    lines = await town.lines("money", credit)
    assert kinds(lines) == ["grant", "use", "adjustment"]
    assert lines[2]["Reason"] == f"description of use #{use} was: cofee"


async def test_the_commands_answer_in_documents_amounts(town: Town):
    commands = {
        (name, command.key): command
        for name, offered in ledger_commands(town.desk).items()
        for command in offered
    }
    credit = await town.add_money("10.00")
    use = int((await town.use(credit, "4.00"))["Id"])
    given = {"Amount": None, "Reason": None}
    async with town.store.writing() as unit:
        run = commands["CoworkerBookingCreditUseHistory", "REVERSE_USE"].run
        outcome = await run(unit, [use], given, town.call())
    assert outcome.message == "1 of 1 uses were reversed."
    assert outcome.value[0]["Amount"] == "4.0000"
    async with town.store.writing() as unit:
        run = commands["CoworkerBookingCredit", "ADJUST_CREDIT"].run
        outcome = await run(
            unit, [credit], {"Amount": money("-1.00"), "Reason": "slip"}, town.call()
        )
    assert outcome.value == [{"Id": credit, "RemainingCredit": "9.0000", "TotalCredit": "10.0000"}]
