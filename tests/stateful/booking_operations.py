"""Operations on a booking: create, charge, change, recalculate, cancel, delete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from creditdesk.api.default_service import DefaultService
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, AccountKey
from creditdesk.ledger.loaders.items import ItemRequest
from creditdesk.ledger.operations.bookings import (
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.services import BookingService
from creditdesk.schema.repository import WriteSession
from tests.stateful import model as models
from tests.stateful.credit_operations import record_reversals
from tests.stateful.item_operations import (
    check_allocation,
    pick_booking,
    record_released_holds,
    record_uses,
)
from tests.stateful.simulation import ODD_HOURLY_PRICE, Simulation
from tests.support.ledger_builder import money

RATE = money("20.00")


async def create_booking(simulation: Simulation) -> None:
    random, ledger = simulation.random, simulation.ledger
    ahead = timedelta(hours=random.choice((-3, 1, 24, 24 * 8)))
    length = timedelta(minutes=random.choice((10, 15, 40, 60, 150)))
    starts = ledger.now + ahead
    priced = random.random() < 0.4
    tentative = random.random() < 0.1
    booking_id = await ledger.add_booking(
        FromTime=starts, ToTime=starts + length, Tentative=tentative,
        ExtraServiceId=simulation.rates["odd"] if priced else None,
    )  # fmt: skip
    hourly = ODD_HOURLY_PRICE if priced else RATE
    booking = models.ModelBooking(booking_id, starts, starts + length, hourly, tentative)
    simulation.model.bookings[booking_id] = booking


async def charge_booking(simulation: Simulation) -> None:
    booking, ledger = pick_booking(simulation), simulation.ledger
    if booking is None:
        return
    idle = booking.charged or booking.deleted
    refused = booking.tentative and not idle
    done = await simulation.transact_expecting(
        lambda unit: charge_bookings(unit, [booking.id], ledger.request_context(), ledger.context),
        fails=refused,
        changes=not idle,
    )
    if not refused and not idle:
        await _record_charge(simulation, booking, done[0])


def _sum_by_account(backs: list[tuple[models.ModelUse, int]]) -> dict[AccountKey, int]:
    sums: dict[AccountKey, int] = {}
    for row, amount in backs:
        sums[row.credit.account] = sums.get(row.credit.account, 0) + amount
    return sums


async def _record_charge(
    simulation: Simulation,
    booking: models.ModelBooking,
    done: Any,
    kept: Mapping[AccountKey, int] = MappingProxyType({}),
) -> None:
    record_released_holds(simulation, booking.id, "confirmed")
    check_allocation(simulation, [ItemRequest(SourceKind.BOOKING, booking.id)], done.allocation, kept)
    record_uses(simulation, done.allocation)
    booking.charged, booking.charge = True, done.charge_id
    rest = done.allocation.sources[0].uncovered
    assert (done.charge_id is not None) == bool(rest)
    if done.charge_id is not None:
        assert (await simulation.ledger.get(CoworkerExtraService, done.charge_id))["Price"] == rest


async def toggle_charge_invoiced(simulation: Simulation) -> None:
    """Puts the charge of a booking on an invoice, or takes it off again."""
    charged = [b for b in simulation.model.bookings.values() if b.charge]
    if not charged:
        return
    booking = simulation.random.choice(charged)
    booking.charge_invoiced = not booking.charge_invoiced
    change = (booking.charge or 0, {"Invoiced": booking.charge_invoiced})
    await simulation.transact(lambda unit: unit.update(CoworkerExtraService, [change]))


async def cancel_booking(simulation: Simulation) -> None:
    booking, ledger, model = pick_booking(simulation), simulation.ledger, simulation.model
    if booking is None:
        return
    done = await simulation.transact_expecting(
        lambda unit: cancel_bookings(unit, [booking.id], ledger.request_context(), ledger.context),
        fails=booking.charge_invoiced,
        changes=not booking.deleted,
    )
    if booking.charge_invoiced or booking.deleted:
        return
    backs = await _record_cancellation(simulation, booking)
    assert [each.amount for each in done[0].reversals] == [amount for _, amount in backs]
    assert done[0].removed == (not model.uses_for_booking(booking.id))
    booking.deleted = done[0].removed


async def recalculate_charge(simulation: Simulation) -> None:
    booking, ledger = pick_booking(simulation), simulation.ledger
    if booking is None or booking.deleted:
        return
    only_show = simulation.random.random() < 0.4
    refused = not booking.charged or (booking.charge_invoiced and not only_show)
    done = await simulation.transact_expecting(
        lambda unit: recalculate_booking(unit, booking.id, ledger.request_context(), ledger.context, dry_run=only_show),
        fails=refused,
        changes=not only_show,
    )
    if not refused and not only_show:
        kept = _sum_by_account(await _record_cancellation(simulation, booking))
        await _record_charge(simulation, booking, done.charged, kept)


async def change_booking(simulation: Simulation) -> None:
    """Changes the end of a booking that was not charged."""
    booking, ledger = pick_booking(simulation), simulation.ledger
    if booking is None or booking.deleted or booking.charged:
        return
    ends = booking.starts + timedelta(minutes=simulation.random.choice((15, 30, 75, 200)))
    before = await ledger.get(Booking, booking.id)
    writer = BookingService(ledger.context, DefaultService())
    await simulation.transact(
        lambda unit: writer.update(unit, Booking, before, {"ToTime": ends}, ledger.request_context())
    )
    booking.ends = ends


async def change_charged_booking(simulation: Simulation) -> None:
    """Changes the end of a charged booking, which reverses and recalculates its charge."""
    found = [b for b in simulation.model.bookings.values() if b.charged and not b.deleted]
    if not found:
        return
    booking, ledger = simulation.random.choice(found), simulation.ledger
    ends = booking.starts + timedelta(minutes=simulation.random.choice((15, 30, 75, 200)))
    before = await ledger.get(Booking, booking.id)
    again: list[Any] = []

    async def change(unit: WriteSession) -> None:
        # The same steps as the service takes, to see the new charge.
        await DefaultService().update(unit, Booking, before, {"ToTime": ends}, ledger.request_context())
        again.append(await recalculate_booking(unit, booking.id, ledger.request_context(), ledger.context))

    await simulation.transact_expecting(change, fails=booking.charge_invoiced)
    if not booking.charge_invoiced:
        kept = _sum_by_account(await _record_cancellation(simulation, booking))
        booking.ends = ends
        await _record_charge(simulation, booking, again[0].charged, kept)


async def delete_booking(simulation: Simulation) -> None:
    booking, ledger = pick_booking(simulation), simulation.ledger
    if booking is None or booking.deleted:
        return
    refused = booking.charged or bool(simulation.model.uses_for_booking(booking.id))
    before = await ledger.get(Booking, booking.id)
    writer = BookingService(ledger.context, DefaultService())
    await simulation.transact_expecting(
        lambda unit: writer.delete(unit, Booking, before, ledger.request_context()), fails=refused
    )
    booking.deleted = not refused


async def _record_cancellation(
    simulation: Simulation, booking: models.ModelBooking
) -> list[tuple[models.ModelUse, int]]:
    """Records the reversal of every use of the booking: money first, newest first."""
    named = [row for row in simulation.model.uses_for_booking(booking.id) if row.is_use and row.unreversed]
    named.sort(key=lambda row: (row.credit.mapping is not MONEY_MAPPING, -row.id))
    backs = [(row, row.unreversed) for row in named]
    await record_reversals(simulation, backs)
    record_released_holds(simulation, booking.id, "released")
    booking.charged, booking.charge = False, None
    return backs
