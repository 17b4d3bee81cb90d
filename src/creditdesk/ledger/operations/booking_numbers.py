"""Numbers of bookings: each location counts its own, from 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from creditdesk.entities.ledger.booking_sequence import BookingSequence
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.loaders.bookings import (
    find_unnumbered_bookings,
    highest_booking_number,
    load_booking_locations,
    load_resource_location,
    lock_sequences,
)
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession


async def next_booking_number(session: WriteSession, resource_id: int | None, now: datetime) -> int | None:
    """The number of a new booking of a resource; None where the resource has no location."""
    location = await load_resource_location(session, resource_id)
    return None if location is None else (await _take_numbers(session, {location: 1}, now))[location]


async def number_bookings(session: WriteSession, after_id: int, limit: int, now: datetime) -> int | None:
    """Numbers bookings that have no number, in order of Id, after those of their locations.

    Takes at most `limit`, from `after_id` on, and returns the last of them; None when none was left.
    """
    ids = await find_unnumbered_bookings(session, after_id, limit)
    locations = await load_booking_locations(session, ids)
    following = await _take_numbers(session, Counter(locations.values()), now)
    changes = []
    for booking_id in ids:
        location = locations.get(booking_id)
        if location is not None:
            changes.append((booking_id, {"BookingNumber": following[location]}))
            following[location] += 1
    await session.update(Booking, changes)
    return ids[-1] if ids else None


async def restart_sequences(session: WriteSession, locations: Sequence[int]) -> None:
    """Lets locations go on after their highest number, when bookings came in with numbers of their own."""
    await session.delete(BookingSequence, list(await lock_sequences(session, locations)))


async def _take_numbers(session: WriteSession, counts: Mapping[int, int], now: datetime) -> dict[int, int]:
    """The first of so many new numbers of each location.

    A location is locked until the session ends, so no number is taken twice, and one that is rolled
    back leaves no gap.
    """
    sequences = await lock_sequences(session, sorted(counts))
    started = {i: await highest_booking_number(session, i) for i in counts if i not in sequences}
    new = [{"Id": location, "LastNumber": number + counts[location]} for location, number in started.items()]
    changes = [(i, {"LastNumber": row.last_number + counts[i]}) for i, row in sequences.items()]
    await session.insert(BookingSequence, [new_record(BookingSequence, values, now) for values in new])
    await session.update(BookingSequence, changes)
    last = {i: row.last_number for i, row in sequences.items()} | started
    return {location: number + 1 for location, number in last.items()}
