"""The charge that asks a customer for what no credit covered of a booking (rules 5, 23).

This module must not know how a booking was priced or decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import new_record, where
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Source
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Unit
from creditdesk.schema.service import Call


@dataclass(frozen=True, slots=True)
class OpenPrice:
    """A booking as it was priced, and what no credit covered of it."""

    booking: Record
    source: Source
    price: Amount


async def add_charges(
    unit: Unit, open_prices: Sequence[OpenPrice], call: Call
) -> list[Record | None]:
    """The `CoworkerExtraService` that asks each customer for what no credit covered."""
    asked = [each for each in open_prices if each.price and each.source.rate is not None]
    if not asked:
        return [None] * len(open_prices)
    ids = {each.booking["Id"] for each in asked}
    named = await unit.find(Booking, where(Booking, Id=ids), names=("Id", "ResourceName"))
    rooms = {booking["Id"]: booking["ResourceName"] for booking in named}
    records = {each.booking["Id"]: _charge_of(each, rooms, call) for each in asked}
    charge_ids = await unit.insert(CoworkerExtraService, list(records.values()))
    for record, charge_id in zip(records.values(), charge_ids, strict=True):
        record["Id"] = charge_id
    return [records.get(each.booking["Id"]) for each in open_prices]


def _charge_of(open_price: OpenPrice, rooms: Mapping[int, str], call: Call) -> Record:
    booking, source, rate = open_price.booking, open_price.source, open_price.source.rate
    assert rate is not None
    values = {
        "CoworkerId": booking["CoworkerId"],
        "BusinessId": source.business_id,
        "ExtraServiceId": rate.id,
        "TotalUses": source.units(rate.charge_period),
        "RemainingUses": 0,
        "Price": open_price.price,
        "ChargePeriod": rate.charge_period.value,
        "InvoiceThisCoworker": booking["InvoiceThisCoworker"],
        "PurchaseOrder": booking["PurchaseOrder"],
        "AutomaticallyAdded": True,
        "BookingId": booking["Id"],
        "BookingUniqueId": booking["UniqueId"],
        "BookingFromTime": booking["FromTime"],
        "BookingToTime": booking["ToTime"],
        "BookingResourceName": rooms[booking["Id"]],
    }
    return new_record(CoworkerExtraService, values, call.now, call.caller.email)


def shown_on_booking(charge: Record, source: Source) -> dict[str, object]:
    """What a booking shows of its charge."""
    return {
        "CoworkerExtraServiceIds": str(charge["Id"]),
        "CoworkerExtraServicePrice": charge["Price"],
        "CoworkerExtraServiceCurrencyCode": source.currency,
        "CoworkerExtraServiceChargePeriod": charge["ChargePeriod"],
        "CoworkerExtraServiceTotalUses": charge["TotalUses"],
    }
