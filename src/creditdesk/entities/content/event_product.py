"""Declares `EventProduct`, served at `/api/content/eventproducts`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Integer,
    Lend,
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
    """A kind of ticket to an event."""

    CalendarEvent = Reference(to="CalendarEvent", required=True, filters=("Business.Id",))
    Name = Text(required=True)
    Description = Text()
    TicketNotes = Text()
    Visible = Boolean(nullable=False)
    DisplayOrder = Integer(required=True)
    StartDate = DateTime(required=True)
    EndDate = DateTime(required=True)
    Allocation = Integer()
    MaxTicketsPerAttendee = Integer()
    Sales = Integer(read_only=True)
    Price = Money(required=True)
    Currency = Reference(to="Currency", required=True, lends=("Code",))
    TaxRate = Reference(to="TaxRate", lends=(Lend(path="Name", newest=True),), kept=False)
    FinancialAccount = Reference(
        to="FinancialAccount", lends=(Lend(path="Name", newest=True),), kept=False
    )
    Tariffs = Collection(of="Tariff")
    OnlyForContacts = Boolean(nullable=False)
    OnlyForMembers = Boolean(nullable=False)
    Members = Collection(of="Coworker", newest=True)
    Teams = Collection(of="Team", newest=True)
    TariffNames = Text(read_only=True, newest=True)
    TeamNames = Text(read_only=True, newest=True)
    CoworkerFullNames = Text(read_only=True, newest=True)
