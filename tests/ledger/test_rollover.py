"""Rollover: an option of rule 27, off by default, on both engines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.benefit_rollover import BenefitRollover
from creditdesk.ledger.actions import ledger_actions
from creditdesk.ledger.journal.hash_chain import entry_digest, genesis_digest
from creditdesk.ledger.journal.mapping import (
    MONEY_MAPPING,
    TIME_MAPPING,
    CreditTypeMapping,
    entry_from_record,
)
from creditdesk.ledger.operations.rollover import set_rollover
from creditdesk.ledger.rules.renewal import RolloverLimit
from creditdesk.schema.errors import ValidationError
from creditdesk.schema.params import Params
from tests.ledger.test_renewals import add_contract, run_due_renewals
from tests.support.expiry import expire
from tests.support.ledger_builder import LedgerBuilder, money


async def set_cap(ledger: LedgerBuilder, mapping: CreditTypeMapping, cap: int, periods: int) -> None:
    async with ledger.store.write_session() as session:
        await set_rollover(session, mapping, 1, RolloverLimit(cap, periods), ledger.request_context())


async def active_credits(ledger: LedgerBuilder) -> list[int]:
    """The remaining amounts of the money credits of this month, oldest first."""
    return [
        credit["RemainingCredit"]
        for credit in await ledger.find(CoworkerBookingCredit)
        if credit["ValidFrom"] <= ledger.now < credit["ExpireDate"]
    ]


async def next_month(ledger: LedgerBuilder) -> None:
    ledger.now = ledger.now.replace(month=ledger.now.month + 1)
    await run_due_renewals(ledger)


async def grant_origin(ledger: LedgerBuilder, mapping: CreditTypeMapping, credit: int) -> tuple[int | None, int]:
    (state,) = await ledger.find(AccountState, CreditKind=mapping.account_type.value, CreditId=credit)
    return state["GrantedFrom"], state["TimesRolled"]


async def entry_kinds_of(ledger: LedgerBuilder, credit: int) -> list[str]:
    return [line["Kind"] for line in await ledger.journal_lines("money", credit)]


async def test_rule_27_rollover_is_off_by_default(ledger: LedgerBuilder) -> None:
    await add_contract(ledger)
    await run_due_renewals(ledger)
    await next_month(ledger)
    assert await active_credits(ledger) == [money("30.00")]


async def test_rule_27_the_rest_rolls_over_up_to_the_cap_as_a_linked_grant(
    ledger: LedgerBuilder,
) -> None:
    await add_contract(ledger)
    await set_cap(ledger, MONEY_MAPPING, money("20.00"), 1)
    await run_due_renewals(ledger)
    await ledger.post_use(1, "5.00")
    await next_month(ledger)
    assert await active_credits(ledger) == [money("30.00"), money("20.00")]
    old, _, rolled = [c["Id"] for c in await ledger.find(CoworkerBookingCredit)]
    assert await grant_origin(ledger, MONEY_MAPPING, rolled) == (old, 1)
    assert await ledger.remaining_money(old) == money("5.00")
    assert await entry_kinds_of(ledger, old) == ["grant", "use", "void"]
    new = await ledger.get(CoworkerBookingCredit, rolled)
    assert new["ElegibleResourceTypes"] == (ledger.resource_type,)
    assert new["ExpireDate"] == datetime(2026, 5, 1, tzinfo=UTC)
    digest = genesis_digest(MONEY_MAPPING.account_type, rolled)
    for line in await ledger.journal_lines("money", rolled):
        digest = entry_digest(digest, entry_from_record(line))
    (state,) = await ledger.find(AccountState, CreditKind="money", CreditId=rolled)
    assert state["Digest"] == digest.hex()


async def test_rule_27_rolled_credit_lasts_for_the_set_periods_under_one_cap(
    ledger: LedgerBuilder,
) -> None:
    await add_contract(ledger)
    await set_cap(ledger, MONEY_MAPPING, money("40.00"), 2)
    await run_due_renewals(ledger)
    await next_month(ledger)
    assert await active_credits(ledger) == [money("30.00"), money("30.00")]
    await next_month(ledger)
    # Credits that rolled over least often go first; of the others only what the cap leaves.
    assert await active_credits(ledger) == [money("30.00"), money("30.00"), money("10.00")]
    ids = [c["Id"] for c in await ledger.find(CoworkerBookingCredit)]
    assert [(await grant_origin(ledger, MONEY_MAPPING, each))[1] for each in ids[-2:]] == [1, 2]
    await next_month(ledger)
    assert await active_credits(ledger) == [money("30.00"), money("30.00"), money("10.00")]
    ids = [c["Id"] for c in await ledger.find(CoworkerBookingCredit)]
    assert [(await grant_origin(ledger, MONEY_MAPPING, each))[1] for each in ids[-2:]] == [1, 2]


async def test_rule_28_expired_credit_is_reopened_before_it_rolls_over(
    ledger: LedgerBuilder,
) -> None:
    await add_contract(ledger)
    await set_cap(ledger, MONEY_MAPPING, money("20.00"), 1)
    await run_due_renewals(ledger)
    ledger.now = datetime(2026, 4, 1, tzinfo=UTC)
    for _ in range(2):
        async with ledger.store.write_session() as session:
            await expire(session, MONEY_MAPPING, ledger.request_context(), ledger.context)
        await run_due_renewals(ledger)
    async with ledger.store.write_session() as session:
        await expire(session, MONEY_MAPPING, ledger.request_context(), ledger.context)
    lines = await ledger.journal_lines("money", 1)
    assert [(line["Kind"], line["Amount"]) for line in lines] == [
        ("grant", money("30.00")),
        ("expiry", money("30.00")),
        ("reopening", money("30.00")),
        ("void", money("20.00")),
        ("expiry", money("10.00")),
    ]


async def test_rule_27_concurrent_runs_roll_uses_over_once(ledger: LedgerBuilder) -> None:
    await add_contract(ledger)
    await set_cap(ledger, TIME_MAPPING, 90, 3)
    await run_due_renewals(ledger)
    ledger.now = datetime(2026, 4, 2, tzinfo=UTC)
    await asyncio.gather(run_due_renewals(ledger), run_due_renewals(ledger))
    times = await ledger.find(CoworkerExtraService)
    assert [time["RemainingUses"] for time in times] == [30, 120, 90]
    assert times[2]["IsFromTariff"]
    assert await active_credits(ledger) == [money("30.00")]


async def test_the_action_turns_rollover_on_and_off(ledger: LedgerBuilder) -> None:
    await add_contract(ledger)
    (action,) = ledger_actions(ledger.context)["TariffBookingCredit"]
    for cap, periods, sentence in (
        ("20.00", 1, "1 benefit now rolls over."),
        ("25.00", 2, "1 benefit now rolls over."),
        ("0", 2, "1 benefit does not roll over."),
    ):
        params = Params(action.parameters, {"Cap": cap, "Periods": periods})
        async with ledger.store.write_session() as session:
            result = await action.run(session, [1], params, ledger.request_context())
        assert result.message == sentence
        kept = [(r["Cap"], r["Periods"]) for r in await ledger.find(BenefitRollover, Benefit="money/1")]
        assert kept == ([(money(cap), periods)] if money(cap) else [])
    with pytest.raises(ValidationError):
        await set_cap(ledger, MONEY_MAPPING, -1, 1)
