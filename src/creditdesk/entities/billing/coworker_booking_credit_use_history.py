"""Declares `CoworkerBookingCreditUseHistory`, served at `/api/billing/coworkerbookingcreditusehistories`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Embed, Money, Reference, Text


class CoworkerBookingCreditUseHistory(
    Entity,
    area="billing",
    plural="coworkerbookingcreditusehistories",
    verbs=("list", "get", "create", "update"),
    scope="CoworkerBookingCreditBusinessId",
    owner="CoworkerBookingCreditCoworkerId",
    counted=True,
    indexed=("SystemId", "UpdatedBy"),
    append_only=True,
    mutable_fields=("Description", "UpdatedOn", "UpdatedBy", "SystemId", "CustomFields"),
):
    """A use of a customer's money credit."""

    Description = Text(indexed=True)
    CoworkerBookingCredit = Reference(
        "CoworkerBookingCredit",
        required=True,
        embeds=(
            Embed("Business.Currency.Code", trailing=True, indexed=True),
            Embed("Coworker.Id", trailing=True, indexed=True),
            Embed("Description", trailing=True, indexed=True, low_cardinality=True),
            Embed("TariffBookingCredit.Name", trailing=True, indexed=True, low_cardinality=True),
            Embed("ExpireDate", trailing=True, indexed=True),
            Embed("RemainingCredit", trailing=True),
            Embed("CoworkerProductUniqueId", trailing=True, indexed=True),
        ),
        filter_only=(Embed("Business.Id", indexed=True),),
    )
    Booking = Reference(
        "Booking",
        embeds=(
            Embed("FromTime", indexed=True),
            Embed("ToTime", indexed=True),
            Embed("Resource.Name", indexed=True, low_cardinality=True),
        ),
    )
    CoworkerInvoiceLine = Reference(
        "CoworkerInvoiceLine",
        embeds=(
            Embed("CoworkerInvoice.Id", indexed=True),
            Embed("CoworkerInvoice.InvoiceNumber", indexed=True),
        ),
    )
    EventAttendee = Reference(
        "EventAttendee",
        embeds=(
            Embed("CalendarEvent.Name", indexed=True, low_cardinality=True),
            Embed("EventProduct.Name", indexed=True, low_cardinality=True),
            Embed("FullName", indexed=True),
            Embed("Email", indexed=True),
        ),
    )
    CreditUsed = Money(required=True, indexed=True)
