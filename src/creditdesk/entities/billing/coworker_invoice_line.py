"""Declares `CoworkerInvoiceLine`, served at `/api/billing/coworkerinvoicelines`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    DateTime,
    Embed,
    Guid,
    Integer,
    Money,
    Number,
    Reference,
    Text,
)


class CoworkerInvoiceLine(
    Entity,
    area="billing",
    plural="coworkerinvoicelines",
    verbs=("list", "get", "update"),
    order="CreatedOn",
    scope="CoworkerInvoiceBusinessId",
    owner="CoworkerInvoiceCoworkerId",
    required_filters=("CoworkerInvoiceLine_CoworkerInvoice",),
):
    """One line of an invoice."""

    CoworkerInvoice = Reference(
        "CoworkerInvoice",
        update_only=True,
        nullable=False,
        embeds=(
            Embed("InvoiceNumber", denormalized=True),
            Embed("Paid", as_text=True),
            "PaidOn",
            Embed("CreditNote", as_text=True),
            "Currency.Code",
            "DueDate",
        ),
        filter_only=("Business.Id", "Coworker.Id"),
    )
    Description = Text(update_only=True)
    DisplayAs = Text(update_only=True)
    TaxCategoryName = Text(update_only=True)
    Quantity = Integer(update_only=True, nullable=False)
    SubTotal = Money(update_only=True, nullable=False)
    TaxAmount = Money(update_only=True, nullable=False)
    TaxRate = Number(update_only=True, nullable=False)
    CoworkerContractUniqueId = Guid(read_only=True)
    ContractDepositUniqueId = Guid(read_only=True)
    BookingUniqueId = Guid(read_only=True)
    CoworkerExtraServiceUniqueId = Guid(read_only=True)
    ExtraServiceUniqueId = Guid(read_only=True)
    CoworkerTimePassUniqueId = Guid(read_only=True)
    CoworkerChargeUniqueId = Guid(read_only=True)
    CoworkerProductUniqueId = Guid(read_only=True)
    EventAttendeeUniqueId = Guid(read_only=True)
    GroupedLineUniqueId = Guid(read_only=True)
    RefundedAmount = Money(read_only=True)
    Refunded = Boolean(read_only=True, nullable=False)
    RefundedOn = DateTime(read_only=True)
    SaleDate = DateTime(read_only=True)
    DiscountCode = Text(read_only=True, exact=True)
    DiscountAmount = Money(read_only=True)
    CoworkerExtraServiceName = Text(read_only=True)
    CoworkerTimePassName = Text(read_only=True)
    CoworkerProductName = Text(read_only=True)
    EventAttendeeProductName = Text(read_only=True)
    TariffName = Text(read_only=True)
    FinancialAccountCode = Text(update_only=True, exact=True)
    FinancialAccountName = Text(update_only=True)
    IssuedByUniqueId = Guid(update_only=True)
    CancelledCoworkerInvoiceLineUniqueId = Guid(update_only=True)
    CreatedOnLocal = DateTime(read_only=True)
    RefundedOnLocal = DateTime(read_only=True)
    SaleDateLocal = DateTime(read_only=True)
    Position = Integer(read_only=True, nullable=False)
    IsHidden = Boolean(read_only=True, nullable=False)
    IsUniversalCredit = Boolean(read_only=True, nullable=False)
    PurchaseOrder = Text(update_only=True)
    CreditAmount = Money(read_only=True, nullable=False)
    IsProratedContract = Boolean(read_only=True, nullable=False)
    CoworkerDiscountCodeUniqueId = Guid(read_only=True)
