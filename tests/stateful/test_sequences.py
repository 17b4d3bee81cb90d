"""Any order of operations keeps every rule: random lives in a real store, beside plain books.

`CREDITDESK_SEED=n` lives that one life again.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.ledger.operations.corrections import void
from creditdesk.ledger.operations.holds import release
from creditdesk.schema.repository import Store
from creditdesk.storage.postgresql import PostgreSQLStore
from creditdesk.storage.sqlite import SQLiteStore
from tests.ledger.town import Town
from tests.stateful import booking_moves as bookings
from tests.stateful import credit_moves as credits_
from tests.stateful import source_moves as sources
from tests.stateful.life import Life, set_rates
from tests.stateful.traces import Traces

Move = Callable[[Life], Awaitable[None]]


async def pass_time(life: Life) -> None:
    steps = (
        timedelta(microseconds=1), timedelta(seconds=1, microseconds=7), timedelta(hours=1),
        timedelta(days=1), timedelta(days=1), timedelta(days=6),
    )  # fmt: skip
    life.pass_time(life.random.choice(steps))


MOVES: dict[Move, int] = {
    credits_.grant: 10,
    credits_.post_use: 16,
    credits_.reverse_uses: 10,
    credits_.adjust_credit: 6,
    credits_.void_credits: 1,
    credits_.sweep_expired: 3,
    credits_.change_credit: 6,
    credits_.delete_credit: 1,
    credits_.edit_use: 2,
    credits_.renew: 2,
    bookings.book: 5,
    sources.look: 2,
    sources.spend_on: 8,
    sources.hold_for: 6,
    sources.confirm_hold: 4,
    sources.release_hold: 3,
    sources.time_out_holds: 2,
    bookings.charge: 8,
    bookings.cancel: 2,
    bookings.recalculate: 3,
    bookings.change_booking: 1,
    bookings.change_charged_booking: 3,
    bookings.delete_booking: 1,
    bookings.invoice_charge: 1,
    pass_time: 10,
}
AUDIT_EVERY = 50
SEQUENCES = {SQLiteStore: 500, PostgreSQLStore: 200}
"""Of 200 steps; on PostgreSQL a step is some 15 statements, and 500 take as long as all else."""
MANY_SEQUENCES = 5_000
"""Of 500 steps."""
FIRST_OF_MANY = 10_000
"""Both tests may run in one database, where no two lives may make up the same print job."""


async def live(town: Town, rates: dict[str, int], traces: Traces, seed: int, steps: int) -> None:
    """One life; an assertion that fails says how to live it again."""
    life = Life(town, rates, traces, seed)
    move: Move = pass_time
    step = 0
    try:
        await life.begin()
        for step in range(1, steps + 1):
            (move,) = life.random.choices(list(MOVES), list(MOVES.values()))
            await move(life)
            await life.compare()
            if step % AUDIT_EVERY == 0:
                await life.audit()
        await end(life)
    except BaseException as fault:
        told = f"CREDITDESK_SEED={seed}, step {step}, {move.__name__}: {fault!r}"
        raise AssertionError(told) from fault


async def end(life: Life) -> None:
    """Everything is let go and voided, so that nothing of this life is left for the next."""
    books, town = life.books, life.town
    for group in sorted({held.group for held in books.holds if held.state == "held"}):
        await life.write(lambda unit, group=group: release(unit, group, town.call(), town.desk))
        for held in books.group(group):
            if held.state == "held":
                books.release(held, "released")
    left = [credit for credit in books.alive() if credit.available]
    accounts = [credit.account for credit in left]
    await life.write(lambda unit: void(unit, accounts, "closed", town.call(), town.desk))
    for credit in left:
        books.write(credit, "void", credit.available)
    if life.contract:
        inactive = (life.contract, {"Active": False})
        await life.write(lambda unit: unit.update(CoworkerContract, [inactive]))
    await life.compare()
    await life.audit()
    assert not any(credit.remaining for credit in books.alive())


def seeds(count: int, first: int = 0) -> list[int]:
    """Which lives to live: all of them, or the one that is asked for."""
    asked = os.environ.get("CREDITDESK_SEED")
    return [int(asked)] if asked else list(range(first, first + count))


@pytest.mark.long
async def test_any_order_of_operations_keeps_every_rule(quick_store: Store, traces: Traces) -> None:
    town = await Town.founded(quick_store)
    rates = await set_rates(town)
    for seed in seeds(SEQUENCES[type(quick_store)]):
        await live(town, rates, traces, seed, 200)


@pytest.mark.deep
async def test_any_order_of_operations_keeps_every_rule_for_long(
    quick_store: Store, traces: Traces
) -> None:
    town = await Town.founded(quick_store)
    rates = await set_rates(town)
    for seed in seeds(MANY_SEQUENCES, FIRST_OF_MANY):
        await live(town, rates, traces, seed, 500)
