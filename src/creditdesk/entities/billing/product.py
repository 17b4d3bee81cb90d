"""Declares `Product`, served at `/api/billing/products`."""

from __future__ import annotations

from creditdesk.entities.enums import eProductType, eRecurrentProductOptions
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Embed,
    Enum,
    Integer,
    Money,
    Number,
    Reference,
    Text,
)


class Product(Entity, area="billing", plural="products", order="Name", label="Name", scope="BusinessId"):
    """Something a location sells."""

    Business = Reference("Business", required=True, embeds=("Name",))
    Name = Text(required=True)
    SystemProductType = Enum(eProductType, required=True)
    Description = Text(required=True)
    InvoiceLineDisplayAs = Text()
    Sku = Text()
    Tags = Text()
    DisplayOrder = Integer(default=0, nullable=False)
    Price = Money(required=True)
    Visible = Boolean(nullable=False)
    VisibleInKiosk = Boolean(nullable=False)
    AvailableToAi = Boolean(nullable=False)
    NotesForAi = Text()
    ShowPriceForAi = Boolean(nullable=False)
    PriceForAi = Number()
    SyncToSquare = Boolean(nullable=False)
    Currency = Reference("Currency", required=True, embeds=("Code",))
    TaxRate = Reference("TaxRate", embeds=(Embed("Name", trailing=True),), is_local=False)
    ReducedTaxRate = Reference("ReducedTaxRate", is_local=False)
    ExemptTaxRate = Reference("ExemptTaxRate", is_local=False)
    FinancialAccount = Reference("FinancialAccount", embeds=(Embed("Name", trailing=True),), is_local=False)
    AvailableAs = Enum(eRecurrentProductOptions, required=True)
    OnlyForContacts = Boolean(nullable=False)
    OnlyForMembers = Boolean(nullable=False)
    Tariffs = Collection("Tariff")
    Archived = Boolean(nullable=False)
    Starred = Boolean(nullable=False)
    TrackStock = Boolean(nullable=False)
    AllowNegativeStock = Boolean(nullable=False)
    CurrentStock = Integer(read_only=True)
    StockAlertLevel = Integer()
    ApplyProRating = Boolean(nullable=False)
    ImageFileName = Text(read_only=True)
    NewImageUrl = Text(write_only=True)
    ClearImageFile = Boolean(write_only=True)
    InvoiceCoworker = Boolean(nullable=False)
    SyncToNexKiosk = Boolean(nullable=False)
    CreateDeliveryWhenPurchased = Boolean(nullable=False)
