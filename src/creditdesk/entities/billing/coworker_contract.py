"""Declares `CoworkerContract`, served at `/api/billing/coworkercontracts`."""

from __future__ import annotations

from creditdesk.entities.enums import eCancellationReason, eDeliveryHandlingPreference
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Embed,
    Enum,
    Guid,
    Integer,
    Money,
    Number,
    Reference,
    Text,
)


class CoworkerContract(Entity, area="billing", plural="coworkercontracts", scope="IssuedById", owner="CoworkerId"):
    """A plan that a customer is on."""

    IssuedBy = Reference("Business", required=True, embeds=("Name",))
    Coworker = Reference(
        "Coworker",
        required=True,
        embeds=(
            Embed("CoworkerType", as_text=True),
            "FullName",
            "CompanyName",
            "BillingName",
            "Email",
            "Active",
        ),
    )
    Tariff = Reference(
        "Tariff",
        required=True,
        embeds=(
            "Name",
            "InvoiceEvery",
            "InvoiceEveryWeeks",
            "Price",
            "Currency.Code",
            Embed("IsVirtualOffice", trailing=True),
        ),
    )
    NextTariff = Reference("Tariff", embeds=("Name",))
    Notes = Text()
    StartDate = DateTime()
    BillingDay = Integer(required=True)
    RenewalDate = DateTime()
    InvoicedPeriod = DateTime()
    ContractTerm = DateTime()
    Price = Money()
    Value = Money()
    Desks = Collection("Desks", is_local=False)
    Variants = Collection("Variants", is_local=False)
    Quantity = Integer(required=True)
    Active = Boolean(read_only=True, nullable=False)
    MainContract = Boolean(read_only=True, nullable=False)
    Cancelled = Boolean(read_only=True, nullable=False)
    PurchaseOrder = Text()
    IncludeSignupFee = Boolean(nullable=False)
    InvoiceAdvancedCycles = Boolean(nullable=False)
    ApplyProRating = Boolean(nullable=False)
    NextAutoInvoice = DateTime(update_only=True)
    PricePlanTermsAccepted = Boolean(nullable=False)
    PricePlanTermsAcceptedOn = DateTime(read_only=True)
    CancellationDate = DateTime()
    CancellationLimitDays = Integer()
    ProRateCancellation = Boolean(nullable=False)
    CancelTeamContracts = Boolean(nullable=False)
    CancellationReason = Enum(eCancellationReason, nullable=False)
    CancellationNotes = Text()
    DeliveryHandlingPreferenceChecks = Enum(eDeliveryHandlingPreference, nullable=False)
    DeliveryHandlingPreferenceMail = Enum(eDeliveryHandlingPreference, nullable=False)
    DeliveryHandlingPreferenceParcels = Enum(eDeliveryHandlingPreference, nullable=False)
    DeliveryHandlingPreferencePublicity = Enum(eDeliveryHandlingPreference, nullable=False)
    DeliveryInstructions = Text()
    IdentityChecksDueOn = DateTime()
    AddressChecksDueOn = DateTime()
    StartDateLocal = DateTime(read_only=True)
    RenewalDateLocal = DateTime(read_only=True)
    NextAutoInvoiceLocal = DateTime(read_only=True)
    PricePlanTermsAcceptedOnLocal = DateTime(read_only=True)
    CancellationDateLocal = DateTime(read_only=True)
    ContractTermLocal = DateTime(read_only=True)
    ProposalUniqueId = Guid(read_only=True)
    ProposalContractUniqueId = Guid(read_only=True)
    CourseMemberUniqueId = Guid(read_only=True)
    InvoicedPeriodLocal = DateTime(read_only=True)
    FloorPlanDeskIds = Text(read_only=True)
    FloorPlanDeskNames = Text(read_only=True)
    FloorPlanDeskVariantIds = Text(read_only=True)
    FloorPlanDeskVariantNames = Text(read_only=True)
    PriceWithProductsAndDeposits = Money(read_only=True, nullable=False)
    PriceWithProducts = Number(read_only=True, nullable=False)
    PoBoxNumber = Text(exact=True)
    InPausedPeriod = Boolean(read_only=True, nullable=False)
    InPausedPeriodFrom = DateTime(read_only=True)
    InPausedPeriodUntil = DateTime(read_only=True)
