"""Concurrent operations on one credit: rules 26 to 31."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from creditdesk.audit.balances import balance_differences
from creditdesk.audit.chain_verifier import verify_chain
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.actions import ledger_actions
from creditdesk.ledger.idempotency import SavedResponse
from creditdesk.ledger.journal.invariants import AccountBalances
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, entry_from_record
from creditdesk.ledger.operations.bookings import cancel_bookings, charge_bookings
from creditdesk.ledger.operations.corrections import reverse, void
from creditdesk.schema.errors import DomainError
from creditdesk.schema.params import Params
from tests.support.expiry import expire
from tests.support.ledger_builder import MONEY_USE, NOON, LedgerBuilder, money, serialize_record


async def verification_findings(ledger: LedgerBuilder, credit: int) -> list[str]:
    """The differences between a money credit, its journal, its hash chain and its history."""
    records = await ledger.journal_lines("money", credit)
    lines = [entry_from_record(record) for record in records]
    assert verify_chain(lines, [bytes.fromhex(record["Digest"]) for record in records]) == []
    whole = await ledger.get(CoworkerBookingCredit, credit)
    (state,) = await ledger.find(AccountState, CreditKind="money", CreditId=credit)
    rows = await ledger.find(MONEY_USE, CoworkerBookingCreditId=credit)
    stored = AccountBalances(whole["RemainingCredit"], state["Held"], whole["TotalCredit"], state["Sequence"])
    used = sum(row["CreditUsed"] for row in rows)
    return [found.message for found in balance_differences(MONEY_MAPPING, stored, lines, used, None)]


async def succeeds(work: Awaitable[object]) -> bool:
    try:
        await work
    except DomainError:
        return False
    return True


async def test_rule_30_concurrent_reversals_return_the_amount_once(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    use = int((await ledger.post_use(credit, "4.00"))["Id"])

    async def back() -> int:
        async with ledger.store.write_session() as session:
            (done,) = await reverse(session, MONEY_MAPPING, [use], ledger.request_context(), ledger.context)
            return done.amount

    done = await asyncio.gather(*(back() for _ in range(4)), return_exceptions=True)
    assert sum(amount for amount in done if isinstance(amount, int)) == money("4.00")
    assert await ledger.remaining_money(credit) == money("10.00")
    assert await verification_findings(ledger, credit) == []


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_rule_31_a_credit_locked_elsewhere_delays_only_its_own_spends(
    ledger: LedgerBuilder,
) -> None:
    held, free = await ledger.add_money_credit("10.00"), await ledger.add_money_credit("10.00")
    spends = ledger.spends()

    def use(credit: int) -> asyncio.Task[SavedResponse]:
        values = {"CoworkerBookingCreditId": credit, "CreditUsed": money("1.00")}
        return asyncio.create_task(spends.post(MONEY_USE, values, ledger.request_context(), "print", serialize_record))

    async with ledger.store.write_session() as session:
        await session.lock(CoworkerBookingCredit, [held])
        tasks = [use(credit) for credit in (free, held, free, held, free)]
        done, _ = await asyncio.wait(tasks, timeout=1)
        assert done == {tasks[0], tasks[2], tasks[4]}
        # Deferred requests are not deferred again, so later requests come after them.
        after = use(free)
        assert await asyncio.wait([after], timeout=0.3) == (set(), {after})
    answers = await asyncio.gather(*tasks, after)
    assert [answer.status for answer in answers] == [200] * 6
    assert await ledger.remaining_money(held) == money("8.00")
    assert await ledger.remaining_money(free) == money("6.00")
    for credit in (held, free):
        assert await verification_findings(ledger, credit) == []


async def test_rule_28_expiry_concurrent_with_spends_counts_no_credit_twice(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("10.00", ExpireDate=NOON)

    async def expire_all() -> None:
        async with ledger.store.write_session() as session:
            await expire(session, MONEY_MAPPING, ledger.request_context(), ledger.context)

    await asyncio.gather(
        *(succeeds(expire_all()) for _ in range(2)),
        *(succeeds(ledger.post_use(credit, "1.00")) for _ in range(4)),
    )
    assert await ledger.remaining_money(credit) == money("6.00")
    kinds = [line["Kind"] for line in await ledger.journal_lines("money", credit)]
    assert kinds.count("expiry") == 1
    assert await verification_findings(ledger, credit) == []


async def test_rule_24_concurrent_cancellations_cancel_once(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("100.00")
    booking = await ledger.add_booking(hours=2)
    async with ledger.store.write_session() as session:
        await charge_bookings(session, [booking], ledger.request_context(), ledger.context)

    async def cancel() -> None:
        async with ledger.store.write_session() as session:
            await cancel_bookings(session, [booking], ledger.request_context(), ledger.context)

    await asyncio.gather(succeeds(cancel()), succeeds(cancel()))
    assert await ledger.remaining_money(credit) == money("100.00")
    assert await verification_findings(ledger, credit) == []


async def test_rule_29_a_void_concurrent_with_spends_leaves_nothing(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")

    async def away() -> None:
        async with ledger.store.write_session() as session:
            await void(
                session,
                [(MONEY_MAPPING.account_type, credit)],
                "",
                ledger.request_context(),
                ledger.context,
            )

    await asyncio.gather(succeeds(away()), *(succeeds(ledger.post_use(credit, "3.00")) for _ in range(4)))
    assert await ledger.remaining_money(credit) in (0, money("1.00"))
    assert await verification_findings(ledger, credit) == []


async def test_rule_34_all_operations_together_verify(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("50.00", ExpireDate=NOON + timedelta(days=30))
    other = await ledger.add_money_credit("50.00")
    bookings = [await ledger.add_booking(hours=1, FromTime=NOON) for _ in range(3)]
    actions = ledger_actions(ledger.context)
    values = {"Amount": "2.00", "Reason": "goodwill", "Priority": 1}
    for entity, key, ids in (
        ("CoworkerBookingCredit", "SET_PRIORITY", [other]),
        ("Booking", "CHARGE_BOOKING", bookings),
        ("Booking", "CHARGE_BOOKING", bookings),
        ("Booking", "RECALCULATE_BOOKING", bookings[:1]),
        ("Booking", "CANCEL_BOOKING", bookings[1:2]),
        ("CoworkerBookingCredit", "ADJUST_CREDIT", [credit]),
        ("CoworkerBookingCredit", "VOID_CREDIT", [credit]),
    ):
        action = next(action for action in actions[entity] if action.key == key)
        params = Params(action.parameters, values)
        async with ledger.store.write_session() as session:
            await action.run(session, ids, params, ledger.request_context())
    await ledger.update_credit(other, TotalCredit=money("60.00"))
    for each in (credit, other):
        assert await verification_findings(ledger, each) == []
    assert await ledger.remaining_money(other) == money("30.00")
    assert await ledger.remaining_money(credit) == 0
