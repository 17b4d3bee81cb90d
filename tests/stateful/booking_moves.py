"""A booking from birth to end: charged, changed, decided again, cancelled, removed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from creditdesk.api.default_service import PlainWriter
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import MONEY
from creditdesk.ledger.loaders.sources import Asked
from creditdesk.ledger.operations.bookings import (
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.services import BookingWriter
from creditdesk.schema.repository import Unit
from tests.ledger.town import money
from tests.stateful import books as kept
from tests.stateful.credit_moves import give_back
from tests.stateful.life import HOURLY, Life
from tests.stateful.source_moves import a_booking, check, release_holds, take

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
    release_holds(life, booking.id, "confirmed")
    check(life, [Asked(SourceKind.BOOKING, booking.id)], done.allocation)
    take(life, done.allocation)
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
    await life.call(lambda unit: writer.delete(unit, Booking, before, town.call()), refused=refused)
    booking.deleted = not refused


async def _revert(life: Life, booking: kept.Booking) -> list[tuple[kept.Row, int]]:
    """Every use that names the booking goes back: money first, the newest first."""
    named = [row for row in life.books.naming(booking.id) if row.is_use and row.left]
    named.sort(key=lambda row: (row.credit.side is not MONEY, -row.id))
    backs = [(row, row.left) for row in named]
    await give_back(life, backs)
    release_holds(life, booking.id, "released")
    booking.charged, booking.charge = False, None
    return backs
