"""Roll-over: rule 27's choice, off by default, on both engines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.benefit_rollover import BenefitRollover
from creditdesk.ledger.actions import ledger_commands
from creditdesk.ledger.journal.hash_chain import entry_digest, genesis_digest
from creditdesk.ledger.journal.mapping import (
    MONEY_MAPPING,
    TIME_MAPPING,
    CreditTypeMapping,
    entry_from_record,
)
from creditdesk.ledger.operations.corrections import expire
from creditdesk.ledger.operations.rollover import set_rollover
from creditdesk.ledger.rules.renewal import RolloverLimit
from creditdesk.schema.errors import ValidationError
from tests.ledger.test_renewals import add_contract, run_due_renewals
from tests.ledger.town import LedgerBuilder, money


async def set_cap(town: LedgerBuilder, mapping: CreditTypeMapping, cap: int, periods: int) -> None:
    async with town.store.write_session() as session:
        await set_rollover(session, mapping, 1, RolloverLimit(cap, periods), town.request_context())


async def active_credits(town: LedgerBuilder) -> list[int]:
    """What remains of each money credit of this month, oldest first."""
    return [
        credit["RemainingCredit"]
        for credit in await town.find(CoworkerBookingCredit)
        if credit["ValidFrom"] <= town.now < credit["ExpireDate"]
    ]


async def next_month(town: LedgerBuilder) -> None:
    town.now = town.now.replace(month=town.now.month + 1)
    await run_due_renewals(town)


async def grant_origin(
    town: LedgerBuilder, mapping: CreditTypeMapping, credit: int
) -> tuple[int | None, int]:
    (state,) = await town.find(AccountState, CreditKind=mapping.account_type.value, CreditId=credit)
    return state["GrantedFrom"], state["TimesRolled"]


async def entry_kinds_of(town: LedgerBuilder, credit: int) -> list[str]:
    return [line["Kind"] for line in await town.journal_lines("money", credit)]


async def test_rule_27_rollover_is_off_by_default(town: LedgerBuilder):
    await add_contract(town)
    await run_due_renewals(town)
    await next_month(town)
    assert await active_credits(town) == [money("30.00")]


async def test_rule_27_the_rest_rolls_over_up_to_the_cap_as_a_linked_grant(town: LedgerBuilder):
    await add_contract(town)
    await set_cap(town, MONEY_MAPPING, money("20.00"), 1)
    await run_due_renewals(town)
    await town.post_use(1, "5.00")
    await next_month(town)
    assert await active_credits(town) == [money("30.00"), money("20.00")]
    old, _, rolled = [c["Id"] for c in await town.find(CoworkerBookingCredit)]
    assert await grant_origin(town, MONEY_MAPPING, rolled) == (old, 1)
    assert await town.remaining_money(old) == money("5.00")
    assert await entry_kinds_of(town, old) == ["grant", "use", "void"]
    new = await town.get(CoworkerBookingCredit, rolled)
    assert new["ElegibleResourceTypes"] == (town.resource_type,)
    assert new["ExpireDate"] == datetime(2026, 5, 1, tzinfo=UTC)
    digest = genesis_digest(MONEY_MAPPING.account_type, rolled)
    for line in await town.journal_lines("money", rolled):
        digest = entry_digest(digest, entry_from_record(line))
    (state,) = await town.find(AccountState, CreditKind="money", CreditId=rolled)
    assert state["Digest"] == digest.hex()


async def test_rule_27_rolled_credit_lasts_for_the_set_periods_under_one_cap(town: LedgerBuilder):
    await add_contract(town)
    await set_cap(town, MONEY_MAPPING, money("40.00"), 2)
    await run_due_renewals(town)
    await next_month(town)
    assert await active_credits(town) == [money("30.00"), money("30.00")]
    await next_month(town)
    # The younger goes first, and of what rolled before only what the cap leaves.
    assert await active_credits(town) == [money("30.00"), money("30.00"), money("10.00")]
    ids = [c["Id"] for c in await town.find(CoworkerBookingCredit)]
    assert [(await grant_origin(town, MONEY_MAPPING, each))[1] for each in ids[-2:]] == [1, 2]
    await next_month(town)
    assert await active_credits(town) == [money("30.00"), money("30.00"), money("10.00")]
    ids = [c["Id"] for c in await town.find(CoworkerBookingCredit)]
    assert [(await grant_origin(town, MONEY_MAPPING, each))[1] for each in ids[-2:]] == [1, 2]


async def test_rule_28_expired_credit_is_reopened_before_it_rolls_over(town: LedgerBuilder):
    await add_contract(town)
    await set_cap(town, MONEY_MAPPING, money("20.00"), 1)
    await run_due_renewals(town)
    town.now = datetime(2026, 4, 1, tzinfo=UTC)
    for _ in range(2):
        async with town.store.write_session() as session:
            await expire(session, MONEY_MAPPING, town.request_context(), town.context)
        await run_due_renewals(town)
    async with town.store.write_session() as session:
        await expire(session, MONEY_MAPPING, town.request_context(), town.context)
    lines = await town.journal_lines("money", 1)
    assert [(line["Kind"], line["Amount"]) for line in lines] == [
        ("grant", money("30.00")),
        ("expiry", money("30.00")),
        ("reopening", money("30.00")),
        ("void", money("20.00")),
        ("expiry", money("10.00")),
    ]


async def test_rule_27_concurrent_runs_roll_uses_over_once(town: LedgerBuilder):
    await add_contract(town)
    await set_cap(town, TIME_MAPPING, 90, 3)
    await run_due_renewals(town)
    town.now = datetime(2026, 4, 2, tzinfo=UTC)
    await asyncio.gather(run_due_renewals(town), run_due_renewals(town))
    times = await town.find(CoworkerExtraService)
    assert [time["RemainingUses"] for time in times] == [30, 120, 90]
    assert times[2]["IsFromTariff"]
    assert await active_credits(town) == [money("30.00")]


async def test_the_action_turns_rollover_on_and_off(town: LedgerBuilder):
    await add_contract(town)
    (command,) = ledger_commands(town.context)["TariffBookingCredit"]
    for cap, periods, sentence in (
        (money("20.00"), 1, "1 benefits now roll over."),
        (money("25.00"), 2, "1 benefits now roll over."),
        (0, 2, "1 benefits do not roll over."),
    ):
        async with town.store.write_session() as session:
            said = await command.run(
                session, [1], {"Cap": cap, "Periods": periods}, town.request_context()
            )
        assert said.message == sentence
        kept = [
            (r["Cap"], r["Periods"]) for r in await town.find(BenefitRollover, Benefit="money/1")
        ]
        assert kept == ([(cap, periods)] if cap else [])
    with pytest.raises(ValidationError):
        await set_cap(town, MONEY_MAPPING, -1, 1)
