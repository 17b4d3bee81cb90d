"""Operations on a single credit: grant, use, reversal, adjustment, void, expiry."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    MONEY_MAPPING,
    TIME_MAPPING,
    CreditTypeMapping,
)
from creditdesk.ledger.operations.corrections import adjust, reverse, void
from creditdesk.ledger.operations.renewals import DueRenewal, run_renewals
from creditdesk.ledger.services import CreditService, UseService
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import WriteSession
from creditdesk.settings import ValidityInstant
from tests.stateful.model import ModelBooking, ModelCredit, ModelUse
from tests.stateful.simulation import Simulation
from tests.support.expiry import expire
from tests.support.ledger_builder import MONEY_USE, TIME_USE, LedgerBuilder, money, serialize_record

UNKNOWN_ID = 999_999_999
"""An id that no record has."""


def pick_credit(simulation: Simulation) -> ModelCredit | None:
    """A random credit, rarely a deleted one."""
    found = list(simulation.model.credits.values())
    alive = simulation.model.existing_credits()
    return simulation.random.choice(alive if alive and simulation.random.random() < 0.98 else found or [None])


def pick_amount(simulation: Simulation, maximum: int) -> int:
    """Zero, a part of `maximum`, exactly `maximum`, one step more, or a negative amount."""
    random = simulation.random
    chance = random.random()
    if chance < 0.08:
        return 0
    if chance < 0.2:
        return maximum
    if chance < 0.28:
        return maximum + 1
    if chance < 0.32:
        return -random.randint(1, 50)
    return random.randint(1, max(1, maximum // 2))


def pick_date(simulation: Simulation) -> datetime | None:
    if simulation.random.random() < 0.35:
        return None
    day = timedelta(days=simulation.random.choice((-1, 0, 1, 2, 5, 20)))
    return simulation.ledger.now + day + timedelta(microseconds=simulation.random.randint(0, 2))


async def create_credit(simulation: Simulation) -> None:
    """Creates a credit as the API does, or a record that an operator adopts (rule 38)."""
    random, ledger = simulation.random, simulation.ledger
    side = random.choice((MONEY_MAPPING, MONEY_MAPPING, TIME_MAPPING))
    pays = "money" if side is MONEY_MAPPING else random.choice(("minutes", "minutes", "uses", "prints"))
    total = random.choice((0, 1, money("5.00"), money("40.00"), random.randint(1, 500_000)))
    if side is TIME_MAPPING:
        total = random.choice((0, 1, 45, 120, 600))
    starts, ends = (pick_date(simulation) if random.random() < 0.4 else None), pick_date(simulation)
    values: dict[str, Any] = {
        "CoworkerId": random.choice(simulation.coworker_ids), "BusinessId": ledger.business, side.total_field: total,
        "ValidFrom": starts, "ExpireDate": ends,
    }  # fmt: skip
    if side is MONEY_MAPPING:
        values |= {
            "CaneBeUsedForBookings": random.random() < 0.8,
            "IsUniversalCredit": random.random() < 0.4,
            "UseCreditPrice": random.random() < 0.3,
        }
    else:
        values["ExtraServiceId"] = simulation.rates[pays]
    credit = ModelCredit(
        side, 0, total, starts, ends, values.get("CaneBeUsedForBookings", False),
        values.get("IsUniversalCredit", False), values.get("UseCreditPrice", False), pays,
    )  # fmt: skip
    wrong_dates = starts is not None and ends is not None and ends <= starts
    if random.random() < 0.15 and not wrong_dates:
        credit.id = await ledger.add_credit(side, **values, **{side.remaining_field: total})
        simulation.model.add(credit)
        return
    record = {c.name: c.field.default_value for c in side.credit_entity.meta().stored_columns} | values
    writer = CreditService(ledger.context)
    made = await simulation.transact_expecting(
        lambda unit: writer.create(unit, side.credit_entity, record, ledger.request_context()),
        fails=wrong_dates,
    )
    if not wrong_dates:
        credit.id = made
        simulation.model.add(credit)


async def post_use(simulation: Simulation) -> None:
    """Posts a use to a history; only the amount is checked."""
    credit = pick_credit(simulation)
    if credit is None:
        return
    random, ledger, model = simulation.random, simulation.ledger, simulation.model
    bookings = list(model.bookings.values())
    booking = random.choice(bookings) if bookings and random.random() < 0.5 else None
    used: int | None
    values: dict[str, Any] = {credit.mapping.credit_reference: credit.id}
    if booking is not None:
        values["BookingId"] = booking.id
    if credit.mapping is MONEY_MAPPING:
        entity: type[Entity] = MONEY_USE
        used = pick_amount(simulation, credit.available)
        values |= {"CreditUsed": used, "Description": "coffee"}
    else:
        entity = TIME_USE
        minutes = booking.minutes if booking else None
        used = minutes if credit.covers == "minutes" else 1
    refused = _refuses_use(simulation, credit, booking, used)
    key = f"key {random.random()}" if random.random() < 0.3 else None
    spends, call = ledger.spends(), ledger.request_context(key)
    first: list[bytes] = []

    async def post(fingerprint: str = "print") -> None:
        response = await spends.post(entity, values, call, fingerprint, serialize_record)
        first.append(response.body)

    if refused:
        await simulation.expect(post, fails=True)
        return
    await simulation.expect(post, fails=False)
    answer = json.loads(first[0])
    if credit.mapping is MONEY_MAPPING:
        assert int(answer["CoworkerBookingCreditRemainingCredit"]) == credit.remaining
    model.add_use(credit, used, booking.id if booking else None)
    if key is not None:
        await simulation.expect(post, fails=False, changes=False)
        assert first[0] == first[1]
        await simulation.expect(lambda: post("another body"), fails=True)


def _refuses_use(simulation: Simulation, credit: ModelCredit, booking: ModelBooking | None, used: int | None) -> bool:
    settings = simulation.ledger.settings
    by_start = booking is not None and settings.validity_instant is ValidityInstant.SERVICE_START
    at = booking.starts if by_start and booking else simulation.ledger.now
    out_of_window = used is None or not credit.is_valid(at)
    return (
        credit.deleted
        or (booking is not None and booking.deleted)
        or not 0 <= (used or 0) <= credit.available
        or (settings.strict_posts and out_of_window)
    )


async def reverse_uses(simulation: Simulation) -> None:
    """Reverses some uses of one history, in full or in part, one of them perhaps twice."""
    random, ledger, model = simulation.random, simulation.ledger, simulation.model
    side = random.choice((MONEY_MAPPING, MONEY_MAPPING, TIME_MAPPING))
    numbers = [number for of, number in model.uses if of is side]
    if not numbers:
        return
    ids = random.choices(numbers, k=random.choice((1, 1, 1, 2, 3)))
    if random.random() < 0.05:
        ids.append(UNKNOWN_ID)
    rows = [model.uses.get((side, number)) for number in ids]
    amount_requested = pick_amount(simulation, min((r.unreversed for r in rows if r), default=0))
    amount = None if random.random() < 0.5 else amount_requested
    backs: list[tuple[ModelUse, int]] = []
    refused = False
    for row in rows:
        if row is None or not row.is_use:
            refused = True
            break
        left = row.unreversed - sum(n for seen, n in backs if seen is row)
        if amount is not None and not 0 <= amount <= left:
            refused = True
            break
        backs.append((row, left if amount is None else amount))
    await simulation.transact_expecting(
        lambda unit: reverse(unit, side, ids, ledger.request_context(), ledger.context, amount=amount),
        fails=refused,
        changes=any(n for _, n in backs),
    )
    if not refused:
        await record_reversals(simulation, backs)


async def record_reversals(simulation: Simulation, backs: list[tuple[ModelUse, int]]) -> None:
    """Records reversals in the model, and the new credits that replace expired ones in the grace period."""
    model, grace = simulation.model, timedelta(days=simulation.ledger.settings.return_grace_days)
    made: dict[CreditTypeMapping, list[int]] = {}
    for row, amount in backs:
        if not amount:
            continue
        model.add_reversal(row, amount)
        credit = row.credit
        if not grace or not credit.is_expired(model.now):
            continue
        model.post(credit, "void", amount)
        if credit.mapping not in made:
            made[credit.mapping] = await simulation.new_credit_ids(credit.mapping)
        model.add(
            ModelCredit(
                credit.mapping, made[credit.mapping].pop(0), amount, credit.starts, model.now + grace,
                credit.for_bookings, credit.universal, credit.uses_credit_price, credit.covers,
            )
        )  # fmt: skip


async def adjust_credit(simulation: Simulation) -> None:
    credit = pick_credit(simulation)
    if credit is None:
        return
    random, ledger, model = simulation.random, simulation.ledger, simulation.model
    amount = pick_amount(simulation, credit.available) * random.choice((1, -1))
    early = random.random() * timedelta(days=9)
    effective = ledger.now - timedelta(seconds=int(early.total_seconds()))
    effective_on = effective if random.random() < 0.4 else None
    refused = credit.deleted or not amount or -amount > credit.available
    await simulation.transact_expecting(
        lambda unit: adjust(
            unit,
            credit.account,
            amount,
            "slip",
            ledger.request_context(),
            ledger.context,
            effective_on,
        ),
        fails=refused,
    )
    if not refused:
        model.post(credit, "adjustment", amount, ModelUse(credit, 0), effective_on)


async def void_credits(simulation: Simulation) -> None:
    found = [credit for credit in (pick_credit(simulation), pick_credit(simulation)) if credit is not None]
    if not found:
        return
    ledger = simulation.ledger
    accounts = [credit.account for credit in found[: simulation.random.choice((1, 2))]]
    voided = [simulation.model.credits[account] for account in accounts]
    refused = any(credit.deleted for credit in voided)
    await simulation.transact_expecting(
        lambda unit: void(unit, accounts, "", ledger.request_context(), ledger.context),
        fails=refused,
        changes=any(credit.available for credit in voided),
    )
    if not refused:
        for credit in voided:
            if credit.available:
                simulation.model.post(credit, "void", credit.available)


def _expire_all(mapping: CreditTypeMapping, ledger: LedgerBuilder) -> Callable[[WriteSession], Awaitable[Any]]:
    return lambda session: expire(session, mapping, ledger.request_context(), ledger.context)


async def expire_credits(simulation: Simulation) -> None:
    """Runs the expiry job for both types of credit."""
    model, ledger = simulation.model, simulation.ledger
    for side in MAPPINGS.values():
        found = [
            c for c in model.existing_credits()
            if c.mapping is side and c.is_expired(ledger.now) and c.remaining and c.expiry_posted != c.expires
        ]  # fmt: skip
        due = [c for c in found if c.available]
        swept = await simulation.transact_expecting(
            _expire_all(side, ledger),
            fails=False,
            changes=bool(due),
        )
        assert sorted(swept) == sorted(credit.account for credit in due)
        for credit in due:
            model.post(credit, "expiry", credit.available, effective=credit.expires)
            credit.expiry_posted = credit.expires


async def change_credit(simulation: Simulation) -> None:
    """A PUT that changes the expiry date, the total, or both."""
    credit = pick_credit(simulation)
    if credit is None or credit.deleted:
        return
    random, ledger, model = simulation.random, simulation.ledger, simulation.model
    side, ends, total = credit.mapping, credit.expires, credit.total
    if random.random() < 0.7:
        ends = pick_date(simulation)
    if random.random() < 0.4:
        total += random.choice((-1, 1)) * pick_amount(simulation, credit.available)
    wrong_dates = credit.starts is not None and ends is not None and ends <= credit.starts
    refused = wrong_dates or total < 0 or total < credit.total - credit.available
    before = await ledger.get(side.credit_entity, credit.id)
    writer, values = CreditService(ledger.context), {"ExpireDate": ends, side.total_field: total}
    await simulation.transact_expecting(
        lambda unit: writer.update(unit, side.credit_entity, before, values, ledger.request_context()),
        fails=refused,
    )
    if refused:
        return
    if ends != credit.expires:
        model.post(credit, "change", 0)
    if total != credit.total:
        kind = "grant" if total > credit.total else "void"
        model.post(credit, kind, abs(total - credit.total))
    was_over = credit.is_expired(ledger.now)
    moved, credit.expires = credit.expires != ends, ends
    if not credit.is_expired(ledger.now):
        if was_over:
            model.post(credit, "reopening", credit.available)
        if moved:
            credit.expiry_posted = None


async def delete_credit(simulation: Simulation) -> None:
    credit = pick_credit(simulation)
    if credit is None or credit.deleted:
        return
    ledger, side = simulation.ledger, credit.mapping
    refused = len(credit.entries) > 1
    before = await ledger.get(side.credit_entity, credit.id)
    writer = CreditService(ledger.context)
    await simulation.transact_expecting(
        lambda unit: writer.delete(unit, side.credit_entity, before, ledger.request_context()),
        fails=refused,
    )
    if not refused:
        simulation.model.post(credit, "void", credit.total)
        credit.deleted = True


async def edit_use(simulation: Simulation) -> None:
    """The description of a money use may change, its amount may not."""
    rows = [row for (side, _), row in simulation.model.uses.items() if side is MONEY_MAPPING]
    if not rows:
        return
    row, ledger = simulation.random.choice(rows), simulation.ledger
    refused = simulation.random.random() < 0.3
    before = await ledger.get(MONEY_USE, row.id)
    description = before["Description"] + "!"
    values = {"CreditUsed": before["CreditUsed"] + 1} if refused else {"Description": description}
    writer = UseService(ledger.context)
    await simulation.transact_expecting(
        lambda unit: writer.update(unit, MONEY_USE, before, values, ledger.request_context()),
        fails=refused,
    )
    if not refused:
        simulation.model.post(row.credit, "adjustment", 0)


async def renew_benefits(simulation: Simulation) -> None:
    """Runs the renewal job twice; the second run grants nothing."""
    ledger = simulation.ledger
    contract_ids = [contract["Id"] for contract in await ledger.find(CoworkerContract)]

    async def renew(unit: WriteSession) -> list[tuple[DueRenewal, int]]:
        return await run_renewals(unit, ledger.request_context(), ledger.context, contract_ids)

    granted = await simulation.transact(renew)
    for due, credit_id in granted:
        starts = due.period.valid_from(due.clock.zone)
        ends = due.period.expires(due.clock.zone)
        periods = simulation.benefits.setdefault(due.benefit.name, [])
        assert not periods or periods[-1] == starts, "a period is missing or came twice"
        periods[:] = [ends]
        pays = "money" if due.benefit.mapping is MONEY_MAPPING else "minutes"
        simulation.model.add(
            ModelCredit(
                due.benefit.mapping,
                credit_id,
                due.amount,
                starts,
                ends,
                due.benefit.mapping is MONEY_MAPPING,
                covers=pays,
            )
        )
    await simulation.transact_expecting(renew, fails=False, changes=False)
