"""What can happen to a credit by itself: granted, used by a post, given back, corrected, lapsed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    MONEY_MAPPING,
    TIME_MAPPING,
    CreditTypeMapping,
)
from creditdesk.ledger.operations.corrections import adjust, expire, reverse, void
from creditdesk.ledger.operations.renewals import run_renewals
from creditdesk.ledger.services import CreditService, UseService
from creditdesk.settings import ValidityInstant
from tests.ledger.town import MONEY_USE, TIME_USE, money, serialize_record
from tests.stateful.model import ModelCredit, ModelUse
from tests.stateful.simulation import Simulation

UNKNOWN_ID = 999_999_999
"""An Id that nothing has."""


def pick_credit(life: Simulation) -> ModelCredit | None:
    """Any credit, rarely one that was deleted."""
    found = list(life.model.credits.values())
    alive = life.model.existing_credits()
    return life.random.choice(alive if alive and life.random.random() < 0.98 else found or [None])


def pick_amount(life: Simulation, maximum: int) -> int:
    """Nothing, a part, exactly all, a step more than all, or below zero."""
    random = life.random
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


def pick_date(life: Simulation) -> datetime | None:
    if life.random.random() < 0.35:
        return None
    day = timedelta(days=life.random.choice((-1, 0, 1, 2, 5, 20)))
    return life.ledger.now + day + timedelta(microseconds=life.random.randint(0, 2))


async def create_credit(life: Simulation) -> None:
    """A create on the wire, or a record that came without a journal."""
    random, town = life.random, life.ledger
    side = random.choice((MONEY_MAPPING, MONEY_MAPPING, TIME_MAPPING))
    pays = (
        "money"
        if side is MONEY_MAPPING
        else random.choice(("minutes", "minutes", "uses", "prints"))
    )
    total = random.choice((0, 1, money("5.00"), money("40.00"), random.randint(1, 500_000)))
    if side is TIME_MAPPING:
        total = random.choice((0, 1, 45, 120, 600))
    starts, ends = (pick_date(life) if random.random() < 0.4 else None), pick_date(life)
    values: dict[str, Any] = {
        "CoworkerId": random.choice(life.coworker_ids), "BusinessId": town.business, side.total_field: total,
        "ValidFrom": starts, "ExpireDate": ends,
    }  # fmt: skip
    if side is MONEY_MAPPING:
        values |= {
            "CaneBeUsedForBookings": random.random() < 0.8,
            "IsUniversalCredit": random.random() < 0.4,
            "UseCreditPrice": random.random() < 0.3,
        }
    else:
        values["ExtraServiceId"] = life.rates[pays]
    credit = ModelCredit(
        side, 0, total, starts, ends, values.get("CaneBeUsedForBookings", False),
        values.get("IsUniversalCredit", False), values.get("UseCreditPrice", False), pays,
    )  # fmt: skip
    wrong_dates = starts is not None and ends is not None and ends <= starts
    if random.random() < 0.15 and not wrong_dates:
        credit.id = await town.add(side.credit_entity, **values, **{side.remaining_field: total})
        life.model.add(credit, journal=False)
        return
    record = {
        c.name: c.field.default_value for c in side.credit_entity.meta().stored_columns
    } | values
    writer = CreditService(town.context)
    made = await life.transact_expecting(
        lambda unit: writer.create(unit, side.credit_entity, record, town.request_context()),
        fails=wrong_dates,
    )
    if not wrong_dates:
        credit.id = made
        life.model.add(credit)


async def post_use(life: Simulation) -> None:
    """A use posted to a history: it looks at the amount alone."""
    credit = pick_credit(life)
    if credit is None:
        return
    random, town, books = life.random, life.ledger, life.model
    bookings = [b for b in books.bookings.values() if not b.was_allocated]
    booking = random.choice(bookings) if bookings and random.random() < 0.5 else None
    used: int | None
    values: dict[str, Any] = {credit.mapping.credit_reference: credit.id}
    if booking is not None:
        values["BookingId"] = booking.id
    if credit.mapping is MONEY_MAPPING:
        entity = MONEY_USE
        used = pick_amount(life, credit.available)
        values |= {"CreditUsed": used, "Description": "coffee"}
    else:
        entity = TIME_USE
        minutes = booking.minutes if booking else None
        used = minutes if credit.covers == "minutes" else 1
    by_start = (
        booking is not None and town.settings.validity_instant is ValidityInstant.SERVICE_START
    )
    at = booking.starts if by_start and booking else town.now
    strays = used is None or not credit.is_valid(at)
    refused = (
        credit.deleted
        or (booking is not None and booking.deleted)
        or not 0 <= (used or 0) <= credit.available
        or (town.settings.strict_posts and strays)
    )
    key = f"key {random.random()}" if random.random() < 0.3 else None
    spends, call = town.spends(), town.request_context(key)
    first: list[bytes] = []

    async def post(fingerprint: str = "print") -> None:
        response = await spends.post(entity, values, call, fingerprint, serialize_record)
        first.append(response.body)

    await life.expect(post, fails=refused)
    if refused:
        return
    answer = json.loads(first[0])
    if credit.mapping is MONEY_MAPPING:
        assert int(answer["CoworkerBookingCreditRemainingCredit"]) == credit.remaining
    books.add_use(credit, used, booking.id if booking else None)
    if key is not None:
        await life.expect(post, fails=False, changes=False)
        assert first[0] == first[1]
        await life.expect(lambda: post("another body"), fails=True)
    if booking is not None:
        # A decision is told from a post by its instant, and no clock gives one instant twice.
        life.advance_clock(timedelta(microseconds=1))


async def reverse_uses(life: Simulation) -> None:
    """Some of the rows of one history given back, in whole or in part, one of them perhaps twice."""
    random, town, books = life.random, life.ledger, life.model
    side = random.choice((MONEY_MAPPING, MONEY_MAPPING, TIME_MAPPING))
    numbers = [number for of, number in books.uses if of is side]
    if not numbers:
        return
    ids = random.choices(numbers, k=random.choice((1, 1, 1, 2, 3)))
    if random.random() < 0.05:
        ids.append(UNKNOWN_ID)
    rows = [books.uses.get((side, number)) for number in ids]
    asked = pick_amount(life, min((r.unreversed for r in rows if r), default=0))
    amount = None if random.random() < 0.5 else asked
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
    await life.transact_expecting(
        lambda unit: reverse(unit, side, ids, town.request_context(), town.context, amount=amount),
        fails=refused,
        changes=any(n for _, n in backs),
    )
    if not refused:
        await record_reversals(life, backs)


async def record_reversals(life: Simulation, backs: list[tuple[ModelUse, int]]) -> None:
    """Writes returns into the books, and the grants that grace made of what had lapsed."""
    books, grace = life.model, timedelta(days=life.ledger.settings.return_grace_days)
    made: dict[CreditTypeMapping, list[int]] = {}
    for row, amount in backs:
        if not amount:
            continue
        books.add_reversal(row, amount)
        credit = row.credit
        if not grace or not credit.is_expired(books.now):
            continue
        books.post(credit, "void", amount)
        if credit.mapping not in made:
            made[credit.mapping] = await life.new_credit_ids(credit.mapping)
        books.add(
            ModelCredit(
                credit.mapping, made[credit.mapping].pop(0), amount, credit.starts, books.now + grace,
                credit.for_bookings, credit.universal, credit.uses_credit_price, credit.covers,
            )
        )  # fmt: skip


async def adjust_credit(life: Simulation) -> None:
    credit = pick_credit(life)
    if credit is None:
        return
    random, town, books = life.random, life.ledger, life.model
    amount = pick_amount(life, credit.available) * random.choice((1, -1))
    early = random.random() * timedelta(days=9)
    effective = town.now - timedelta(seconds=int(early.total_seconds()))
    effective_on = effective if random.random() < 0.4 else None
    refused = credit.deleted or not amount or -amount > credit.available
    await life.transact_expecting(
        lambda unit: adjust(
            unit, credit.account, amount, "slip", town.request_context(), town.context, effective_on
        ),
        fails=refused,
    )
    if not refused:
        books.post(credit, "adjustment", amount, ModelUse(credit, 0), effective_on)


async def void_credits(life: Simulation) -> None:
    found = [credit for credit in (pick_credit(life), pick_credit(life)) if credit is not None]
    if not found:
        return
    town = life.ledger
    accounts = [credit.account for credit in found[: life.random.choice((1, 2))]]
    voided = [life.model.credits[account] for account in accounts]
    refused = any(credit.deleted for credit in voided)
    await life.transact_expecting(
        lambda unit: void(unit, accounts, "", town.request_context(), town.context),
        fails=refused,
        changes=any(credit.available for credit in voided),
    )
    if not refused:
        for credit in voided:
            if credit.available:
                life.model.post(credit, "void", credit.available)


async def expire_credits(life: Simulation) -> None:
    """Twice: the second sweep finds nothing."""
    books, town = life.model, life.ledger
    for side in MAPPINGS.values():
        due = [
            c for c in books.existing_credits()
            if c.mapping is side and c.is_expired(town.now) and c.available and c.expiry_posted != c.expires
        ]  # fmt: skip
        swept = await life.transact_expecting(
            lambda unit, side=side: expire(unit, side, town.request_context(), town.context),
            fails=False,
            changes=bool(due),
        )
        assert sorted(swept) == sorted(credit.account for credit in due)
        for credit in due:
            books.post(credit, "expiry", credit.available, effective=credit.expires)
            credit.expiry_posted = credit.expires


async def change_credit(life: Simulation) -> None:
    """A PUT that moves the expiry, the total, or both."""
    credit = pick_credit(life)
    if credit is None or credit.deleted:
        return
    random, town, books = life.random, life.ledger, life.model
    side, ends, total = credit.mapping, credit.expires, credit.total
    if random.random() < 0.7:
        ends = pick_date(life)
    if random.random() < 0.4:
        total += random.choice((-1, 1)) * pick_amount(life, credit.available)
    wrong_dates = credit.starts is not None and ends is not None and ends <= credit.starts
    refused = wrong_dates or total < 0 or total < credit.total - credit.available
    before = await town.get(side.credit_entity, credit.id)
    writer, values = CreditService(town.context), {"ExpireDate": ends, side.total_field: total}
    await life.transact_expecting(
        lambda unit: writer.update(
            unit, side.credit_entity, before, values, town.request_context()
        ),
        fails=refused,
    )
    if refused:
        return
    if total != credit.total:
        kind = "grant" if total > credit.total else "void"
        books.post(credit, kind, abs(total - credit.total))
    was_over = credit.is_expired(town.now)
    moved, credit.expires = credit.expires != ends, ends
    if not credit.is_expired(town.now):
        if was_over:
            books.post(credit, "reopening", credit.available)
        if moved:
            credit.expiry_posted = None


async def delete_credit(life: Simulation) -> None:
    credit = pick_credit(life)
    if credit is None or credit.deleted:
        return
    town, side = life.ledger, credit.mapping
    refused = len(credit.entries) > 1
    before = await town.get(side.credit_entity, credit.id)
    writer = CreditService(town.context)
    await life.transact_expecting(
        lambda unit: writer.delete(unit, side.credit_entity, before, town.request_context()),
        fails=refused,
    )
    if not refused:
        life.model.post(credit, "void", credit.total)
        credit.deleted = True


async def edit_use(life: Simulation) -> None:
    """The description of a money use may change, its amount may not."""
    rows = [row for (side, _), row in life.model.uses.items() if side is MONEY_MAPPING]
    if not rows:
        return
    row, town = life.random.choice(rows), life.ledger
    refused = life.random.random() < 0.3
    before = await town.get(MONEY_USE, row.id)
    said = before["Description"] + "!"
    values = {"CreditUsed": before["CreditUsed"] + 1} if refused else {"Description": said}
    writer = UseService(town.context)
    await life.transact_expecting(
        lambda unit: writer.update(unit, MONEY_USE, before, values, town.request_context()),
        fails=refused,
    )
    if not refused:
        life.model.post(row.credit, "adjustment", 0)


async def renew_benefits(life: Simulation) -> None:
    """What is due comes once, however often it is run."""
    town = life.ledger
    granted = await life.transact(
        lambda unit: run_renewals(unit, town.request_context(), town.context)
    )
    for due, credit_id in granted:
        starts = due.period.valid_from(due.clock.zone)
        ends = due.period.expires(due.clock.zone)
        periods = life.benefits.setdefault(due.benefit_name, [])
        assert not periods or periods[-1] == starts, "a period is missing or came twice"
        periods[:] = [ends]
        pays = "money" if due.side is MONEY_MAPPING else "minutes"
        life.model.add(
            ModelCredit(
                due.side,
                credit_id,
                due.amount,
                starts,
                ends,
                due.side is MONEY_MAPPING,
                covers=pays,
            )
        )
    await life.transact_expecting(
        lambda unit: run_renewals(unit, town.request_context(), town.context),
        fails=False,
        changes=False,
    )
