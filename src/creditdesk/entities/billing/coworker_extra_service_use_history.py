"""Declares `CoworkerExtraServiceUseHistory`, served at `/api/billing/coworkerextraserviceusehistories`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.kinds import Integer, Lend, Reference


class CoworkerExtraServiceUseHistory(
    Entity,
    verbs=("list", "get", "create"),
    area="billing",
    plural="coworkerextraserviceusehistories",
    scope="CoworkerExtraServiceBusinessId",
    tallied=True,
    append_only=True,
    editable=("UpdatedOn", "UpdatedBy", "SystemId", "CustomFields"),
):
    """One draw on a customer's time or printing credit."""

    CoworkerExtraService = Reference(
        to="CoworkerExtraService",
        required=True,
        lends=(
            Lend(path="Coworker.Id", newest=True),
            Lend(path="ExtraService.IsPrintingCredit", newest=True),
            Lend(path="ExtraService.Name", newest=True),
            Lend(path="ExpireDate", newest=True),
            Lend(path="RemainingUses", newest=True),
            Lend(path="IsFromTariff", newest=True),
            Lend(path="CoworkerProductUniqueId", newest=True),
        ),
        filters=("Business.Id",),
    )
    Booking = Reference(to="Booking", lends=("FromTime", "ToTime", "Resource.Name"))
    CreditUsed = Integer(read_only=True)
