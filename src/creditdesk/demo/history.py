"""Credits of every kind, and the uses that fit them: the balance is what the uses leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from creditdesk.demo.factory import FAR, START, Maker
from creditdesk.demo.location import UNIT, Location
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.accounts import opened
from creditdesk.ledger.journal.mapping import MONEY, TIME, Side
from creditdesk.schema.entity import Record


@dataclass(frozen=True, slots=True)
class Draw:
    """One use to be: when, how much, for what."""

    at: datetime
    amount: int
    sources: dict[str, Any]


def money_credit(
    maker: Maker, here: Location, customer: Record, draws: Sequence[Draw], limits: dict[str, Any]
) -> Record:
    """A money credit that has paid these draws; every so often one of them was given back."""
    spare = maker.one_of((0, 0, 5, 10, 25, 60)) * UNIT
    used = sum(draw.amount for draw in draws)
    total = -(-(used + spare) // (5 * UNIT)) * 5 * UNIT if spare else used
    granted, expires = _window(maker, draws)
    credit = maker.make(
        MONEY.credit,
        granted,
        CoworkerId=customer["Id"],
        BusinessId=here.business["Id"],
        TotalCredit=total,
        ValidFrom=granted,
        ExpireDate=expires,
        **limits,
    )
    rows = []
    for draw in draws:
        values = {"Description": "Paid with credit", **draw.sources}
        rows.append(_history(maker, MONEY, credit, draw.at, draw.amount, values))
        if maker.chance.random() < 1 / 60:
            back = draw.at + timedelta(hours=1)
            given = {"Description": "Given back", **draw.sources}
            rows.append(_history(maker, MONEY, credit, back, -draw.amount, given))
    _open(maker, MONEY, credit, rows)
    return credit


def uses_credit(
    maker: Maker, here: Location, customer: Record, draws: Sequence[Draw], service: Record
) -> Record:
    """Time or printing credit that has paid these draws, in whole uses."""
    spare = maker.one_of((0, 15, 60, 120))
    granted, expires = _window(maker, draws)
    credit = maker.make(
        TIME.credit,
        granted,
        CoworkerId=customer["Id"],
        BusinessId=here.business["Id"],
        ExtraServiceId=service["Id"],
        TotalUses=sum(draw.amount for draw in draws) + spare,
        ChargePeriod=service["ChargePeriod"],
        Free=True,
        IsFromTariff=True,
        ValidFrom=granted,
        ExpireDate=expires,
    )
    rows = [_history(maker, TIME, credit, d.at, d.amount, d.sources) for d in draws]
    _open(maker, TIME, credit, rows)
    return credit


def booking_charge(
    maker: Maker, here: Location, customer: Record, booking: Record, room: Record
) -> Record:
    """What a booking costs beyond credit: it looks like time credit and has no balance (rule 5)."""
    minutes = int((booking["ToTime"] - booking["FromTime"]).total_seconds()) // 60
    return maker.make(
        TIME.credit,
        booking["FromTime"],
        CoworkerId=customer["Id"],
        BusinessId=here.business["Id"],
        ExtraServiceId=here.rate["Id"],
        TotalUses=minutes,
        RemainingUses=minutes,
        ChargePeriod=here.rate["ChargePeriod"],
        Price=minutes * here.rate["Price"],
        BookingId=booking["Id"],
        BookingUniqueId=booking["UniqueId"],
        BookingFromTime=booking["FromTime"],
        BookingToTime=booking["ToTime"],
        BookingResourceName=room["Name"],
    )


def unused_credits(maker: Maker, here: Location, customer: Record) -> None:
    """Credit that nothing has touched: lapsed, not yet valid, and without any limit in time."""
    for description, first, last in (
        ("Lapsed before it was used", START, START + timedelta(days=60)),
        ("Not yet valid", FAR, FAR + timedelta(days=365)),
        ("Never lapses", None, None),
    ):
        credit = maker.make(
            MONEY.credit,
            START,
            CoworkerId=customer["Id"],
            BusinessId=here.business["Id"],
            Description=description,
            TotalCredit=50 * UNIT,
            ValidFrom=first,
            ExpireDate=last,
            CaneBeUsedForBookings=True,
        )
        _open(maker, MONEY, credit, ())


def limits_of(place: int, here: Location) -> dict[str, Any]:
    """The limits of a customer's credit in turn: bookings, some types, events, everything."""
    match place % 4:
        case 0:
            return {
                "Description": "Monthly credit",
                "CaneBeUsedForBookings": True,
                "TariffBookingCreditId": here.benefits[0]["Id"],
            }
        case 1:
            return {
                "Description": "Meeting rooms only",
                "CaneBeUsedForBookings": True,
                "ElegibleResourceTypes": (here.types[0]["Id"],),
                "UseCreditPrice": True,
            }
        case 2:
            return {
                "Description": "Events only",
                "CaneBeUsedForEvents": True,
                "EventCategories": tuple(category["Id"] for category in here.categories),
            }
        case _:
            return {
                "Description": "Credit for everything",
                "CaneBeUsedForBookings": True,
                "CaneBeUsedForEvents": True,
                "IsUniversalCredit": True,
            }


def _window(maker: Maker, draws: Sequence[Draw]) -> tuple[datetime, datetime | None]:
    """Granted some days before the first draw; valid to beyond the last one, or for good."""
    granted = draws[0].at - timedelta(days=maker.chance.randrange(1, 11))
    lapses = draws[-1].at + timedelta(days=maker.chance.randrange(20, 90))
    return granted, maker.one_of((None, FAR, lapses, lapses))


def _history(
    maker: Maker, side: Side, credit: Record, at: datetime, used: int, values: dict[str, Any]
) -> Record:
    return maker.make(
        side.history, at, **{side.reference: credit["Id"], "CreditUsed": used}, **values
    )


def _open(maker: Maker, side: Side, credit: Record, rows: Sequence[Record]) -> None:
    """The credit's journal and its balance, both from its use rows."""
    credit[side.remaining] = credit[side.total] - sum(row["CreditUsed"] for row in rows)
    journal = opened(side, credit, rows)
    maker.gather(JournalLine, journal.line_records(maker.unique_id))
    maker.gather(CreditState, [journal.state_record(credit["CreatedOn"], maker.unique_id)])
