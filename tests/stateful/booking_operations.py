"""A booking from birth to end: charged, changed, decided again, cancelled, removed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from creditdesk.api.default_service import DefaultService
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.loaders.sources import ItemRequest
from creditdesk.ledger.operations.bookings import (
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.services import BookingService
from creditdesk.schema.repository import WriteSession
from tests.ledger.town import money
from tests.stateful import model as kept
from tests.stateful.credit_operations import record_reversals
from tests.stateful.item_operations import (
    check_allocation,
    pick_booking,
    record_released_holds,
    record_uses,
)
from tests.stateful.simulation import ODD_HOURLY_PRICE, Simulation

RATE = money("20.00")


async def create_booking(life: Simulation) -> None:
    random, town = life.random, life.ledger
    ahead = timedelta(hours=random.choice((-3, 1, 24, 24 * 8)))
    length = timedelta(minutes=random.choice((10, 15, 40, 60, 150)))
    starts = town.now + ahead
    priced = random.random() < 0.4
    tentative = random.random() < 0.1
    booking_id = await town.add_booking(
        FromTime=starts, ToTime=starts + length, Tentative=tentative,
        ExtraServiceId=life.rates["odd"] if priced else None,
    )  # fmt: skip
    hourly = ODD_HOURLY_PRICE if priced else RATE
    booking = kept.ModelBooking(booking_id, starts, starts + length, hourly, tentative)
    life.model.bookings[booking_id] = booking


async def charge_booking(life: Simulation) -> None:
    booking, town = pick_booking(life), life.ledger
    if booking is None:
        return
    idle = booking.charged or booking.deleted
    refused = booking.tentative and not idle
    done = await life.transact_expecting(
        lambda unit: charge_bookings(unit, [booking.id], town.request_context(), town.context),
        fails=refused,
        changes=not idle,
    )
    if not refused and not idle:
        await _record_charge(life, booking, done[0])


async def _record_charge(life: Simulation, booking: kept.ModelBooking, done: Any) -> None:
    record_released_holds(life, booking.id, "confirmed")
    check_allocation(life, [ItemRequest(SourceKind.BOOKING, booking.id)], done.allocation)
    record_uses(life, done.allocation)
    booking.charged, booking.charge = True, done.charge_id
    rest = done.allocation.sources[0].uncovered
    assert (done.charge_id is not None) == bool(rest)
    if done.charge_id is not None:
        assert (await life.ledger.get(CoworkerExtraService, done.charge_id))["Price"] == rest


async def toggle_charge_invoiced(life: Simulation) -> None:
    """The rest of a charged booking comes on an invoice, and perhaps off it again."""
    charged = [b for b in life.model.bookings.values() if b.charge]
    if not charged:
        return
    booking = life.random.choice(charged)
    booking.charge_invoiced = not booking.charge_invoiced
    change = (booking.charge or 0, {"Invoiced": booking.charge_invoiced})
    await life.transact(lambda unit: unit.update(CoworkerExtraService, [change]))


async def cancel_booking(life: Simulation) -> None:
    booking, town, books = pick_booking(life), life.ledger, life.model
    if booking is None:
        return
    done = await life.transact_expecting(
        lambda unit: cancel_bookings(unit, [booking.id], town.request_context(), town.context),
        fails=booking.charge_invoiced,
        changes=not booking.deleted,
    )
    if booking.charge_invoiced or booking.deleted:
        return
    backs = await _record_cancellation(life, booking)
    assert [each.amount for each in done[0].back] == [amount for _, amount in backs]
    assert done[0].removed == (not books.uses_for_booking(booking.id))
    booking.deleted = done[0].removed


async def recalculate_charge(life: Simulation) -> None:
    booking, town = pick_booking(life), life.ledger
    if booking is None or booking.deleted:
        return
    only_show = life.random.random() < 0.4
    refused = not booking.charged or (booking.charge_invoiced and not only_show)
    done = await life.transact_expecting(
        lambda unit: recalculate_booking(
            unit, booking.id, town.request_context(), town.context, dry_run=only_show
        ),
        fails=refused,
        changes=not only_show,
    )
    if not refused and not only_show:
        await _record_cancellation(life, booking)
        await _record_charge(life, booking, done.charged)


async def change_booking(life: Simulation) -> None:
    """A booking becomes shorter or longer; a charged one is decided again with it."""
    booking, town = pick_booking(life), life.ledger
    if booking is None or booking.deleted or booking.charged:
        return
    ends = booking.starts + timedelta(minutes=life.random.choice((15, 30, 75, 200)))
    before = await town.get(Booking, booking.id)
    writer = BookingService(town.context, DefaultService())
    await life.transact(
        lambda unit: writer.update(unit, Booking, before, {"ToTime": ends}, town.request_context())
    )
    booking.ends = ends


async def change_charged_booking(life: Simulation) -> None:
    """One transaction gives back and decides again; what it decided stands in the journal."""
    found = [b for b in life.model.bookings.values() if b.charged and not b.deleted]
    if not found:
        return
    booking, town = life.random.choice(found), life.ledger
    ends = booking.starts + timedelta(minutes=life.random.choice((15, 30, 75, 200)))
    before = await town.get(Booking, booking.id)
    again: list[Any] = []

    async def change(unit: WriteSession) -> None:
        # As the writer does it, and keeping what was decided.
        await DefaultService().update(
            unit, Booking, before, {"ToTime": ends}, town.request_context()
        )
        again.append(
            await recalculate_booking(unit, booking.id, town.request_context(), town.context)
        )

    await life.transact_expecting(change, fails=booking.charge_invoiced)
    if not booking.charge_invoiced:
        await _record_cancellation(life, booking)
        booking.ends = ends
        await _record_charge(life, booking, again[0].charged)


async def delete_booking(life: Simulation) -> None:
    booking, town = pick_booking(life), life.ledger
    if booking is None or booking.deleted:
        return
    refused = booking.charged or bool(life.model.uses_for_booking(booking.id))
    before = await town.get(Booking, booking.id)
    writer = BookingService(town.context, DefaultService())
    await life.transact_expecting(
        lambda unit: writer.delete(unit, Booking, before, town.request_context()), fails=refused
    )
    booking.deleted = not refused


async def _record_cancellation(
    life: Simulation, booking: kept.ModelBooking
) -> list[tuple[kept.ModelUse, int]]:
    """Every use that names the booking goes back: money first, the newest first."""
    named = [
        row for row in life.model.uses_for_booking(booking.id) if row.is_use and row.unreversed
    ]
    named.sort(key=lambda row: (row.credit.mapping is not MONEY_MAPPING, -row.id))
    backs = [(row, row.unreversed) for row in named]
    await record_reversals(life, backs)
    record_released_holds(life, booking.id, "released")
    booking.charged, booking.charge = False, None
    return backs
