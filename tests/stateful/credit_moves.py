"""What can happen to a credit by itself: granted, used by a post, given back, corrected, lapsed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from creditdesk.ledger.journal.mapping import MONEY, SIDES, TIME, Side
from creditdesk.ledger.operations.corrections import adjust, expire, reverse, void
from creditdesk.ledger.operations.renewals import run_renewals
from creditdesk.ledger.rules.credit import WindowTest
from creditdesk.ledger.services import CreditWriter, UseWriter
from tests.ledger.town import MONEY_USE, TIME_USE, money, shown
from tests.stateful.books import Credit, Row
from tests.stateful.life import Life

NOBODYS = 999_999_999
"""An Id that nothing has."""


def a_credit(life: Life) -> Credit | None:
    """Any credit, rarely one that was deleted."""
    found = list(life.books.credits.values())
    alive = life.books.alive()
    return life.random.choice(alive if alive and life.random.random() < 0.98 else found or [None])


def an_amount(life: Life, most: int) -> int:
    """Nothing, a part, exactly all, a step more than all, or below zero."""
    random = life.random
    chance = random.random()
    if chance < 0.08:
        return 0
    if chance < 0.2:
        return most
    if chance < 0.28:
        return most + 1
    if chance < 0.32:
        return -random.randint(1, 50)
    return random.randint(1, max(1, most // 2))


def a_date(life: Life) -> datetime | None:
    if life.random.random() < 0.35:
        return None
    day = timedelta(days=life.random.choice((-1, 0, 1, 2, 5, 20)))
    return life.town.now + day + timedelta(microseconds=life.random.randint(0, 2))


async def grant(life: Life) -> None:
    """A create on the wire, or a record that came without a journal."""
    random, town = life.random, life.town
    side = random.choice((MONEY, MONEY, TIME))
    pays = "money" if side is MONEY else random.choice(("minutes", "minutes", "uses", "prints"))
    total = random.choice((0, 1, money("5.00"), money("40.00"), random.randint(1, 500_000)))
    if side is TIME:
        total = random.choice((0, 1, 45, 120, 600))
    starts, ends = (a_date(life) if random.random() < 0.4 else None), a_date(life)
    values: dict[str, Any] = {
        "CoworkerId": random.choice(life.people), "BusinessId": town.business, side.total: total,
        "ValidFrom": starts, "ExpireDate": ends,
    }  # fmt: skip
    if side is MONEY:
        values |= {
            "CaneBeUsedForBookings": random.random() < 0.8,
            "IsUniversalCredit": random.random() < 0.4,
            "UseCreditPrice": random.random() < 0.3,
        }
    else:
        values["ExtraServiceId"] = life.rates[pays]
    credit = Credit(
        side, 0, total, starts, ends, values.get("CaneBeUsedForBookings", False),
        values.get("IsUniversalCredit", False), values.get("UseCreditPrice", False), pays,
    )  # fmt: skip
    wrong_dates = starts is not None and ends is not None and ends <= starts
    if random.random() < 0.15 and not wrong_dates:
        credit.id = await town.add(side.credit, **values, **{side.remaining: total})
        life.books.add(credit, journal=False)
        return
    record = {c.name: c.kind.empty for c in side.credit.shape().stored} | values
    writer = CreditWriter(town.desk)
    made = await life.call(
        lambda unit: writer.create(unit, side.credit, record, town.call()), refused=wrong_dates
    )
    if not wrong_dates:
        credit.id = made
        life.books.add(credit)


async def post_use(life: Life) -> None:
    """A use posted to a history: it looks at the amount alone."""
    credit = a_credit(life)
    if credit is None:
        return
    random, town, books = life.random, life.town, life.books
    bookings = [b for b in books.bookings.values() if not b.decided]
    booking = random.choice(bookings) if bookings and random.random() < 0.5 else None
    used: int | None
    values: dict[str, Any] = {credit.side.reference: credit.id}
    if booking is not None:
        values["BookingId"] = booking.id
    if credit.side is MONEY:
        entity = MONEY_USE
        used = an_amount(life, credit.available)
        values |= {"CreditUsed": used, "Description": "coffee"}
    else:
        entity = TIME_USE
        minutes = booking.minutes if booking else None
        used = minutes if credit.pays == "minutes" else 1
    by_start = booking is not None and town.policy.window_test is WindowTest.SERVICE_START
    at = booking.starts if by_start and booking else town.now
    strays = used is None or not credit.valid(at)
    refused = (
        credit.deleted
        or (booking is not None and booking.deleted)
        or not 0 <= (used or 0) <= credit.available
        or (town.policy.strict_posts and strays)
    )
    key = f"key {random.random()}" if random.random() < 0.3 else None
    spends, call = town.spends(), town.call(key)
    first: list[bytes] = []

    async def post(fingerprint: str = "print") -> None:
        _, body = await spends.post(entity, values, call, fingerprint, shown)
        first.append(body)

    await life.expect(post, refused=refused)
    if refused:
        return
    answer = json.loads(first[0])
    if credit.side is MONEY:
        assert int(answer["CoworkerBookingCreditRemainingCredit"]) == credit.remaining
    books.use(credit, used, booking.id if booking else None)
    if key is not None:
        await life.expect(post, refused=False, changes=False)
        assert first[0] == first[1]
        await life.expect(lambda: post("another body"), refused=True)
    if booking is not None:
        # A decision is told from a post by its instant, and no clock gives one instant twice.
        life.pass_time(timedelta(microseconds=1))


async def reverse_uses(life: Life) -> None:
    """Some of the rows of one history given back, in whole or in part, one of them perhaps twice."""
    random, town, books = life.random, life.town, life.books
    side = random.choice((MONEY, MONEY, TIME))
    numbers = [number for of, number in books.rows if of is side]
    if not numbers:
        return
    ids = random.choices(numbers, k=random.choice((1, 1, 1, 2, 3)))
    if random.random() < 0.05:
        ids.append(NOBODYS)
    rows = [books.rows.get((side, number)) for number in ids]
    asked = an_amount(life, min((r.left for r in rows if r), default=0))
    amount = None if random.random() < 0.5 else asked
    backs: list[tuple[Row, int]] = []
    refused = False
    for row in rows:
        if row is None or not row.is_use:
            refused = True
            break
        left = row.left - sum(n for seen, n in backs if seen is row)
        if amount is not None and not 0 <= amount <= left:
            refused = True
            break
        backs.append((row, left if amount is None else amount))
    await life.call(
        lambda unit: reverse(unit, side, ids, town.call(), town.desk, amount=amount),
        refused=refused,
        changes=any(n for _, n in backs),
    )
    if not refused:
        await give_back(life, backs)


async def give_back(life: Life, backs: list[tuple[Row, int]]) -> None:
    """Writes returns into the books, and the grants that grace made of what had lapsed."""
    books, grace = life.books, timedelta(days=life.town.policy.return_grace_days)
    made: dict[Side, list[int]] = {}
    for row, amount in backs:
        if not amount:
            continue
        books.give_back(row, amount)
        credit = row.credit
        if not grace or not credit.lapsed(books.now):
            continue
        books.write(credit, "void", amount)
        if credit.side not in made:
            made[credit.side] = await life.reissued(credit.side)
        books.add(
            Credit(
                credit.side, made[credit.side].pop(0), amount, credit.starts, books.now + grace,
                credit.for_bookings, credit.universal, credit.at_credit_price, credit.pays,
            )
        )  # fmt: skip


async def adjust_credit(life: Life) -> None:
    credit = a_credit(life)
    if credit is None:
        return
    random, town, books = life.random, life.town, life.books
    amount = an_amount(life, credit.available) * random.choice((1, -1))
    early = random.random() * timedelta(days=9)
    effective = town.now - timedelta(seconds=int(early.total_seconds()))
    effective_on = effective if random.random() < 0.4 else None
    refused = credit.deleted or not amount or -amount > credit.available
    await life.call(
        lambda unit: adjust(
            unit, credit.account, amount, "slip", town.call(), town.desk, effective_on
        ),
        refused=refused,
    )
    if not refused:
        books.write(credit, "adjustment", amount, Row(credit, 0), effective_on)


async def void_credits(life: Life) -> None:
    found = [credit for credit in (a_credit(life), a_credit(life)) if credit is not None]
    if not found:
        return
    town = life.town
    accounts = [credit.account for credit in found[: life.random.choice((1, 2))]]
    voided = [life.books.credits[account] for account in accounts]
    refused = any(credit.deleted for credit in voided)
    await life.call(
        lambda unit: void(unit, accounts, "", town.call(), town.desk),
        refused=refused,
        changes=any(credit.available for credit in voided),
    )
    if not refused:
        for credit in voided:
            if credit.available:
                life.books.write(credit, "void", credit.available)


async def sweep_expired(life: Life) -> None:
    """Twice: the second sweep finds nothing."""
    books, town = life.books, life.town
    for side in SIDES.values():
        due = [
            c for c in books.alive()
            if c.side is side and c.lapsed(town.now) and c.available and c.swept != c.expires
        ]  # fmt: skip
        swept = await life.call(
            lambda unit, side=side: expire(unit, side, town.call(), town.desk),
            refused=False,
            changes=bool(due),
        )
        assert sorted(swept) == sorted(credit.account for credit in due)
        for credit in due:
            books.write(credit, "expiry", credit.available, effective=credit.expires)
            credit.swept = credit.expires


async def change_credit(life: Life) -> None:
    """A PUT that moves the expiry, the total, or both."""
    credit = a_credit(life)
    if credit is None or credit.deleted:
        return
    random, town, books = life.random, life.town, life.books
    side, ends, total = credit.side, credit.expires, credit.total
    if random.random() < 0.7:
        ends = a_date(life)
    if random.random() < 0.4:
        total += random.choice((-1, 1)) * an_amount(life, credit.available)
    wrong_dates = credit.starts is not None and ends is not None and ends <= credit.starts
    refused = wrong_dates or total < 0 or total < credit.total - credit.available
    before = await town.get(side.credit, credit.id)
    writer, values = CreditWriter(town.desk), {"ExpireDate": ends, side.total: total}
    await life.call(
        lambda unit: writer.update(unit, side.credit, before, values, town.call()), refused=refused
    )
    if refused:
        return
    if total != credit.total:
        kind = "grant" if total > credit.total else "void"
        books.write(credit, kind, abs(total - credit.total))
    was_over = credit.lapsed(town.now)
    moved, credit.expires = credit.expires != ends, ends
    if not credit.lapsed(town.now):
        if was_over:
            books.write(credit, "reopening", credit.available)
        if moved:
            credit.swept = None


async def delete_credit(life: Life) -> None:
    credit = a_credit(life)
    if credit is None or credit.deleted:
        return
    town, side = life.town, credit.side
    refused = len(credit.lines) > 1
    before = await town.get(side.credit, credit.id)
    writer = CreditWriter(town.desk)
    await life.call(
        lambda unit: writer.delete(unit, side.credit, before, town.call()), refused=refused
    )
    if not refused:
        life.books.write(credit, "void", credit.total)
        credit.deleted = True


async def edit_use(life: Life) -> None:
    """The description of a money use may change, its amount may not."""
    rows = [row for (side, _), row in life.books.rows.items() if side is MONEY]
    if not rows:
        return
    row, town = life.random.choice(rows), life.town
    refused = life.random.random() < 0.3
    before = await town.get(MONEY_USE, row.id)
    said = before["Description"] + "!"
    values = {"CreditUsed": before["CreditUsed"] + 1} if refused else {"Description": said}
    writer = UseWriter(town.desk)
    await life.call(
        lambda unit: writer.update(unit, MONEY_USE, before, values, town.call()), refused=refused
    )
    if not refused:
        life.books.write(row.credit, "adjustment", 0)


async def renew(life: Life) -> None:
    """What is due comes once, however often it is run."""
    town = life.town
    granted = await life.write(lambda unit: run_renewals(unit, town.call(), town.desk))
    for due, credit_id in granted:
        starts = due.period.valid_from(due.clock.zone)
        ends = due.period.expires(due.clock.zone)
        periods = life.benefits.setdefault(due.benefit_name, [])
        assert not periods or periods[-1] == starts, "a period is missing or came twice"
        periods[:] = [ends]
        pays = "money" if due.side is MONEY else "minutes"
        life.books.add(
            Credit(due.side, credit_id, due.amount, starts, ends, due.side is MONEY, pays=pays)
        )
    await life.call(
        lambda unit: run_renewals(unit, town.call(), town.desk), refused=False, changes=False
    )
