"""Bookings: as they are priced and paid for, and locked while they are charged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, convert

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.booking_sequence import BookingSequence
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.resource import Resource
from creditdesk.ledger.loaders.rows import (
    Flag,
    TypedRow,
    UniqueRow,
    columns_of,
    find_by_id,
    find_rows,
    have_values,
    lock_rows,
    to_row,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.schema.repository import Finder, ReadSession, WriteSession, find_first


class BookingRow(TypedRow, frozen=True, gc=False):
    """What the price of a booking depends on."""

    entity = Booking

    coworker_id: int | None
    resource_id: int | None
    resource_business_id: int | None
    resource_resource_type_id: int | None
    extra_service_id: int | None
    from_time: datetime | None
    to_time: datetime | None
    override_price: Amount | None
    tentative: Flag
    do_not_use_booking_credit: Flag


class LockedBooking(UniqueRow, frozen=True, gc=False):
    """A booking that is charged, recalculated or cancelled."""

    entity = Booking

    coworker_id: int | None
    from_time: datetime | None
    to_time: datetime | None
    tentative: Flag
    invoiced: Flag
    billed: Flag
    coworker_invoice_id: int | None
    invoice_this_coworker: Flag
    purchase_order: str | None

    @property
    def key(self) -> SourceKey:
        return SourceKey(SourceKind.BOOKING, self.id)


class BookingWrite(Struct, frozen=True, gc=False, rename="pascal"):
    """The values of a create or update that decide its length and whether it is charged with it."""

    from_time: datetime | None = None
    to_time: datetime | None = None
    charge_now: Flag = None
    coworker_id: int | None = None
    resource_id: int | None = None
    tentative: Flag = None

    @classmethod
    def of(cls, record: Record) -> BookingWrite:
        """The values in the record of a write."""
        return convert(record, cls)

    @property
    def is_charged_now(self) -> bool:
        return bool(self.charge_now and self.coworker_id and not self.tentative)


class BookingChargeRow(TypedRow, frozen=True, gc=False):
    """A charge for what no credit covered of a booking (rule 5)."""

    entity = CoworkerExtraService

    invoiced: Flag


class _LocationRow(TypedRow, frozen=True, gc=False):
    entity = Booking

    resource_business_id: int | None


class _ResourceLocationRow(TypedRow, frozen=True, gc=False):
    entity = Resource

    business_id: int | None


class SequenceRow(TypedRow, frozen=True, gc=False):
    """The last booking number of the location with this Id."""

    entity = BookingSequence

    last_number: int


class _NumberRow(TypedRow, frozen=True, gc=False):
    entity = Booking

    booking_number: int


class _ResourceNameRow(TypedRow, frozen=True, gc=False):
    entity = Booking

    resource_name: str | None


async def lock_bookings(session: WriteSession, booking_ids: Sequence[int]) -> dict[int, LockedBooking]:
    """Locks bookings in id order and returns them by Id, in that order."""
    return await lock_rows(session, LockedBooking, booking_ids)


async def load_resource_names(finder: Finder, booking_ids: Sequence[int]) -> dict[int, str]:
    """The name of each booking's resource, by booking id."""
    found = await find_by_id(finder, _ResourceNameRow, booking_ids)
    return {booking_id: row.resource_name or "" for booking_id, row in found.items()}


async def lock_sequences(session: WriteSession, locations: Sequence[int]) -> dict[int, SequenceRow]:
    """Locks the booking sequences of locations; leaves out locations that have not numbered a booking yet."""
    return await lock_rows(session, SequenceRow, locations)


async def highest_booking_number(session: ReadSession, location: int) -> int:
    """The highest booking number of a location; 0 without any."""
    at_location = Filter(Booking.meta().filter_only["ResourceBusinessId"], Comparison.EQUALS, location)
    numbered = (at_location, *have_values(Booking, "BookingNumber"))
    highest_first = Order(Booking.meta().columns["BookingNumber"], descending=True)
    found = await find_first(session, Booking, numbered, highest_first, columns=columns_of(_NumberRow))
    return to_row(_NumberRow, found).booking_number if found else 0


async def find_unnumbered_bookings(session: ReadSession, after_id: int, limit: int) -> list[int]:
    """The ids of bookings without a number, from `after_id` on."""
    missing = (Filter(Booking.meta().columns["BookingNumber"], Comparison.NULL),)
    found = await session.find(Booking, missing, limit=limit, after_id=after_id, columns=("Id",))
    return [record["Id"] for record in found]


async def load_booking_locations(finder: Finder, booking_ids: Sequence[int]) -> dict[int, int]:
    """The location of each booking that has one, by booking id."""
    found = await find_by_id(finder, _LocationRow, booking_ids)
    return {booking_id: row.resource_business_id for booking_id, row in found.items() if row.resource_business_id}


async def load_resource_location(finder: Finder, resource_id: int | None) -> int | None:
    """The location of a resource."""
    found = await find_by_id(finder, _ResourceLocationRow, [resource_id])
    return next((row.business_id for row in found.values()), None)


async def load_booking_charges(finder: Finder, booking_id: int) -> list[BookingChargeRow]:
    """The charges of a booking, by Id."""
    return await find_rows(finder, BookingChargeRow, BookingId=booking_id)
