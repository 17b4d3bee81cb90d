"""What happens when two acts meet on one credit: rules 26 to 31 and the bugs others shipped."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.ledger.actions import ledger_commands
from creditdesk.ledger.journal.hash_chain import check_chain
from creditdesk.ledger.journal.invariants import Balances, differences
from creditdesk.ledger.journal.mapping import MONEY, line_of
from creditdesk.ledger.operations.bookings import cancel_bookings, charge_bookings
from creditdesk.ledger.operations.corrections import expire, reverse, void
from creditdesk.schema.errors import Refusal
from tests.ledger.town import MONEY_USE, NOON, Town, money, shown


async def verified(town: Town, credit: int) -> list[str]:
    """Whatever does not agree between a money credit, its journal, its chain and its history."""
    records = await town.lines("money", credit)
    lines = [line_of(record) for record in records]
    assert check_chain(lines, [bytes.fromhex(record["Digest"]) for record in records]) == []
    whole = await town.get(CoworkerBookingCredit, credit)
    (state,) = await town.rows(CreditState, CreditKind="money", CreditId=credit)
    rows = await town.rows(MONEY_USE, CoworkerBookingCreditId=credit)
    stored = Balances(
        whole["RemainingCredit"], state["Held"], whole["TotalCredit"], state["Sequence"]
    )
    return differences(stored, lines, sum(row["CreditUsed"] for row in rows))


async def tried(work) -> bool:
    try:
        await work
    except Refusal:
        return False
    return True


async def test_rule_30_reversals_in_parallel_give_back_once(town: Town):
    credit = await town.add_money("10.00")
    use = int((await town.use(credit, "4.00"))["Id"])

    async def back() -> int:
        async with town.store.writing() as unit:
            (done,) = await reverse(unit, MONEY, [use], town.call(), town.desk)
            return done.amount

    done = await asyncio.gather(*(back() for _ in range(4)), return_exceptions=True)
    assert sum(amount for amount in done if isinstance(amount, int)) == money("4.00")
    assert await town.money_left(credit) == money("10.00")
    assert await verified(town, credit) == []


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_rule_31_a_credit_that_another_unit_holds_holds_up_its_own_spends_alone(town: Town):
    held, free = await town.add_money("10.00"), await town.add_money("10.00")
    spends = town.spends()

    def use(credit: int) -> asyncio.Task[tuple[int, bytes]]:
        values = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
        return asyncio.create_task(spends.post(MONEY_USE, values, town.call(), "print", shown))

    async with town.store.writing() as unit:
        await unit.lock(CoworkerBookingCredit, [held])
        asked = [use(credit) for credit in (free, held, free, held, free)]
        done, waiting = await asyncio.wait(asked, timeout=1)
        assert done == {asked[0], asked[2], asked[4]}
        # Those that waited once are waited for, so what comes now comes after them.
        after = use(free)
        assert await asyncio.wait([after], timeout=0.3) == (set(), {after})
    answers = await asyncio.gather(*asked, after)
    assert [status for status, _ in answers] == [200] * 6
    assert await town.money_left(held) == money("8.00")
    assert await town.money_left(free) == money("6.00")
    for credit in (held, free):
        assert await verified(town, credit) == []


async def test_rule_28_expiry_beside_spends_takes_no_credit_twice(town: Town):
    credit = await town.add_money("10.00", ExpireDate=NOON)

    async def sweep() -> None:
        async with town.store.writing() as unit:
            await expire(unit, MONEY, town.call(), town.desk)

    await asyncio.gather(
        *(tried(sweep()) for _ in range(2)), *(tried(town.use(credit, "1.00")) for _ in range(4))
    )
    assert await town.money_left(credit) == money("6.00")
    kinds = [line["Kind"] for line in await town.lines("money", credit)]
    assert kinds.count("expiry") == 1
    assert await verified(town, credit) == []


async def test_rule_24_a_double_click_cancels_once(town: Town):
    credit = await town.add_money("100.00")
    booking = await town.add_booking(hours=2)
    async with town.store.writing() as unit:
        await charge_bookings(unit, [booking], town.call(), town.desk)

    async def cancel() -> None:
        async with town.store.writing() as unit:
            await cancel_bookings(unit, [booking], town.call(), town.desk)

    await asyncio.gather(tried(cancel()), tried(cancel()))
    assert await town.money_left(credit) == money("100.00")
    assert await verified(town, credit) == []


async def test_rule_29_a_void_beside_spends_leaves_nothing_to_spend(town: Town):
    credit = await town.add_money("10.00")

    async def away() -> None:
        async with town.store.writing() as unit:
            await void(unit, [(MONEY.kind, credit)], "", town.call(), town.desk)

    await asyncio.gather(tried(away()), *(tried(town.use(credit, "3.00")) for _ in range(4)))
    assert await town.money_left(credit) in (0, money("1.00"))
    assert await verified(town, credit) == []


async def test_rule_34_every_act_together_leaves_books_that_agree(town: Town):
    credit = await town.add_money("50.00", ExpireDate=NOON + timedelta(days=30))
    other = await town.add_money("50.00")
    bookings = [await town.add_booking(hours=1, FromTime=NOON) for _ in range(3)]
    commands = ledger_commands(town.desk)
    given = {
        "Amount": money("2.00"), "Reason": "goodwill", "Priority": 1, "Preview": None,
        "Cancellation Reason": None,
    }  # fmt: skip
    for entity, key, ids in (
        ("CoworkerBookingCredit", "SET_PRIORITY", [other]),
        ("Booking", "CHARGE_BOOKING", bookings),
        ("Booking", "CHARGE_BOOKING", bookings),
        ("Booking", "RECALCULATE_BOOKING", bookings[:1]),
        ("Booking", "CANCEL_BOOKING", bookings[1:2]),
        ("CoworkerBookingCredit", "ADJUST_CREDIT", [credit]),
        ("CoworkerBookingCredit", "VOID_CREDIT", [credit]),
    ):
        run = next(command.run for command in commands[entity] if command.key == key)
        async with town.store.writing() as unit:
            await run(unit, ids, given, town.call())
    await town.change(other, TotalCredit=money("60.00"))
    for each in (credit, other):
        assert await verified(town, each) == []
    assert await town.money_left(other) == money("30.00")
    assert await town.money_left(credit) == 0
