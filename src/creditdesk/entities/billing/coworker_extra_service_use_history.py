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
    counted=True,
    indexed=("SystemId", "UpdatedBy"),
    append_only=True,
    mutable_fields=("UpdatedOn", "UpdatedBy", "SystemId", "CustomFields"),
):
    """A use of a customer's time or printing credit."""

    CoworkerExtraService = Reference(
        to="CoworkerExtraService",
        required=True,
        embeds=(
            Embed(path="Coworker.Id", trailing=True, indexed=True),
            Embed(path="ExtraService.IsPrintingCredit", trailing=True, indexed=True),
            Embed(path="ExtraService.Name", trailing=True, indexed=True),
            Embed(path="ExpireDate", trailing=True, indexed=True),
            Embed(path="RemainingUses", trailing=True),
            Embed(path="IsFromTariff", trailing=True, indexed=True),
            Embed(path="CoworkerProductUniqueId", trailing=True, indexed=True),
        ),
        filter_only=(Embed(path="Business.Id", indexed=True),),
    )
    Booking = Reference(
        to="Booking",
        embeds=(
            Embed(path="FromTime", indexed=True),
            Embed(path="ToTime", indexed=True),
            Embed(path="Resource.Name", indexed=True),
        ),
    )
    CreditUsed = Integer(read_only=True, indexed=True)
