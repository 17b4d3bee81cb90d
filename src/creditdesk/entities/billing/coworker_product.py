"""Declares `CoworkerProduct`, served at `/api/billing/coworkerproducts`."""

from __future__ import annotations

from creditdesk.entities.enums import eRecurrentChargePattern
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    DateTime,
    Embed,
    Enum,
    Guid,
    Integer,
    Money,
    Reference,
    Text,
)


class CoworkerProduct(
    Entity, area="billing", plural="coworkerproducts", order="CreatedOn", scope="BusinessId", owner="CoworkerId"
):
    """A product that a customer bought, once or at regular intervals."""

    Coworker = Reference(
        "Coworker",
        required=True,
        embeds=(
            Embed("CoworkerType", as_text=True),
            "FullName",
            "CompanyName",
            "BillingName",
            "Email",
        ),
    )
    Business = Reference("Business", required=True)
    Product = Reference("Product", required=True, embeds=("Name", "Price", "ApplyProRating", "Currency.Code"))
    Notes = Text()
    PurchaseOrder = Text()
    OrderNumber = Text(read_only=True, exact=True)
    Activated = Boolean(read_only=True, nullable=False)
    ActivateNow = Boolean(create_only=True, nullable=False)
    InvoiceThisCoworker = Boolean(nullable=False)
    Price = Money()
    Quantity = Integer(required=True)
    RegularCharge = Boolean(nullable=False)
    RepeatCycle = Enum(eRecurrentChargePattern, required=True)
    RepeatUnit = Integer()
    InvoiceOn = DateTime()
    RepeatFrom = DateTime()
    RepeatUntil = DateTime()
    SaleDate = DateTime()
    DueDate = DateTime()
    Invoiced = Boolean(read_only=True, nullable=False)
    InvoicedOn = DateTime(read_only=True)
    FromTariff = Boolean(read_only=True, nullable=False)
    BookingUniqueId = Guid(read_only=True)
    MrmReminded = Boolean(nullable=False)
    ApplyProRating = Boolean(nullable=False)
    CoworkerContractUniqueId = Guid(read_only=True)
    ContractDepositUniqueId = Guid(read_only=True)
    ContractProductUniqueId = Guid(read_only=True)
    CoworkerDeliveryUniqueId = Guid(read_only=True)
    ProposalUniqueId = Guid()
    CoworkerInvoice = Reference("CoworkerInvoice", read_only=True)
    CoworkerInvoiceNumber = Text(read_only=True, exact=True)
    CoworkerInvoicePaid = Boolean(read_only=True, nullable=False)
    TeamsAtTheTimeOfPurchase = Text(read_only=True)
    CreditAmount = Money(read_only=True, nullable=False)
    DiscountAmount = Money(required=True)
    Refundable = Boolean(nullable=False, trailing=True)
