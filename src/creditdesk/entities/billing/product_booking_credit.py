"""Declares `ProductBookingCredit`, served at `/api/billing/productbookingcredits`."""

from __future__ import annotations

from creditdesk.entities.enums import eRecurrentChargePattern
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Collection, Enum, Integer, Money, Reference, Text


class ProductBookingCredit(
    Entity, area="billing", plural="productbookingcredits", label="Name", scope="ProductBusinessId"
):
    """Money credit that a product includes."""

    Name = Text(required=True)
    Product = Reference(
        "Product",
        required=True,
        embeds=("Name", "Business.Currency.Code"),
        filter_only=("Business.Id",),
    )
    ElegibleResourceTypes = Collection("ResourceType")
    ElegibleProducts = Collection("Product")
    ElegibleTariffs = Collection("Tariff")
    Credit = Money(required=True)
    ExpireTimeInMonths = Integer()
    ExpireTimeInWeeks = Integer()
    CaneBeUsedForBookings = Boolean(nullable=False)
    CaneBeUsedForEvents = Boolean(nullable=False)
    EventCategories = Collection("CalendarEventCategory")
    ExpirationType = Enum(eRecurrentChargePattern, nullable=False)
    ExpiresIn = Integer()
    IsUniversalCredit = Boolean(nullable=False)
    ElegiblePasses = Collection("TimePass")
    AppliesToCharges = Boolean(nullable=False)
