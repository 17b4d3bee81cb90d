"""What happens when something is to be paid: spends, holds, and bookings from birth to end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.allocation import Allocation, SourceAllocation
from creditdesk.ledger.baskets import Basket, read_basket
from creditdesk.ledger.bookings import cancel_bookings, charge_bookings, recalculate_booking
from creditdesk.ledger.credit import SourceKind, WindowTest
from creditdesk.ledger.drawing import Drawing, held_for, lock_sources, preview, spend
from creditdesk.ledger.holds import confirm, hold, release, release_due
from creditdesk.ledger.records import MONEY, account_of
from creditdesk.ledger.sources import Asked, Whose
from creditdesk.ledger.writers import BookingWriter
from creditdesk.rest.plain import PlainWriter
from creditdesk.schema.store import Unit
from ledger_service.town import money
from stateful import books as kept
from stateful.credit_moves import NOBODYS, give_back
from stateful.life import HOURLY, Life

CENT = 100
RATE = money("20.00")


async def book(life: Life) -> None:
    random, town = life.random, life.town
    ahead = timedelta(hours=random.choice((-3, 1, 24, 24 * 8)))
    length = timedelta(minutes=random.choice((10, 15, 40, 60, 150)))
    starts = town.now + ahead
    priced = random.random() < 0.4
    tentative = random.random() < 0.1
    booking_id = await town.add_booking(
        FromTime=starts, ToTime=starts + length, Tentative=tentative,
        ExtraServiceId=life.rates["odd"] if priced else None,
    )  # fmt: skip
    hourly = HOURLY if priced else RATE
    booking = kept.Booking(booking_id, starts, starts + length, hourly, tentative)
    life.books.bookings[booking_id] = booking


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
                _release(life, each.id, "confirmed")
        check(life, asked, allocation)
        _take(life, allocation)
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
        lambda unit: confirm(unit, group, town.call(), town.desk), refused=refused, changes=bool(left)
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
        lambda unit: release(unit, group, town.call(), town.desk), refused=refused, changes=bool(left)
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


async def charge(life: Life) -> None:
    booking, town = a_booking(life), life.town
    if booking is None:
        return
    idle = booking.charged or booking.deleted
    refused = booking.tentative and not idle
    done = await life.call(
        lambda unit: charge_bookings(unit, [booking.id], town.call(), town.desk),
        refused=refused,
        changes=not idle,
    )
    if not refused and not idle:
        await _charged(life, booking, done[0])


async def _charged(life: Life, booking: kept.Booking, done: Any) -> None:
    _release(life, booking.id, "confirmed")
    check(life, [Asked(SourceKind.BOOKING, booking.id)], done.allocation)
    _take(life, done.allocation)
    booking.charged, booking.charge = True, done.charge_id
    rest = done.allocation.sources[0].uncovered
    assert (done.charge_id is not None) == bool(rest)
    if done.charge_id is not None:
        assert (await life.town.get(CoworkerExtraService, done.charge_id))["Price"] == rest


async def invoice_charge(life: Life) -> None:
    """The rest of a charged booking comes on an invoice, and perhaps off it again."""
    charged = [b for b in life.books.bookings.values() if b.charge]
    if not charged:
        return
    booking = life.random.choice(charged)
    booking.charge_invoiced = not booking.charge_invoiced
    change = (booking.charge or 0, {"Invoiced": booking.charge_invoiced})
    await life.write(lambda unit: unit.update(CoworkerExtraService, [change]))


async def cancel(life: Life) -> None:
    booking, town, books = a_booking(life), life.town, life.books
    if booking is None:
        return
    done = await life.call(
        lambda unit: cancel_bookings(unit, [booking.id], town.call(), town.desk),
        refused=booking.charge_invoiced,
        changes=not booking.deleted,
    )
    if booking.charge_invoiced or booking.deleted:
        return
    backs = await _revert(life, booking)
    assert [each.amount for each in done[0].back] == [amount for _, amount in backs]
    assert done[0].removed == (not books.naming(booking.id))
    booking.deleted = done[0].removed


async def recalculate(life: Life) -> None:
    booking, town = a_booking(life), life.town
    if booking is None or booking.deleted:
        return
    only_show = life.random.random() < 0.4
    refused = not booking.charged or (booking.charge_invoiced and not only_show)
    done = await life.call(
        lambda unit: recalculate_booking(
            unit, booking.id, town.call(), town.desk, only_show=only_show
        ),
        refused=refused,
        changes=not only_show,
    )
    if not refused and not only_show:
        await _revert(life, booking)
        await _charged(life, booking, done.charged)


async def change_booking(life: Life) -> None:
    """A booking becomes shorter or longer; a charged one is decided again with it."""
    booking, town = a_booking(life), life.town
    if booking is None or booking.deleted or booking.charged:
        return
    ends = booking.starts + timedelta(minutes=life.random.choice((15, 30, 75, 200)))
    before = await town.get(Booking, booking.id)
    writer = BookingWriter(town.desk, PlainWriter())
    await life.write(
        lambda unit: writer.update(unit, Booking, before, {"ToTime": ends}, town.call())
    )
    booking.ends = ends


async def change_charged_booking(life: Life) -> None:
    """One transaction gives back and decides again; what it decided stands in the journal."""
    found = [b for b in life.books.bookings.values() if b.charged and not b.deleted]
    if not found:
        return
    booking, town = life.random.choice(found), life.town
    ends = booking.starts + timedelta(minutes=life.random.choice((15, 30, 75, 200)))
    before = await town.get(Booking, booking.id)
    again: list[Any] = []

    async def change(unit: Unit) -> None:
        # As the writer does it, and keeping what was decided.
        await PlainWriter().update(unit, Booking, before, {"ToTime": ends}, town.call())
        again.append(await recalculate_booking(unit, booking.id, town.call(), town.desk))

    await life.call(change, refused=booking.charge_invoiced)
    if not booking.charge_invoiced:
        await _revert(life, booking)
        booking.ends = ends
        await _charged(life, booking, again[0].charged)


async def delete_booking(life: Life) -> None:
    booking, town = a_booking(life), life.town
    if booking is None or booking.deleted:
        return
    refused = booking.charged or bool(life.books.naming(booking.id))
    before = await town.get(Booking, booking.id)
    writer = BookingWriter(town.desk, PlainWriter())
    await life.call(
        lambda unit: writer.delete(unit, Booking, before, town.call()), refused=refused
    )
    booking.deleted = not refused


async def _revert(life: Life, booking: kept.Booking) -> list[tuple[kept.Row, int]]:
    """Every use that names the booking goes back: money first, the newest first."""
    named = [row for row in life.books.naming(booking.id) if row.is_use and row.left]
    named.sort(key=lambda row: (row.credit.side is not MONEY, -row.id))
    backs = [(row, row.left) for row in named]
    await give_back(life, backs)
    _release(life, booking.id, "released")
    booking.charged, booking.charge = False, None
    return backs


def _release(life: Life, booking: int, state: str) -> None:
    for held in life.books.held_for(booking):
        life.books.release(held, state)


async def _basket(life: Life, unit: Unit, asked: Sequence[Asked]) -> Basket:
    whose = Whose(life.town.customer, life.town.business)
    return await read_basket(unit, whose, asked, life.town.call())


def _take(life: Life, allocation: Allocation) -> None:
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
