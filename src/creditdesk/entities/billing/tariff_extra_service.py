"""Declares `TariffExtraService`, served at `/api/billing/tariffextraservices`."""

from __future__ import annotations

from creditdesk.entities.enums import eTimeSpanWeekMonth
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Embed, Enum, Integer, Reference


class TariffExtraService(Entity, area="billing", plural="tariffextraservices", scope="TariffBusinessId"):
    """Time or printing credit that a plan renews."""

    Tariff = Reference("Tariff", required=True, embeds=("Name",), filter_only=("Business.Id",))
    ExtraService = Reference(
        "ExtraService",
        required=True,
        embeds=(
            "Name",
            Embed("ChargePeriod", as_text=True),
            Embed("IsBookingCredit", as_text=True),
            Embed("IsPrintingCredit", as_text=True),
        ),
    )
    UsesIncluded = Integer(required=True)
    ServiceRenewalTime = Enum(eTimeSpanWeekMonth, required=True)
