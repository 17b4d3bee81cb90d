"""The charge for what no credit covered of a booking (rules 5, 23)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.ledger.loaders.bookings import LockedBooking, load_resource_names
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Rate, Source
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.schema.entity import Record
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class UncoveredPrice:
    """A booking as it was priced, and what no credit covered of it."""

    booking: LockedBooking
    source: Source
    price: Amount


class BookingCharge(Struct, frozen=True):
    """A charge that was added for a booking. `total_uses` counts charge periods of the rate."""

    id: int
    price: Amount
    charge_period: ChargePeriod
    total_uses: int


async def add_charges(
    session: WriteSession, uncovered: Sequence[UncoveredPrice], context: RequestContext
) -> list[BookingCharge | None]:
    """Adds a charge for each price above zero at a rate; None for the others."""
    rates = [each.source.rate if each.price else None for each in uncovered]
    charged = [(each, rate) for each, rate in zip(uncovered, rates, strict=True) if rate is not None]
    if not charged:
        return [None] * len(uncovered)
    names = await load_resource_names(session, [each.booking.id for each, _ in charged])
    records = [_charge_record(each, rate, names, context) for each, rate in charged]
    charge_ids = await session.insert(CoworkerExtraService, records)
    charges = iter(
        BookingCharge(charge_id, each.price, rate.charge_period, each.source.units(rate.charge_period))
        for charge_id, (each, rate) in zip(charge_ids, charged, strict=True)
    )
    return [None if rate is None else next(charges) for rate in rates]


def _charge_record(
    uncovered: UncoveredPrice,
    rate: Rate,
    resource_names: Mapping[int, str],
    context: RequestContext,
) -> Record:
    booking, source = uncovered.booking, uncovered.source
    values = {
        "CoworkerId": booking.coworker_id,
        "BusinessId": source.business_id,
        "ExtraServiceId": rate.id,
        "TotalUses": source.units(rate.charge_period),
        "RemainingUses": 0,
        "Price": uncovered.price,
        "ChargePeriod": rate.charge_period.value,
        "InvoiceThisCoworker": booking.invoice_this_coworker,
        "PurchaseOrder": booking.purchase_order,
        "AutomaticallyAdded": True,
        "BookingId": booking.id,
        "BookingUniqueId": booking.unique_id,
        "BookingFromTime": booking.from_time,
        "BookingToTime": booking.to_time,
        "BookingResourceName": resource_names.get(booking.id),
    }
    return new_record(CoworkerExtraService, values, context.now, context.principal.email)


def booking_charge_values(charge: BookingCharge, source: Source) -> dict[str, object]:
    """The columns by which a booking shows its charge."""
    return {
        "CoworkerExtraServiceIds": str(charge.id),
        "CoworkerExtraServicePrice": charge.price,
        "CoworkerExtraServiceCurrencyCode": source.currency,
        "CoworkerExtraServiceChargePeriod": charge.charge_period.value,
        "CoworkerExtraServiceTotalUses": charge.total_uses,
    }
