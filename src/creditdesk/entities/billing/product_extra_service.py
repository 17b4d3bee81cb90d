"""Declares `ProductExtraService`, served at `/api/billing/productextraservices`."""

from __future__ import annotations

from creditdesk.entities.enums import eRecurrentChargePattern
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Embed, Enum, Integer, Reference


class ProductExtraService(Entity, area="billing", plural="productextraservices", scope="ProductBusinessId"):
    """Time or printing credit that a product includes."""

    Product = Reference("Product", required=True, embeds=("Name",), filter_only=("Business.Id",))
    ExtraService = Reference(
        "ExtraService",
        required=True,
        embeds=(
            "Name",
            Embed("ChargePeriod", as_text=True),
            "IsBookingCredit",
            "IsPrintingCredit",
        ),
    )
    UsesIncluded = Integer(required=True)
    ExpireTimeInMonths = Integer()
    ExpireTimeInWeeks = Integer()
    ExpirationType = Enum(eRecurrentChargePattern, nullable=False)
    ExpiresIn = Integer()
