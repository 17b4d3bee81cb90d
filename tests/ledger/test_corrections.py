"""Reversing, adjusting, voiding, expiring and reopening: rules 2, 11, 28 to 30, on both engines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.actions import ledger_actions
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING
from creditdesk.ledger.operations.corrections import adjust, reverse, void
from creditdesk.ledger.services import CreditService
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import StateConflict, ValidationError
from creditdesk.schema.params import Params
from creditdesk.settings import LedgerSettings
from tests.support.expiry import expire
from tests.support.ledger_builder import MONEY_USE, NOON, TIME_USE, LedgerBuilder, money


def entry_kinds(lines: list[Record]) -> list[str]:
    return [line["Kind"] for line in lines]


async def test_rule_30_a_reversal_goes_back_to_the_same_credit_as_a_negative_row(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("10.00")
    booking = await ledger.add_booking()
    use = await ledger.post_use(credit, "4.00", BookingId=booking)
    async with ledger.store.write_session() as session:
        (back,) = await reverse(session, MONEY_MAPPING, [int(use["Id"])], ledger.request_context(), ledger.context)
    assert back.amount == money("4.00")
    assert await ledger.remaining_money(credit) == money("10.00")
    rows = await ledger.find(MONEY_USE)
    assert [row["CreditUsed"] for row in rows] == [money("4.00"), money("-4.00")]
    assert [row["BookingId"] for row in rows] == [booking, booking]
    lines = await ledger.journal_lines("money", credit)
    assert entry_kinds(lines) == ["grant", "use", "reversal"]
    assert lines[2]["Reverses"] == lines[1]["Sequence"]


async def test_rule_30_repeated_reversals_return_the_amount_once(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("10.00")
    use = int((await ledger.post_use(credit, "4.00"))["Id"])
    for amount, expected in ((money("1.50"), "1.50"), (None, "2.50"), (None, "0.00")):
        async with ledger.store.write_session() as session:
            (back,) = await reverse(
                session,
                MONEY_MAPPING,
                [use],
                ledger.request_context(),
                ledger.context,
                amount=amount,
            )
        assert back.amount == money(expected)
    with pytest.raises(ValidationError, match="can still be reversed"):
        async with ledger.store.write_session() as session:
            await reverse(session, MONEY_MAPPING, [use], ledger.request_context(), ledger.context, amount=1)
    assert await ledger.remaining_money(credit) == money("10.00")


async def test_rule_30_a_reversal_cannot_be_reversed(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_time_credit(5, ExtraServiceId=ledger.uses_rate)
    use = int((await ledger.post_time_use(credit))["Id"])
    async with ledger.store.write_session() as session:
        await reverse(session, TIME_MAPPING, [use], ledger.request_context(), ledger.context)
    back = (await ledger.find(TIME_USE))[1]
    assert back["CreditUsed"] == -1
    with pytest.raises(StateConflict, match="is not a use"):
        async with ledger.store.write_session() as session:
            await reverse(session, TIME_MAPPING, [back["Id"]], ledger.request_context(), ledger.context)


async def test_rule_30_returns_to_an_expired_credit_are_reissued_with_grace_days(
    ledger: LedgerBuilder,
) -> None:
    ledger.settings = LedgerSettings(return_grace_days=7)
    credit = await ledger.add_money_credit("10.00", ExpireDate=NOON)
    use = int((await ledger.post_use(credit, "4.00"))["Id"])
    async with ledger.store.write_session() as session:
        (back,) = await reverse(session, MONEY_MAPPING, [use], ledger.request_context(), ledger.context)
    assert back.reissued_id is not None
    again = await ledger.get(CoworkerBookingCredit, back.reissued_id)
    assert again["RemainingCredit"] == money("4.00")
    assert again["ExpireDate"] == NOON + timedelta(days=7)
    assert again["CaneBeUsedForBookings"]
    assert await ledger.remaining_money(credit) == money("6.00")
    (state,) = await ledger.find(AccountState, CreditKind="money", CreditId=back.reissued_id)
    assert state["GrantedFrom"] == credit


async def test_rule_2_a_correction_past_the_total_raises_the_total(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    await ledger.post_use(credit, "4.00")
    async with ledger.store.write_session() as session:
        account = (MONEY_MAPPING.account_type, credit)
        await adjust(session, account, money("9.00"), "goodwill", ledger.request_context(), ledger.context)
    record = await ledger.get(CoworkerBookingCredit, credit)
    assert (record["RemainingCredit"], record["TotalCredit"]) == (money("15.00"), money("15.00"))
    used = [row["CreditUsed"] for row in await ledger.find(MONEY_USE)]
    assert used == [money("4.00"), money("-4.00")]
    with pytest.raises(ValidationError, match="that remains and is not held"):
        async with ledger.store.write_session() as session:
            await adjust(session, account, money("-15.01"), "slip", ledger.request_context(), ledger.context)


async def test_rule_29_void_removes_the_unused_part_and_reports_the_used_one(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("10.00")
    await ledger.post_use(credit, "4.00")
    async with ledger.store.write_session() as session:
        (done,) = await void(
            session,
            [(MONEY_MAPPING.account_type, credit)],
            "sold twice",
            ledger.request_context(),
            ledger.context,
        )
    assert (done.removed, done.used) == (money("6.00"), money("4.00"))
    record = await ledger.get(CoworkerBookingCredit, credit)
    assert (record["RemainingCredit"], record["TotalCredit"]) == (0, money("4.00"))
    assert len(await ledger.find(MONEY_USE)) == 1


async def test_rule_28_expiry_is_written_once_and_keeps_the_balance(ledger: LedgerBuilder) -> None:
    expired = await ledger.add_money_credit("10.00", ExpireDate=NOON)
    await ledger.add_money_credit("10.00", ExpireDate=NOON + timedelta(seconds=1))
    for expected in ([(MONEY_MAPPING.account_type, expired)], []):
        async with ledger.store.write_session() as session:
            assert await expire(session, MONEY_MAPPING, ledger.request_context(), ledger.context) == expected
    assert await ledger.remaining_money(expired) == money("10.00")
    lines = await ledger.journal_lines("money", expired)
    assert entry_kinds(lines) == ["grant", "expiry"]
    assert lines[1]["Amount"] == money("10.00")


async def test_rule_28_extending_the_expiry_reopens_the_credit(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00", ExpireDate=NOON)
    async with ledger.store.write_session() as session:
        await expire(session, MONEY_MAPPING, ledger.request_context(), ledger.context)
    await ledger.update_credit(credit, ExpireDate=NOON + timedelta(days=1))
    ledger.now = NOON + timedelta(days=2)
    async with ledger.store.write_session() as session:
        await expire(session, MONEY_MAPPING, ledger.request_context(), ledger.context)
    lines = await ledger.journal_lines("money", credit)
    assert entry_kinds(lines) == ["grant", "expiry", "change", "reopening", "expiry"]


async def test_rule_6_a_new_credit_has_its_total_remaining_and_a_valid_period(
    ledger: LedgerBuilder,
) -> None:
    writer = CreditService(ledger.context)
    values = await ledger.money_credit_values("25.00", RemainingCredit=0)
    async with ledger.store.write_session() as session:
        credit = await writer.create(session, CoworkerBookingCredit, values, ledger.request_context())
    assert await ledger.remaining_money(credit) == money("25.00")
    assert entry_kinds(await ledger.journal_lines("money", credit)) == ["grant"]
    with pytest.raises(ValidationError, match="Expiration data must be greater than valid from date"):
        async with ledger.store.write_session() as session:
            wrong = {**values, "ValidFrom": NOON, "ExpireDate": NOON}
            await writer.create(session, CoworkerBookingCredit, wrong, ledger.request_context())


async def test_rule_6_a_total_may_change_but_not_below_what_is_used(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    await ledger.post_use(credit, "4.00")
    await ledger.update_credit(credit, TotalCredit=money("12.00"))
    assert await ledger.remaining_money(credit) == money("8.00")
    await ledger.update_credit(credit, TotalCredit=money("4.00"))
    assert await ledger.remaining_money(credit) == 0
    with pytest.raises(ValidationError, match="that is used or held"):
        await ledger.update_credit(credit, TotalCredit=money("3.99"))
    assert entry_kinds(await ledger.journal_lines("money", credit)) == [
        "grant",
        "use",
        "grant",
        "void",
    ]


async def test_a_credit_with_entries_beyond_its_grant_is_voided_not_deleted(
    ledger: LedgerBuilder,
) -> None:
    writer = CreditService(ledger.context)
    used, fresh = await ledger.add_money_credit("10.00"), await ledger.add_money_credit("10.00")
    await ledger.post_use(used, "1.00")
    for credit in (used, fresh):
        before = await ledger.get(CoworkerBookingCredit, credit)
        if credit == used:
            with pytest.raises(StateConflict, match="void it instead"):
                async with ledger.store.write_session() as session:
                    await writer.delete(session, CoworkerBookingCredit, before, ledger.request_context())
        else:
            async with ledger.store.write_session() as session:
                await writer.delete(session, CoworkerBookingCredit, before, ledger.request_context())
    assert [c["Id"] for c in await ledger.find(CoworkerBookingCredit)] == [used]
    assert entry_kinds(await ledger.journal_lines("money", fresh)) == ["grant", "void"]


async def test_rule_11_only_the_description_of_a_use_changes_and_is_journaled(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("10.00")
    use = int((await ledger.post_use(credit, "1.00", Description="cofee"))["Id"])
    await ledger.update_use(use, Description="coffee", CreditUsed=money("1.00"))
    assert (await ledger.get(MONEY_USE, use))["Description"] == "coffee"
    with pytest.raises(ValidationError, match="reverse the use with the command REVERSE_USE"):
        await ledger.update_use(use, Description="coffee", CreditUsed=money("2.00"))
    lines = await ledger.journal_lines("money", credit)
    assert entry_kinds(lines) == ["grant", "use", "adjustment"]
    assert lines[2]["Reason"] == f"description of use #{use} was: cofee"


async def test_actions_format_amounts_like_documents(ledger: LedgerBuilder) -> None:
    actions = {
        (name, action.key): action for name, offered in ledger_actions(ledger.context).items() for action in offered
    }
    credit = await ledger.add_money_credit("10.00")
    use = int((await ledger.post_use(credit, "4.00"))["Id"])
    reverse_use = actions["CoworkerBookingCreditUseHistory", "REVERSE_USE"]
    async with ledger.store.write_session() as session:
        params = Params(reverse_use.parameters, {})
        outcome = await reverse_use.run(session, [use], params, ledger.request_context())
    assert outcome.message == "1 of 1 uses were reversed."
    assert outcome.value[0]["Amount"] == "4.0000"
    adjust_credit = actions["CoworkerBookingCredit", "ADJUST_CREDIT"]
    async with ledger.store.write_session() as session:
        params = Params(adjust_credit.parameters, {"Amount": "-1.00", "Reason": "slip"})
        outcome = await adjust_credit.run(session, [credit], params, ledger.request_context())
    assert outcome.value == [{"Id": credit, "RemainingCredit": "9.0000", "TotalCredit": "10.0000"}]
