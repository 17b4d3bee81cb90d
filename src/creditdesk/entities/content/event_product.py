"""Declares `EventProduct`, served at `/api/content/eventproducts`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Embed,
    Integer,
    Money,
    Reference,
    Text,
)


class EventProduct(
    Entity,
    area="content",
    plural="eventproducts",
    order="DisplayOrder",
    label="Name",
    scope="CalendarEventBusinessId",
):
    """A type of ticket to an event."""

    CalendarEvent = Reference("CalendarEvent", required=True, filter_only=("Business.Id",))
    Name = Text(required=True)
    Description = Text()
    TicketNotes = Text()
    Visible = Boolean(nullable=False)
    DisplayOrder = Integer(default=0, nullable=False)
    StartDate = DateTime(required=True)
    EndDate = DateTime(required=True)
    Allocation = Integer()
    MaxTicketsPerAttendee = Integer()
    Sales = Integer(read_only=True)
    Price = Money(required=True)
    Currency = Reference("Currency", required=True, embeds=("Code",))
    TaxRate = Reference("TaxRate", embeds=(Embed("Name", trailing=True),), is_local=False)
    FinancialAccount = Reference("FinancialAccount", embeds=(Embed("Name", trailing=True),), is_local=False)
    Tariffs = Collection("Tariff")
    OnlyForContacts = Boolean(nullable=False)
    OnlyForMembers = Boolean(nullable=False)
    Members = Collection("Coworker", trailing=True)
    Teams = Collection("Team", trailing=True)
    TariffNames = Text(read_only=True, trailing=True)
    TeamNames = Text(read_only=True, trailing=True)
    CoworkerFullNames = Text(read_only=True, trailing=True)
