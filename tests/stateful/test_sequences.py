"""Random sequences of operations in a real store match the model and keep every rule.

`CREDITDESK_TEST_SEED=n` runs the sequence of one seed.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.ledger.operations.corrections import void
from creditdesk.ledger.operations.holds import release_hold
from creditdesk.schema.repository import Store
from creditdesk.storage.postgresql import PostgreSQLStore
from creditdesk.storage.sqlite import SQLiteStore
from tests.stateful import booking_operations as bookings
from tests.stateful import credit_operations as credits_
from tests.stateful import item_operations as sources
from tests.stateful.change_detection import ChangeDetector
from tests.stateful.simulation import Simulation, create_rates
from tests.support.ledger_builder import LedgerBuilder

Operation = Callable[[Simulation], Awaitable[None]]


async def advance_clock(simulation: Simulation) -> None:
    steps = (
        timedelta(microseconds=1), timedelta(seconds=1, microseconds=7), timedelta(hours=1),
        timedelta(days=1), timedelta(days=1), timedelta(days=6),
    )  # fmt: skip
    simulation.advance_clock(simulation.random.choice(steps))


OPERATION_WEIGHTS: dict[Operation, int] = {
    credits_.create_credit: 10,
    credits_.post_use: 16,
    credits_.reverse_uses: 10,
    credits_.adjust_credit: 6,
    credits_.void_credits: 1,
    credits_.expire_credits: 3,
    credits_.change_credit: 6,
    credits_.delete_credit: 1,
    credits_.edit_use: 2,
    credits_.renew_benefits: 2,
    bookings.create_booking: 5,
    sources.preview_items: 2,
    sources.spend_on_items: 8,
    sources.hold_items: 6,
    sources.confirm_hold: 4,
    sources.release_hold: 3,
    sources.expire_holds: 2,
    bookings.charge_booking: 8,
    bookings.cancel_booking: 2,
    bookings.recalculate_charge: 3,
    bookings.change_booking: 1,
    bookings.change_charged_booking: 3,
    bookings.delete_booking: 1,
    bookings.toggle_charge_invoiced: 1,
    advance_clock: 10,
}
FULL_COMPARISON_EVERY = 50
SEQUENCE_COUNTS = {SQLiteStore: 500, PostgreSQLStore: 200}
"""Sequences of 200 operations; on PostgreSQL an operation is some 15 statements."""
DEEP_SEQUENCE_COUNT = 5_000
"""Sequences of 500 operations."""
FIRST_DEEP_SEED = 10_000
"""Both tests may share a database, in which no two sequences may invent the same print job."""


async def run_sequence(
    ledger: LedgerBuilder,
    rates: dict[str, int],
    change_detector: ChangeDetector,
    seed: int,
    steps: int,
) -> None:
    """Runs one sequence; a failed assertion names the seed that repeats it."""
    simulation = Simulation(ledger, rates, change_detector, seed)
    move: Operation = advance_clock
    step = 0
    try:
        await simulation.start()
        for step in range(1, steps + 1):
            (move,) = simulation.random.choices(list(OPERATION_WEIGHTS), list(OPERATION_WEIGHTS.values()))
            await move(simulation)
            await simulation.compare_step()
            if step % FULL_COMPARISON_EVERY == 0:
                await simulation.compare_all()
        await close_accounts(simulation)
    except BaseException as fault:
        message = f"CREDITDESK_TEST_SEED={seed}, step {step}, {move.__name__}: {fault!r}"
        raise AssertionError(message) from fault


async def close_accounts(simulation: Simulation) -> None:
    """Releases every hold and voids every credit, so that nothing is left for the next sequence."""
    model, ledger = simulation.model, simulation.ledger
    for group in sorted({held.group for held in model.holds if held.state == "held"}):
        await simulation.transact(
            partial(release_hold, group=group, context=ledger.request_context(), ledger=ledger.context)
        )
        for held in model.hold_group(group):
            if held.state == "held":
                model.release(held, "released")
    left = [credit for credit in model.existing_credits() if credit.available]
    accounts = [credit.account for credit in left]
    await simulation.transact(lambda unit: void(unit, accounts, "closed", ledger.request_context(), ledger.context))
    for credit in left:
        model.post(credit, "void", credit.available)
    if simulation.contract:
        inactive = (simulation.contract, {"Active": False})
        await simulation.transact(lambda unit: unit.update(CoworkerContract, [inactive]))
    await simulation.compare_step()
    await simulation.compare_all()
    assert not any(credit.remaining for credit in model.existing_credits())


def seeds(count: int, first: int = 0) -> list[int]:
    """The seeds to run: all, or the one in CREDITDESK_TEST_SEED."""
    seed_setting = os.environ.get("CREDITDESK_TEST_SEED")
    return [int(seed_setting)] if seed_setting else list(range(first, first + count))


@pytest.mark.long
async def test_random_operation_sequences_match_model(fast_store: Store, change_detector: ChangeDetector) -> None:
    ledger = await LedgerBuilder.create(fast_store)
    rates = await create_rates(ledger)
    for seed in seeds(SEQUENCE_COUNTS[type(fast_store)]):
        await run_sequence(ledger, rates, change_detector, seed, 200)


@pytest.mark.deep
async def test_many_random_operation_sequences_match_model(fast_store: Store, change_detector: ChangeDetector) -> None:
    ledger = await LedgerBuilder.create(fast_store)
    rates = await create_rates(ledger)
    for seed in seeds(DEEP_SEQUENCE_COUNT, FIRST_DEEP_SEED):
        await run_sequence(ledger, rates, change_detector, seed, 500)
