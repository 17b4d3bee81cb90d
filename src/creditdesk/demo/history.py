"""Credits of every kind, and the uses that fit them: the balance is what the uses leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from creditdesk.demo.factory import DEMO_START, FAR_FUTURE, RecordFactory
from creditdesk.demo.location import CURRENCY_UNIT, DemoLocation
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.mapping import (
    MONEY_MAPPING,
    TIME_MAPPING,
    CreditTypeMapping,
    stored_credit,
    stored_use,
)
from creditdesk.ledger.journal.opening import open_journal
from creditdesk.schema.entity import Record


@dataclass(frozen=True, slots=True)
class PlannedUse:
    """One use to be: when, how much, for what."""

    at: datetime
    amount: int
    sources: dict[str, Any]


def create_money_credit(
    factory: RecordFactory,
    location: DemoLocation,
    customer: Record,
    draws: Sequence[PlannedUse],
    limits: dict[str, Any],
) -> Record:
    """A money credit that has paid these draws; every so often one of them was given back."""
    spare = factory.choice((0, 0, 5, 10, 25, 60)) * CURRENCY_UNIT
    used = sum(draw.amount for draw in draws)
    total = -(-(used + spare) // (5 * CURRENCY_UNIT)) * 5 * CURRENCY_UNIT if spare else used
    granted, expires = _validity_period(factory, draws)
    credit = factory.create(
        MONEY_MAPPING.credit_entity,
        granted,
        CoworkerId=customer["Id"],
        BusinessId=location.business["Id"],
        TotalCredit=total,
        ValidFrom=granted,
        ExpireDate=expires,
        **limits,
    )
    rows = []
    for draw in draws:
        values = {"Description": "Paid with credit", **draw.sources}
        rows.append(_create_use(factory, MONEY_MAPPING, credit, draw.at, draw.amount, values))
        if factory.random.random() < 1 / 60:
            back = draw.at + timedelta(hours=1)
            given = {"Description": "Given back", **draw.sources}
            rows.append(_create_use(factory, MONEY_MAPPING, credit, back, -draw.amount, given))
    _open_journal(factory, MONEY_MAPPING, credit, rows)
    return credit


def create_time_credit(
    factory: RecordFactory,
    location: DemoLocation,
    customer: Record,
    draws: Sequence[PlannedUse],
    service: Record,
) -> Record:
    """Time or printing credit that has paid these draws, in whole uses."""
    spare = factory.choice((0, 15, 60, 120))
    granted, expires = _validity_period(factory, draws)
    credit = factory.create(
        TIME_MAPPING.credit_entity,
        granted,
        CoworkerId=customer["Id"],
        BusinessId=location.business["Id"],
        ExtraServiceId=service["Id"],
        TotalUses=sum(draw.amount for draw in draws) + spare,
        ChargePeriod=service["ChargePeriod"],
        Free=True,
        IsFromTariff=True,
        ValidFrom=granted,
        ExpireDate=expires,
    )
    rows = [_create_use(factory, TIME_MAPPING, credit, d.at, d.amount, d.sources) for d in draws]
    _open_journal(factory, TIME_MAPPING, credit, rows)
    return credit


def create_booking_charge(
    factory: RecordFactory, location: DemoLocation, customer: Record, booking: Record, room: Record
) -> Record:
    """What a booking costs beyond credit: it looks like time credit and has no balance (rule 5)."""
    minutes = int((booking["ToTime"] - booking["FromTime"]).total_seconds()) // 60
    return factory.create(
        TIME_MAPPING.credit_entity,
        booking["FromTime"],
        CoworkerId=customer["Id"],
        BusinessId=location.business["Id"],
        ExtraServiceId=location.rate["Id"],
        TotalUses=minutes,
        RemainingUses=minutes,
        ChargePeriod=location.rate["ChargePeriod"],
        Price=minutes * location.rate["Price"],
        BookingId=booking["Id"],
        BookingUniqueId=booking["UniqueId"],
        BookingFromTime=booking["FromTime"],
        BookingToTime=booking["ToTime"],
        BookingResourceName=room["Name"],
    )


def create_unused_credits(factory: RecordFactory, location: DemoLocation, customer: Record) -> None:
    """Credit that nothing has touched: lapsed, not yet valid, and without any limit in time."""
    for description, first, last in (
        ("Lapsed before it was used", DEMO_START, DEMO_START + timedelta(days=60)),
        ("Not yet valid", FAR_FUTURE, FAR_FUTURE + timedelta(days=365)),
        ("Never lapses", None, None),
    ):
        credit = factory.create(
            MONEY_MAPPING.credit_entity,
            DEMO_START,
            CoworkerId=customer["Id"],
            BusinessId=location.business["Id"],
            Description=description,
            TotalCredit=50 * CURRENCY_UNIT,
            ValidFrom=first,
            ExpireDate=last,
            CaneBeUsedForBookings=True,
        )
        _open_journal(factory, MONEY_MAPPING, credit, ())


def credit_restrictions(place: int, location: DemoLocation) -> dict[str, Any]:
    """The limits of a customer's credit in turn: bookings, some types, events, everything."""
    match place % 4:
        case 0:
            return {
                "Description": "Monthly credit",
                "CaneBeUsedForBookings": True,
                "TariffBookingCreditId": location.benefits[0]["Id"],
            }
        case 1:
            return {
                "Description": "Meeting rooms only",
                "CaneBeUsedForBookings": True,
                "ElegibleResourceTypes": (location.types[0]["Id"],),
                "UseCreditPrice": True,
            }
        case 2:
            return {
                "Description": "Events only",
                "CaneBeUsedForEvents": True,
                "EventCategories": tuple(category["Id"] for category in location.categories),
            }
        case _:
            return {
                "Description": "Credit for everything",
                "CaneBeUsedForBookings": True,
                "CaneBeUsedForEvents": True,
                "IsUniversalCredit": True,
            }


def _validity_period(
    factory: RecordFactory, draws: Sequence[PlannedUse]
) -> tuple[datetime, datetime | None]:
    """Granted some days before the first draw; valid to beyond the last one, or for good."""
    granted = draws[0].at - timedelta(days=factory.random.randrange(1, 11))
    lapses = draws[-1].at + timedelta(days=factory.random.randrange(20, 90))
    return granted, factory.choice((None, FAR_FUTURE, lapses, lapses))


def _create_use(
    factory: RecordFactory,
    side: CreditTypeMapping,
    credit: Record,
    at: datetime,
    used: int,
    values: dict[str, Any],
) -> Record:
    return factory.create(
        side.history_entity,
        at,
        **{side.credit_reference: credit["Id"], "CreditUsed": used},
        **values,
    )


def _open_journal(
    factory: RecordFactory, side: CreditTypeMapping, credit: Record, rows: Sequence[Record]
) -> None:
    """The credit's journal and its balance, both from its use rows."""
    credit[side.remaining_field] = credit[side.total_field] - sum(row["CreditUsed"] for row in rows)
    journal = open_journal(
        side, stored_credit(side, credit), [stored_use(side, row) for row in rows]
    )
    factory.add(JournalLine, journal.entry_records(factory.unique_id))
    factory.add(AccountState, [journal.state_record(credit["CreatedOn"], factory.unique_id())])
