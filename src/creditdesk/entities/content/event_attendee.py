"""Declares `EventAttendee`, served at `/api/content/eventattendees`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, DateTime, Embed, Integer, Reference, Text


class EventAttendee(
    Entity, area="content", plural="eventattendees", label="FullName", scope="BusinessId", owner="CoworkerId"
):
    """One person's ticket to an event."""

    Business = Reference("Business", required=True)
    CalendarEvent = Reference("CalendarEvent", required=True, embeds=(Embed("Name", denormalized=True),))
    EventProduct = Reference(
        "EventProduct",
        required=True,
        embeds=(Embed("Name", denormalized=True), "Price", "Currency.Code"),
    )
    Coworker = Reference("Coworker", embeds=("FullName",))
    FullName = Text(required=True)
    Email = Text(required=True, exact=True)
    PurchaseOrder = Text()
    AttendeeCode = Text(read_only=True, exact=True)
    CheckedIn = Boolean(nullable=False)
    CheckedInDate = DateTime()
    Invoiced = Boolean(create_only=True, nullable=False)
    DueDate = DateTime(read_only=True)
    Billed = Boolean(nullable=False)
    CreatedOnLocal = DateTime()
    CheckedInDateLocal = DateTime()
    CoworkerInvoiceId = Integer()
    CoworkerInvoiceNumber = Text(exact=True)
    CoworkerInvoicePaid = Boolean(nullable=False)
    Reminded = Boolean(nullable=False)
    ZoomEventData = Text()
    ZoomParticipantId = Text()
    IsSent = Boolean(nullable=False)
