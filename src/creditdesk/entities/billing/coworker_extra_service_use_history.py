"""Declares `CoworkerExtraServiceUseHistory`, served at `/api/billing/coworkerextraserviceusehistories`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Lend, Reference


class CoworkerExtraServiceUseHistory(
    Entity,
    verbs=("list", "get", "create"),
    area="billing",
    plural="coworkerextraserviceusehistories",
    scope="CoworkerExtraServiceBusinessId",
    tallied=True,
    indexed=("SystemId", "UpdatedBy"),
    append_only=True,
    editable=("UpdatedOn", "UpdatedBy", "SystemId", "CustomFields"),
):
    """One draw on a customer's time or printing credit."""

    CoworkerExtraService = Reference(
        to="CoworkerExtraService",
        required=True,
        lends=(
            Lend(path="Coworker.Id", newest=True, indexed=True),
            Lend(path="ExtraService.IsPrintingCredit", newest=True, indexed=True),
            Lend(path="ExtraService.Name", newest=True, indexed=True),
            Lend(path="ExpireDate", newest=True, indexed=True),
            Lend(path="RemainingUses", newest=True),
            Lend(path="IsFromTariff", newest=True, indexed=True),
            Lend(path="CoworkerProductUniqueId", newest=True, indexed=True),
        ),
        filters=(Lend(path="Business.Id", indexed=True),),
    )
    Booking = Reference(
        to="Booking",
        lends=(
            Lend(path="FromTime", indexed=True),
            Lend(path="ToTime", indexed=True),
            Lend(path="Resource.Name", indexed=True),
        ),
    )
    CreditUsed = Integer(read_only=True, indexed=True)
