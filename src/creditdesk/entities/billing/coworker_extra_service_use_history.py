"""Declares `CoworkerExtraServiceUseHistory`, served at `/api/billing/coworkerextraserviceusehistories`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Embed, Integer, Reference


class CoworkerExtraServiceUseHistory(
    Entity,
    verbs=("list", "get", "create"),
    area="billing",
    plural="coworkerextraserviceusehistories",
    scope="CoworkerExtraServiceBusinessId",
    owner="CoworkerExtraServiceCoworkerId",
    counted=True,
    indexed=("SystemId", "UpdatedBy"),
    append_only=True,
    mutable_fields=("UpdatedOn", "UpdatedBy", "SystemId", "CustomFields"),
):
    """A use of a customer's time or printing credit."""

    CoworkerExtraService = Reference(
        "CoworkerExtraService",
        required=True,
        embeds=(
            Embed("Coworker.Id", trailing=True, indexed=True),
            Embed("ExtraService.IsPrintingCredit", trailing=True, indexed=True),
            Embed("ExtraService.Name", trailing=True, indexed=True, low_cardinality=True),
            Embed("ExpireDate", trailing=True, indexed=True),
            Embed("RemainingUses", trailing=True),
            Embed("IsFromTariff", trailing=True, indexed=True),
            Embed("CoworkerProductUniqueId", trailing=True, indexed=True),
        ),
        filter_only=(Embed("Business.Id", indexed=True),),
    )
    Booking = Reference(
        "Booking",
        embeds=(
            Embed("FromTime", indexed=True),
            Embed("ToTime", indexed=True),
            Embed("Resource.Name", indexed=True, low_cardinality=True),
        ),
    )
    CreditUsed = Integer(read_only=True, indexed=True)
