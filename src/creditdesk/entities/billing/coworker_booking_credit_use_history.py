"""Declares `CoworkerBookingCreditUseHistory`, served at `/api/billing/coworkerbookingcreditusehistories`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.kinds import Lend, Money, Reference, Text


class CoworkerBookingCreditUseHistory(
    Entity,
    area="billing",
    plural="coworkerbookingcreditusehistories",
    verbs=("list", "get", "create", "update"),
    scope="CoworkerBookingCreditBusinessId",
    tallied=True,
    append_only=True,
    editable=("Description", "UpdatedOn", "UpdatedBy", "SystemId", "CustomFields"),
):
    """One draw on a customer's money credit."""

    Description = Text()
    CoworkerBookingCredit = Reference(
        to="CoworkerBookingCredit",
        required=True,
        lends=(
            Lend(path="Business.Currency.Code", newest=True),
            Lend(path="Coworker.Id", newest=True),
            Lend(path="Description", newest=True),
            Lend(path="TariffBookingCredit.Name", newest=True),
            Lend(path="ExpireDate", newest=True),
            Lend(path="RemainingCredit", newest=True),
            Lend(path="CoworkerProductUniqueId", newest=True),
        ),
        filters=("Business.Id",),
    )
    Booking = Reference(to="Booking", lends=("FromTime", "ToTime", "Resource.Name"))
    CoworkerInvoiceLine = Reference(
        to="CoworkerInvoiceLine", lends=("CoworkerInvoice.Id", "CoworkerInvoice.InvoiceNumber")
    )
    EventAttendee = Reference(
        to="EventAttendee", lends=("CalendarEvent.Name", "EventProduct.Name", "FullName", "Email")
    )
    CreditUsed = Money(required=True)
