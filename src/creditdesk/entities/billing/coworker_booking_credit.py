"""Declares `CoworkerBookingCredit`, served at `/api/billing/coworkerbookingcredits`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Embed,
    Guid,
    Money,
    Reference,
    Text,
)


class CoworkerBookingCredit(
    Entity,
    area="billing",
    plural="coworkerbookingcredits",
    scope="BusinessId",
    owner="CoworkerId",
    checks=("remaining_credit >= 0 AND remaining_credit <= total_credit",),
):
    """A grant of money credit to a customer."""

    Coworker = Reference("Coworker", required=True, filter_only=("FullName",))
    Business = Reference(
        "Business",
        required=True,
        embeds=("Name", Embed("Currency.Code", denormalized=True)),
    )
    Description = Text()
    TariffBookingCredit = Reference("TariffBookingCredit", read_only=True, embeds=(Embed("Name", denormalized=True),))
    ElegibleResourceTypes = Collection("ResourceType")
    ElegibleProducts = Collection("Product")
    ElegibleTariffs = Collection("Tariff")
    RemainingCredit = Money(read_only=True, nullable=False)
    TotalCredit = Money(required=True)
    ValidFrom = DateTime(indexed=True)
    ExpireDate = DateTime(indexed=True)
    CaneBeUsedForBookings = Boolean(nullable=False)
    CaneBeUsedForEvents = Boolean(nullable=False)
    EventCategories = Collection("CalendarEventCategory")
    IsUniversalCredit = Boolean(nullable=False)
    CoworkerProductUniqueId = Guid(read_only=True)
    UseCreditPrice = Boolean(nullable=False)
    CoworkerContractUniqueId = Guid()
    ElegiblePasses = Collection("TimePass")
    AppliesToCharges = Boolean(nullable=False)
