"""The charge that asks a customer for what no credit covered of a booking (rules 5, 23).

This module must not know how a booking was priced or decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import where
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Source
from creditdesk.schema.entity import Record
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class UncoveredPrice:
    """A booking as it was priced, and what no credit covered of it."""

    booking: Record
    source: Source
    price: Amount


async def add_charges(
    session: WriteSession, uncovered: Sequence[UncoveredPrice], context: RequestContext
) -> list[Record | None]:
    """The `CoworkerExtraService` that asks each customer for what no credit covered."""
    asked = [each for each in uncovered if each.price and each.source.rate is not None]
    if not asked:
        return [None] * len(uncovered)
    ids = {each.booking["Id"] for each in asked}
    named = await session.find(Booking, where(Booking, Id=ids), columns=("Id", "ResourceName"))
    rooms = {booking["Id"]: booking["ResourceName"] for booking in named}
    records = {each.booking["Id"]: _charge_record(each, rooms, context) for each in asked}
    charge_ids = await session.insert(CoworkerExtraService, list(records.values()))
    for record, charge_id in zip(records.values(), charge_ids, strict=True):
        record["Id"] = charge_id
    return [records.get(each.booking["Id"]) for each in uncovered]


def _charge_record(
    uncovered: UncoveredPrice, resource_names: Mapping[int, str], context: RequestContext
) -> Record:
    booking, source, rate = uncovered.booking, uncovered.source, uncovered.source.rate
    assert rate is not None
    values = {
        "CoworkerId": booking["CoworkerId"],
        "BusinessId": source.business_id,
        "ExtraServiceId": rate.id,
        "TotalUses": source.units(rate.charge_period),
        "RemainingUses": 0,
        "Price": uncovered.price,
        "ChargePeriod": rate.charge_period.value,
        "InvoiceThisCoworker": booking["InvoiceThisCoworker"],
        "PurchaseOrder": booking["PurchaseOrder"],
        "AutomaticallyAdded": True,
        "BookingId": booking["Id"],
        "BookingUniqueId": booking["UniqueId"],
        "BookingFromTime": booking["FromTime"],
        "BookingToTime": booking["ToTime"],
        "BookingResourceName": resource_names[booking["Id"]],
    }
    return new_record(CoworkerExtraService, values, context.now, context.principal.email)


def booking_charge_values(charge: Record, source: Source) -> dict[str, object]:
    """What a booking shows of its charge."""
    return {
        "CoworkerExtraServiceIds": str(charge["Id"]),
        "CoworkerExtraServicePrice": charge["Price"],
        "CoworkerExtraServiceCurrencyCode": source.currency,
        "CoworkerExtraServiceChargePeriod": charge["ChargePeriod"],
        "CoworkerExtraServiceTotalUses": charge["TotalUses"],
    }
