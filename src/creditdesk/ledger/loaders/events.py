"""Event attendances and the events they belong to."""

from __future__ import annotations

from datetime import datetime

from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.ledger.loaders.rows import TypedRow
from creditdesk.ledger.rules.amounts import Amount


class AttendeeRow(TypedRow, frozen=True, gc=False):
    """An attendance and the price of its ticket."""

    entity = EventAttendee

    coworker_id: int | None
    business_id: int
    calendar_event_id: int | None
    event_product_price: Amount | None
    event_product_currency_code: str | None


class EventRow(TypedRow, frozen=True, gc=False):
    """When an event takes place, and its categories."""

    entity = CalendarEvent

    start_date: datetime | None
    end_date: datetime | None
    event_categories: frozenset[int]
