"""Roll-over: rule 27's choice, off by default, on both engines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.benefit_rollover import BenefitRollOver
from creditdesk.ledger.actions import ledger_commands
from creditdesk.ledger.journal.hash_chain import genesis_digest, line_digest
from creditdesk.ledger.journal.mapping import MONEY, TIME, Side, line_of
from creditdesk.ledger.operations.corrections import expire
from creditdesk.ledger.operations.rollover import set_roll_over
from creditdesk.ledger.rules.renewal import RollOver
from creditdesk.schema.errors import Invalid
from tests.ledger.test_renewals import on_plan, run
from tests.ledger.town import Town, money


async def allow(town: Town, side: Side, cap: int, periods: int) -> None:
    async with town.store.writing() as unit:
        await set_roll_over(unit, side, 1, RollOver(cap, periods), town.call())


async def live(town: Town) -> list[int]:
    """What remains of each money credit of this month, oldest first."""
    return [
        credit["RemainingCredit"]
        for credit in await town.rows(CoworkerBookingCredit)
        if credit["ValidFrom"] <= town.now < credit["ExpireDate"]
    ]


async def next_month(town: Town) -> None:
    town.now = town.now.replace(month=town.now.month + 1)
    await run(town)


async def origin(town: Town, side: Side, credit: int) -> tuple[int | None, int]:
    (state,) = await town.rows(CreditState, CreditKind=side.kind.value, CreditId=credit)
    return state["GrantedFrom"], state["TimesRolled"]


async def kinds(town: Town, credit: int) -> list[str]:
    return [line["Kind"] for line in await town.lines("money", credit)]


async def test_rule_27_nothing_rolls_over_unless_it_is_set(town: Town):
    await on_plan(town)
    await run(town)
    await next_month(town)
    assert await live(town) == [money("30.00")]


async def test_rule_27_what_is_left_goes_on_up_to_the_cap_as_a_linked_grant(town: Town):
    await on_plan(town)
    await allow(town, MONEY, money("20.00"), 1)
    await run(town)
    await town.use(1, "5.00")
    await next_month(town)
    assert await live(town) == [money("30.00"), money("20.00")]
    old, _, rolled = [c["Id"] for c in await town.rows(CoworkerBookingCredit)]
    assert await origin(town, MONEY, rolled) == (old, 1)
    assert await town.money_left(old) == money("5.00")
    assert await kinds(town, old) == ["grant", "use", "void"]
    new = await town.get(CoworkerBookingCredit, rolled)
    assert new["ElegibleResourceTypes"] == (town.room_type,)
    assert new["ExpireDate"] == datetime(2026, 5, 1, tzinfo=UTC)
    digest = genesis_digest(MONEY.kind, rolled)
    for line in await town.lines("money", rolled):
        digest = line_digest(digest, line_of(line))
    (state,) = await town.rows(CreditState, CreditKind="money", CreditId=rolled)
    assert state["Digest"] == digest.hex()


async def test_rule_27_it_lives_for_the_periods_set_and_the_cap_is_for_all_of_it(town: Town):
    await on_plan(town)
    await allow(town, MONEY, money("40.00"), 2)
    await run(town)
    await next_month(town)
    assert await live(town) == [money("30.00"), money("30.00")]
    await next_month(town)
    # The younger goes first, and of what rolled before only what the cap leaves.
    assert await live(town) == [money("30.00"), money("30.00"), money("10.00")]
    ids = [c["Id"] for c in await town.rows(CoworkerBookingCredit)]
    assert [(await origin(town, MONEY, each))[1] for each in ids[-2:]] == [1, 2]
    await next_month(town)
    assert await live(town) == [money("30.00"), money("30.00"), money("10.00")]
    ids = [c["Id"] for c in await town.rows(CoworkerBookingCredit)]
    assert [(await origin(town, MONEY, each))[1] for each in ids[-2:]] == [1, 2]


async def test_rule_28_what_was_swept_is_reopened_before_part_of_it_goes_on(town: Town):
    await on_plan(town)
    await allow(town, MONEY, money("20.00"), 1)
    await run(town)
    town.now = datetime(2026, 4, 1, tzinfo=UTC)
    for _ in range(2):
        async with town.store.writing() as unit:
            await expire(unit, MONEY, town.call(), town.desk)
        await run(town)
    async with town.store.writing() as unit:
        await expire(unit, MONEY, town.call(), town.desk)
    lines = await town.lines("money", 1)
    assert [(line["Kind"], line["Amount"]) for line in lines] == [
        ("grant", money("30.00")),
        ("expiry", money("30.00")),
        ("reopening", money("30.00")),
        ("void", money("20.00")),
        ("expiry", money("10.00")),
    ]


async def test_rule_27_uses_roll_over_too_and_once_whatever_runs_beside(town: Town):
    await on_plan(town)
    await allow(town, TIME, 90, 3)
    await run(town)
    town.now = datetime(2026, 4, 2, tzinfo=UTC)
    await asyncio.gather(run(town), run(town))
    times = await town.rows(CoworkerExtraService)
    assert [time["RemainingUses"] for time in times] == [30, 120, 90]
    assert times[2]["IsFromTariff"]
    assert await live(town) == [money("30.00")]


async def test_the_command_turns_it_on_and_off(town: Town):
    await on_plan(town)
    (command,) = ledger_commands(town.desk)["TariffBookingCredit"]
    for cap, periods, sentence in (
        (money("20.00"), 1, "1 benefits now roll over."),
        (money("25.00"), 2, "1 benefits now roll over."),
        (0, 2, "1 benefits do not roll over."),
    ):
        async with town.store.writing() as unit:
            said = await command.run(unit, [1], {"Cap": cap, "Periods": periods}, town.call())
        assert said.message == sentence
        kept = [
            (r["Cap"], r["Periods"]) for r in await town.rows(BenefitRollOver, Benefit="money/1")
        ]
        assert kept == ([(cap, periods)] if cap else [])
    with pytest.raises(Invalid):
        await allow(town, MONEY, -1, 1)
