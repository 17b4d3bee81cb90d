"""What happens when something is to be paid: spends and holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from creditdesk.ledger.journal.mapping import MONEY, account_of
from creditdesk.ledger.loaders.sources import Asked, Whose
from creditdesk.ledger.operations.baskets import Basket, read_basket
from creditdesk.ledger.operations.draw import Drawing, held_for, lock_sources, preview, spend
from creditdesk.ledger.operations.holds import confirm, hold, release, release_due
from creditdesk.ledger.rules.burn_down import Allocation, SourceAllocation
from creditdesk.ledger.rules.credit import SourceKind, WindowTest
from creditdesk.schema.repository import Unit
from tests.stateful import books as kept
from tests.stateful.credit_moves import NOBODYS
from tests.stateful.life import Life

CENT = 100


def a_booking(life: Life) -> kept.Booking | None:
    found = list(life.books.bookings.values())
    open_ones = [b for b in found if not b.deleted]
    return life.random.choice((open_ones if life.random.random() < 0.97 else found) or [None])


def _ask(life: Life) -> list[Asked]:
    """A booking, a charge or a print job, or two of them together."""
    asked = []
    for _ in range(life.random.choice((1, 1, 2))):
        booking = a_booking(life)
        if booking is not None and life.random.random() < 0.6:
            if all(each.id != booking.id for each in asked):
                asked.append(Asked(SourceKind.BOOKING, booking.id))
        elif life.random.random() < 0.7:
            amount = life.random.choice((0, CENT, life.random.randint(1, 2000) * CENT))
            asked.append(Asked(SourceKind.CHARGE, life.random.randint(1, 2**40), amount))
        else:
            units = life.random.randint(1, 60)
            number = life.random.randint(1, 2**40)
            asked.append(Asked(SourceKind.PRINT_JOB, number, print_units=units))
    return asked


def _missing(life: Life, asked: Sequence[Asked]) -> bool:
    bookings = life.books.bookings
    return any(each.kind is SourceKind.BOOKING and bookings[each.id].deleted for each in asked)


async def look(life: Life) -> None:
    """A preview changes nothing."""
    asked, town = _ask(life), life.town
    if not asked or _missing(life, asked):
        return

    async def show(unit: Unit) -> Allocation:
        return preview(await _basket(life, unit, asked), town.policy, town.now)

    check(life, asked, await life.call(show, refused=False, changes=False))


async def spend_on(life: Life) -> None:
    asked, town, books = _ask(life), life.town, life.books
    if not asked:
        return

    async def pay(unit: Unit) -> Allocation:
        await lock_sources(unit, asked)
        basket = await _basket(life, unit, asked)
        holds = [held for source in basket.sources for held in await held_for(unit, source.key)]
        shown = preview(basket, town.policy, town.now)
        drawing = Drawing(basket, town.call(), town.policy, holds)
        allocation, _ = await spend(unit, drawing, town.desk)
        if not holds:
            assert shown == allocation, "the preview is not the decision (rule 19)"
        return allocation

    refused = _missing(life, asked)
    allocation = await life.call(pay, refused=refused)
    if not refused:
        for each in asked:
            if each.kind is SourceKind.BOOKING:
                release_holds(life, each.id, "confirmed")
        check(life, asked, allocation)
        take(life, allocation)
        assert books.touched or not any(s.parts for s in allocation.sources)


async def hold_for(life: Life) -> None:
    asked, town = _ask(life), life.town
    if not asked:
        return
    until = town.now + timedelta(hours=life.random.choice((1, 30)))
    ends = until if life.random.random() < 0.5 else None

    async def keep(unit: Unit) -> Any:
        await lock_sources(unit, asked)
        basket = await _basket(life, unit, asked)
        return await hold(unit, basket, town.call(), town.desk, ends)

    refused = _missing(life, asked)
    held = await life.call(keep, refused=refused)
    if refused:
        return
    check(life, asked, held.allocation)
    for source in held.allocation.sources:
        of_booking = source.source.kind is SourceKind.BOOKING
        for part in source.parts:
            credit = life.books.credits[account_of(part.credit)]
            life.books.write(credit, "hold", part.taken)
            life.books.holds.append(
                kept.Held(
                    credit, part.taken, part.covered, source.source.id if of_booking else None,
                    held.group, ends,
                )
            )  # fmt: skip


def _a_group(life: Life) -> int:
    groups = sorted({held.group for held in life.books.holds})
    return life.random.choice(groups if groups and life.random.random() < 0.95 else [NOBODYS])


async def confirm_hold(life: Life) -> None:
    books, town, group = life.books, life.town, _a_group(life)
    holds = books.group(group)
    left = [h for h in holds if h.state == "held"]
    over = any(h.until is not None and h.until <= town.now for h in left)
    gone = any(h.booking and books.bookings[h.booking].deleted for h in left)
    refused = not holds or all(h.state == "released" for h in holds) or over or gone
    done = await life.call(
        lambda unit: confirm(unit, group, town.call(), town.desk),
        refused=refused,
        changes=bool(left),
    )
    if refused:
        return
    assert done == bool(left)
    for held in left:
        books.release(held, "confirmed")
    for held in left:
        row = books.use(held.credit, held.amount, held.booking)
        if held.booking:
            books.bookings[held.booking].paid.append((row, held.covered))


async def release_hold(life: Life) -> None:
    books, town, group = life.books, life.town, _a_group(life)
    holds = books.group(group)
    left = [h for h in holds if h.state == "held"]
    refused = not holds or all(h.state == "confirmed" for h in holds)
    done = await life.call(
        lambda unit: release(unit, group, town.call(), town.desk),
        refused=refused,
        changes=bool(left),
    )
    if refused:
        return
    assert done == bool(left)
    for held in left:
        books.release(held, "released")


async def time_out_holds(life: Life) -> None:
    books, town = life.books, life.town
    due = [h for h in books.holds if h.state == "held" and h.until and h.until <= town.now]
    groups = await life.call(
        lambda unit: release_due(unit, town.call(), town.desk), refused=False, changes=bool(due)
    )
    assert groups == sorted({held.group for held in due})
    for held in due:
        books.release(held, "released")


def release_holds(life: Life, booking: int, state: str) -> None:
    for held in life.books.held_for(booking):
        life.books.release(held, state)


async def _basket(life: Life, unit: Unit, asked: Sequence[Asked]) -> Basket:
    whose = Whose(life.town.customer, life.town.business)
    return await read_basket(unit, whose, asked, life.town.call())


def take(life: Life, allocation: Allocation) -> None:
    """Writes the uses that were decided into the books."""
    for source in allocation.sources:
        booking = source.source.id if source.source.kind is SourceKind.BOOKING else None
        for part in source.parts:
            credit = life.books.credits[account_of(part.credit)]
            row = life.books.use(credit, part.taken, booking)
            if booking is not None:
                life.books.bookings[booking].paid.append((row, part.covered))


def check(life: Life, asked: Sequence[Asked], allocation: Allocation) -> None:
    """Nobody pays who may not, nobody pays more than they have, and no credit is stranded."""
    books = life.books
    taken: dict[Any, int] = {}
    for each, source in zip(asked, allocation.sources, strict=True):
        if each.kind is SourceKind.BOOKING:
            books.bookings[each.id].decided = True
        assert source.price == _price(life, each), (each, source.price, _price(life, each))
        assert sum(part.covered for part in source.parts) + source.uncovered == source.price
        for part in source.parts:
            credit = books.credits[account_of(part.credit)]
            assert _may_pay(life, credit, each), (credit, each)
            assert part.taken > 0
            taken[credit.account] = taken.get(credit.account, 0) + part.taken
    for account, amount in taken.items():
        assert amount <= books.credits[account].available
    for each, source in zip(asked, allocation.sources, strict=True):
        _nothing_is_stranded(life, each, source, taken)


def _nothing_is_stranded(
    life: Life, asked: Asked, source: SourceAllocation, taken: dict[Any, int]
) -> None:
    if source.uncovered < CENT:
        return
    for credit in life.books.alive():
        if credit.side is MONEY and not credit.at_credit_price and _may_pay(life, credit, asked):
            left = credit.available - taken.get(credit.account, 0)
            assert left < CENT, f"{credit.account} has {left} left, {source} is not covered"


def _price(life: Life, asked: Asked) -> int:
    if asked.kind is SourceKind.BOOKING:
        booking = life.books.bookings[asked.id]
        return max(0, booking.price - booking.covered)
    return asked.print_units * CENT if asked.amount is None else asked.amount


def _may_pay(life: Life, credit: kept.Credit, asked: Asked) -> bool:
    booking = life.books.bookings.get(asked.id) if asked.kind is SourceKind.BOOKING else None
    if booking is None:
        fits = credit.universal or (asked.kind is SourceKind.PRINT_JOB and credit.pays == "prints")
        return fits and credit.valid(life.town.now)
    by_start = life.town.policy.window_test is WindowTest.SERVICE_START
    fits = credit.for_bookings if credit.side is MONEY else credit.pays == "minutes"
    at = booking.starts if by_start else life.town.now
    return fits and not booking.tentative and credit.valid(at)
