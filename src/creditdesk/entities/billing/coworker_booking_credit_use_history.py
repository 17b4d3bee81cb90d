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
    counted=True,
    indexed=("SystemId", "UpdatedBy"),
    append_only=True,
    mutable_fields=("Description", "UpdatedOn", "UpdatedBy", "SystemId", "CustomFields"),
):
    """A use of a customer's money credit."""

    Description = Text(indexed=True)
    CoworkerBookingCredit = Reference(
        to="CoworkerBookingCredit",
        required=True,
        embeds=(
            Embed(path="Business.Currency.Code", trailing=True, indexed=True),
            Embed(path="Coworker.Id", trailing=True, indexed=True),
            Embed(path="Description", trailing=True, indexed=True),
            Embed(path="TariffBookingCredit.Name", trailing=True, indexed=True),
            Embed(path="ExpireDate", trailing=True, indexed=True),
            Embed(path="RemainingCredit", trailing=True),
            Embed(path="CoworkerProductUniqueId", trailing=True, indexed=True),
        ),
        filter_only=(Embed(path="Business.Id", indexed=True),),
    )
    Booking = Reference(
        to="Booking",
        embeds=(
            Embed(path="FromTime", indexed=True),
            Embed(path="ToTime", indexed=True),
            Embed(path="Resource.Name", indexed=True),
        ),
    )
    CoworkerInvoiceLine = Reference(
        to="CoworkerInvoiceLine",
        embeds=(
            Embed(path="CoworkerInvoice.Id", indexed=True),
            Embed(path="CoworkerInvoice.InvoiceNumber", indexed=True),
        ),
    )
    EventAttendee = Reference(
        to="EventAttendee",
        embeds=(
            Embed(path="CalendarEvent.Name", indexed=True),
            Embed(path="EventProduct.Name", indexed=True),
            Embed(path="FullName", indexed=True),
            Embed(path="Email", indexed=True),
        ),
    )
    CreditUsed = Money(required=True, indexed=True)
