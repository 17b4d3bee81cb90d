"""Declares `CoworkerExtraService`, served at `/api/billing/coworkerextraservices`."""

from __future__ import annotations

from creditdesk.entities.enums import eChargePeriod
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
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


class CoworkerExtraService(
    Entity,
    area="billing",
    plural="coworkerextraservices",
    scope="BusinessId",
    owner="CoworkerId",
    checks=(
        "remaining_uses >= -coalesce(overdraft, 0) AND remaining_uses <= total_uses",
        "coalesce(overdraft, 0) >= 0",
    ),
    required_filters=(
        "Id",
        "CoworkerExtraService_Id",
        "from_CoworkerExtraService_UpdatedOn",
        "to_CoworkerExtraService_UpdatedOn",
        "CoworkerExtraService_BookingUniqueId",
        "CoworkerExtraService_Coworker",
        "CoworkerExtraService_BookingId",
    ),
):
    """A booking charge, time credit or printing credit of a customer (rule 5).

    The command SET_OVERDRAFT lets printing credit go below zero; records do not show the limit.
    """

    Coworker = Reference("Coworker", required=True)
    Business = Reference("Business", required=True)
    ExtraService = Reference(
        "ExtraService",
        required=True,
        embeds=(
            Embed("Name", denormalized=True),
            "Currency.Code",
            Embed("IsPrintingCredit", denormalized=True),
        ),
    )
    Description = Text(read_only=True)
    Notes = Text(operator_only=True)
    RemainingUses = Integer(read_only=True, nullable=False)
    TotalUses = Integer(required=True)
    Free = Boolean(nullable=False)
    Price = Money()
    LastMinutePriceAdjustment = Money(read_only=True)
    DynamicPriceAdjustment = Money(read_only=True)
    PriceFactorLastMinute = Number(read_only=True)
    PriceFactorDemand = Number(read_only=True)
    ValidFrom = DateTime(indexed=True)
    ExpireDate = DateTime(indexed=True)
    DueDate = DateTime()
    PurchaseOrder = Text()
    ChargePeriod = Enum(eChargePeriod, nullable=False, default=1)
    Invoiced = Boolean(read_only=True, nullable=False)
    InvoiceDate = DateTime(read_only=True)
    IsFromTariff = Boolean(read_only=True, nullable=False)
    TariffTimePassUniqueId = Guid(read_only=True)
    CoworkerProductUniqueId = Guid(read_only=True)
    BookingUniqueId = Guid(read_only=True)
    AutomaticallyAdded = Boolean(read_only=True, nullable=False)
    InvoiceThisCoworker = Boolean(nullable=False)
    DiscountCode = Text(read_only=True, exact=True)
    CoworkerDiscountUniqueId = Guid(read_only=True)
    DiscountAmount = Money(read_only=True)
    BookingId = Integer()
    BookingFromTime = DateTime()
    BookingToTime = DateTime()
    BookingResourceName = Text()
    CoworkerContractUniqueId = Guid()
    Overdraft = Integer(read_only=True, internal=True)
