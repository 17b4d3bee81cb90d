"""Declares `CoworkerBookingCreditUseHistory`, served at `/api/billing/coworkerbookingcreditusehistories`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Lend, Money, Reference, Text


class CoworkerBookingCreditUseHistory(
    Entity,
    area="billing",
    plural="coworkerbookingcreditusehistories",
    verbs=("list", "get", "create", "update"),
    scope="CoworkerBookingCreditBusinessId",
    tallied=True,
    indexed=("SystemId", "UpdatedBy"),
    append_only=True,
    editable=("Description", "UpdatedOn", "UpdatedBy", "SystemId", "CustomFields"),
):
    """One draw on a customer's money credit."""

    Description = Text(indexed=True)
    CoworkerBookingCredit = Reference(
        to="CoworkerBookingCredit",
        required=True,
        lends=(
            Lend(path="Business.Currency.Code", newest=True, indexed=True),
            Lend(path="Coworker.Id", newest=True, indexed=True),
            Lend(path="Description", newest=True, indexed=True),
            Lend(path="TariffBookingCredit.Name", newest=True, indexed=True),
            Lend(path="ExpireDate", newest=True, indexed=True),
            Lend(path="RemainingCredit", newest=True),
            Lend(path="CoworkerProductUniqueId", newest=True, indexed=True),
        ),
        filters=(Lend(path="Business.Id", indexed=True),),
    )
    Booking = Reference(
        to="Booking",
        lends=(
            Lend(path="FromTime", indexed=True),
            Lend(path="ToTime", indexed=True),
            Lend(path="Resource.Name", indexed=True),
        ),
    )
    CoworkerInvoiceLine = Reference(
        to="CoworkerInvoiceLine",
        lends=(
            Lend(path="CoworkerInvoice.Id", indexed=True),
            Lend(path="CoworkerInvoice.InvoiceNumber", indexed=True),
        ),
    )
    EventAttendee = Reference(
        to="EventAttendee",
        lends=(
            Lend(path="CalendarEvent.Name", indexed=True),
            Lend(path="EventProduct.Name", indexed=True),
            Lend(path="FullName", indexed=True),
            Lend(path="Email", indexed=True),
        ),
    )
    CreditUsed = Money(required=True, indexed=True)
