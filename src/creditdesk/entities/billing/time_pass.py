"""Declares `TimePass`, served at `/api/billing/timepasses`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Collection, Integer, Money, Reference, Text


class TimePass(Entity, area="billing", plural="timepasses", label="Name", scope="BusinessId"):
    """A type of pass for check-in time."""

    Business = Reference("Business", required=True, embeds=("Name",))
    Name = Text(required=True)
    InvoiceLineDisplayAs = Text()
    Price = Money(required=True)
    MinutesIncluded = Integer()
    CountsTowardsPlanLimits = Boolean(nullable=False)
    UseAsPayAsYouGoForMembers = Boolean(nullable=False)
    UseAsPayAsYouGoForContacts = Boolean(nullable=False)
    UsePriority = Integer()
    Currency = Reference("Currency", required=True, embeds=("Code",))
    TaxRate = Reference("TaxRate", is_local=False)
    ReducedTaxRate = Reference("ReducedTaxRate", is_local=False)
    ExemptTaxRate = Reference("ExemptTaxRate", is_local=False)
    FinancialAccount = Reference("FinancialAccount", is_local=False)
    Businesses = Collection("Business")
    KisiGroupId = Text()
    DoorGuardGroupId = Text()
    AccessControlGroupId = Text()
    AccessControlGroupIds = Text(read_only=True)
    AllowNetworkCheckIn = Boolean(nullable=False)
    OnlyForContacts = Boolean(nullable=False)
    OnlyForMembers = Boolean(nullable=False)
    Tariffs = Collection("Tariff")
    Archived = Boolean(nullable=False)
