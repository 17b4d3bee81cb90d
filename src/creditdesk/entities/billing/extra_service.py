"""Declares `ExtraService`, served at `/api/billing/extraservices`."""

from __future__ import annotations

from creditdesk.entities.enums import eChargePeriod, eLastMinuteDiscountType
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Enum,
    Integer,
    Money,
    Number,
    Reference,
    Text,
)


class ExtraService(
    Entity,
    area="billing",
    plural="extraservices",
    order="CreatedOn",
    label="Name",
    scope="BusinessId",
):
    """A rate: the price of a resource by unit, or a type of time or printing credit."""

    Business = Reference("Business", required=True)
    Name = Text(required=True)
    Description = Text()
    InvoiceLineDisplayAs = Text()
    Visible = Boolean(nullable=False)
    DisplayOrder = Integer(default=0, nullable=False)
    ResourceTypes = Collection("ResourceType")
    Price = Money(required=True)
    CreditPrice = Money()
    ChargePeriod = Enum(eChargePeriod, required=True)
    MaximumPrice = Money()
    IsDefaultPrice = Boolean(nullable=False)
    UsePerNightPricing = Boolean(nullable=False)
    Currency = Reference("Currency", required=True, embeds=("Code",))
    TaxRate = Reference("TaxRate", is_local=False)
    ReducedTaxRate = Reference("ReducedTaxRate", is_local=False)
    ExemptTaxRate = Reference("ExemptTaxRate", is_local=False)
    FinancialAccount = Reference("FinancialAccount", is_local=False)
    FromTime = Integer()
    ToTime = Integer()
    MinLength = Integer()
    MaxLength = Integer()
    OnlyWithinAvailableTimes = Boolean(nullable=False)
    FixedCostLength = Integer()
    FixedCostPrice = Money()
    Tariffs = Collection("Tariff")
    OnlyForContacts = Boolean(nullable=False)
    OnlyForMembers = Boolean(nullable=False)
    IsBookingCredit = Boolean(nullable=False)
    IsPrintingCredit = Boolean(nullable=False)
    ApplyChargeToVisitors = Boolean(nullable=False)
    PriceFactorLowDemand = Number()
    PriceFactorAverageDemand = Number()
    PriceFactorHighDemand = Number()
    PriceFactorLastMinute = Number()
    LastMinutePeriodMinutes = Integer()
    LastMinuteAdjustmentType = Enum(eLastMinuteDiscountType, required=True)
    ApplyFrom = DateTime()
    ApplyTo = DateTime()
    ResourceTypeNames = Text(read_only=True)
    Teams = Collection("Team")
