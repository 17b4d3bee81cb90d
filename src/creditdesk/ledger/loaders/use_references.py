"""What a posted use must know of the records it names, read for a whole batch at once.

This module must not know what a use takes or whether it is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from creditdesk.entities.billing.coworker_invoice import CoworkerInvoice
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.resource import Resource
from creditdesk.ledger.journal.mapping import where
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.rules.units import DEFAULT_INTERVAL_MINUTES
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import Finder, ReadSession

SOURCE_LINKS: Final[Mapping[str, tuple[str, type[Entity], SourceKind]]] = {
    "BookingId": ("Booking", Booking, SourceKind.BOOKING),
    "CoworkerInvoiceLineId": ("CoworkerInvoiceLine", CoworkerInvoiceLine, SourceKind.INVOICE_LINE),
    "EventAttendeeId": ("EventAttendee", EventAttendee, SourceKind.EVENT_ATTENDANCE),
}
"""The links by which a use may name what it paid: relation, entity, kind of source."""


_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class LocationClock:
    """By which clock and in which steps a location counts (rule 20)."""

    zone: ZoneInfo = _UTC
    interval_minutes: int = DEFAULT_INTERVAL_MINUTES


@dataclass(frozen=True, slots=True)
class UseReferences:
    """Records by id: sources, what they hang on, rates, and the clocks of locations."""

    sources: Mapping[SourceKind, Mapping[int, Record]] = field(default_factory=dict)
    resources: Mapping[int, Record] = field(default_factory=dict)
    events: Mapping[int, Record] = field(default_factory=dict)
    invoices: Mapping[int, Record] = field(default_factory=dict)
    rates: Mapping[int, Record] = field(default_factory=dict)
    clocks: Mapping[int, LocationClock] = field(default_factory=dict)

    def source_record(self, kind: SourceKind, source_id: int) -> Record | None:
        return self.sources.get(kind, {}).get(source_id)

    def business_id(self, kind: SourceKind, source: Record) -> int | None:
        """The location a source belongs to: by its resource, its invoice, or itself."""
        match kind:
            case SourceKind.BOOKING:
                above = self.resources.get(source["ResourceId"])
            case SourceKind.INVOICE_LINE:
                above = self.invoices.get(source["CoworkerInvoiceId"])
            case _:
                above = source
        return above["BusinessId"] if above else None

    def starts(self, kind: SourceKind, source: Record) -> datetime | None:
        """When the booking or event begins; None for what has no time of its own (rule 12)."""
        if kind is SourceKind.BOOKING:
            begins: datetime | None = source["FromTime"]
            return begins
        if kind is SourceKind.EVENT_ATTENDANCE:
            event = self.events.get(source["CalendarEventId"])
            return event["StartDate"] if event else None
        return None

    def clock(self, business_id: int | None) -> LocationClock:
        return self.clocks.get(business_id or 0, LocationClock())


async def load_use_references(
    session: ReadSession, uses: Iterable[Record], rate_ids: Iterable[int | None] = ()
) -> UseReferences:
    """Everything the uses name and the rates given; one statement for each entity involved."""
    uses = list(uses)
    sources = {
        kind: await _by_id(session, entity, [use.get(name) for use in uses])
        for name, (_, entity, kind) in SOURCE_LINKS.items()
    }
    bookings = sources[SourceKind.BOOKING].values()
    resources = await _by_id(session, Resource, [b["ResourceId"] for b in bookings])
    return UseReferences(
        sources,
        resources,
        await _by_id(
            session,
            CalendarEvent,
            [a["CalendarEventId"] for a in sources[SourceKind.EVENT_ATTENDANCE].values()],
        ),
        await _by_id(
            session,
            CoworkerInvoice,
            [entry["CoworkerInvoiceId"] for entry in sources[SourceKind.INVOICE_LINE].values()],
        ),
        await _by_id(session, ExtraService, rate_ids),
        await load_location_clocks(session, [r["BusinessId"] for r in resources.values()]),
    )


async def load_location_clocks(
    finder: Finder, business_ids: Iterable[int]
) -> dict[int, LocationClock]:
    """The clocks of those locations that have a profile; the others go by UTC and 15 minutes."""
    wanted = tuple(sorted(set(business_ids)))
    if not wanted:
        return {}
    names = ("BusinessId", "TimeZone", "BookingIntervalMinutes")
    named = where(LocationProfile, BusinessId=wanted)
    profiles = await finder.find(LocationProfile, named, columns=names)
    return {
        p["BusinessId"]: LocationClock(_zone(p["TimeZone"]), p["BookingIntervalMinutes"])
        for p in profiles
    }


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return _UTC


async def _by_id(
    session: ReadSession, entity: type[Entity], ids: Iterable[int | None]
) -> dict[int, Record]:
    wanted = tuple(sorted({record_id for record_id in ids if record_id}))
    if not wanted:
        return {}
    return {r["Id"]: r for r in await session.find(entity, where(entity, Id=wanted))}
