"""Declares `TariffBookingCredit`, served at `/api/billing/tariffbookingcredits`."""

from __future__ import annotations

from creditdesk.entities.enums import eTimeSpanWeekMonth
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Collection, Enum, Money, Reference, Text


class TariffBookingCredit(
    Entity, area="billing", plural="tariffbookingcredits", label="Name", scope="TariffBusinessId"
):
    """Money credit that a plan renews."""

    Name = Text(required=True)
    Tariff = Reference(
        "Tariff",
        required=True,
        embeds=("Name", "Business.Currency.Code"),
        filter_only=("Business.Id",),
    )
    ElegibleResourceTypes = Collection("ResourceType")
    ElegibleProducts = Collection("Product")
    ElegibleTariffs = Collection("Tariff")
    Credit = Money(required=True)
    CaneBeUsedForBookings = Boolean(nullable=False)
    CaneBeUsedForEvents = Boolean(nullable=False)
    EventCategories = Collection("CalendarEventCategory")
    ServiceRenewalTime = Enum(eTimeSpanWeekMonth, required=True)
    IsUniversalCredit = Boolean(nullable=False)
    ElegiblePasses = Collection("TimePass")
    AppliesToCharges = Boolean(nullable=False)
