"""Creates credits of every kind with their uses; the balance is what the uses leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from creditdesk.demo.factory import RecordFactory
from creditdesk.demo.location import CURRENCY_UNIT, DemoLocation
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.mapping import (
    MONEY_MAPPING,
    TIME_MAPPING,
    CreditTypeMapping,
    stored_credit,
    stored_use,
)
from creditdesk.ledger.journal.opening import GrantOrigin, open_journal
from creditdesk.ledger.journal.terms import grant_document
from creditdesk.ledger.rules.funding import UNKNOWN_FUNDING, Funding, FundingKind
from creditdesk.schema.entity import Record

LAST_DAYS: Final = timedelta(days=3)
"""The time around the end of the demo in which no credit of its customers expires."""


@dataclass(frozen=True, slots=True)
class PlannedUse:
    """A use before it is created: time, amount, and what it pays for."""

    at: datetime
    amount: int
    sources: dict[str, Any]


def create_money_credit(
    factory: RecordFactory,
    location: DemoLocation,
    customer: Record,
    uses: Sequence[PlannedUse],
    limits: dict[str, Any],
) -> Record:
    """A money credit that has paid these uses; about one in 60 was returned."""
    spare = factory.choice((0, 0, 5, 10, 25, 60)) * CURRENCY_UNIT
    used = sum(use.amount for use in uses)
    total = -(-(used + spare) // (5 * CURRENCY_UNIT)) * 5 * CURRENCY_UNIT if spare else used
    granted, expires = _validity_period(factory, uses)
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
    for use in uses:
        values = {"Description": "Paid with credit", **use.sources}
        rows.append(_create_use(factory, MONEY_MAPPING, credit, use.at, use.amount, values))
        if factory.random.random() < 1 / 60:
            back = use.at + timedelta(hours=1)
            values = {"Description": "Returned", **use.sources}
            rows.append(_create_use(factory, MONEY_MAPPING, credit, back, -use.amount, values))
    open_credit_journal(factory, MONEY_MAPPING, credit, rows, Cause.ISSUED)
    return credit


def create_time_credit(
    factory: RecordFactory,
    location: DemoLocation,
    customer: Record,
    uses: Sequence[PlannedUse],
    service: Record,
) -> Record:
    """A time or printing credit that has paid these uses."""
    spare = factory.choice((0, 15, 60, 120))
    granted, expires = _validity_period(factory, uses)
    credit = factory.create(
        TIME_MAPPING.credit_entity,
        granted,
        CoworkerId=customer["Id"],
        BusinessId=location.business["Id"],
        ExtraServiceId=service["Id"],
        Price=0,
        TotalUses=sum(use.amount for use in uses) + spare,
        ChargePeriod=service["ChargePeriod"],
        Free=True,
        IsFromTariff=True,
        ValidFrom=granted,
        ExpireDate=expires,
    )
    rows = [_create_use(factory, TIME_MAPPING, credit, d.at, d.amount, d.sources) for d in uses]
    open_credit_journal(factory, TIME_MAPPING, credit, rows, Cause.RENEWED)
    return credit


def create_booking_charge(
    factory: RecordFactory, location: DemoLocation, customer: Record, booking: Record, room: Record
) -> Record:
    """The charge for a booking: it has the shape of time credit but no balance (rule 5)."""
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
        Price=minutes * location.rate["Price"] // 60,
        BookingId=booking["Id"],
        BookingUniqueId=booking["UniqueId"],
        BookingFromTime=booking["FromTime"],
        BookingToTime=booking["ToTime"],
        BookingResourceName=room["Name"],
    )


def create_unused_credits(factory: RecordFactory, location: DemoLocation, customer: Record) -> None:
    """Unused credits: expired, not yet valid, and valid without limit."""
    for description, first, last in (
        ("Expired before it was used", factory.start, factory.start + timedelta(days=60)),
        ("Not yet valid", factory.far_future, factory.far_future + timedelta(days=365)),
        ("Never expires", None, None),
    ):
        credit = factory.create(
            MONEY_MAPPING.credit_entity,
            factory.start,
            CoworkerId=customer["Id"],
            BusinessId=location.business["Id"],
            Description=description,
            TotalCredit=50 * CURRENCY_UNIT,
            ValidFrom=first,
            ExpireDate=last,
            CaneBeUsedForBookings=True,
        )
        open_credit_journal(factory, MONEY_MAPPING, credit, (), Cause.ISSUED)


def credit_restrictions(place: int, location: DemoLocation) -> dict[str, Any]:
    """Restrictions by turns: bookings, some resource types, events, none."""
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


def _validity_period(factory: RecordFactory, uses: Sequence[PlannedUse]) -> tuple[datetime, datetime | None]:
    """Granted some days before the first use; valid beyond the last one, or without limit."""
    granted = uses[0].at - timedelta(days=factory.random.randrange(1, 11))
    expires = uses[-1].at + timedelta(days=factory.random.randrange(20, 90))
    if abs(expires - factory.ends) < LAST_DAYS:
        # A fresh demo has no expiry to record but the one that it plants.
        expires += 2 * LAST_DAYS
    return granted, factory.choice((None, factory.far_future, expires, expires))


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


def open_credit_journal(
    factory: RecordFactory,
    side: CreditTypeMapping,
    credit: Record,
    rows: Sequence[Record],
    cause: Cause,
    reason: str = "granted",
) -> None:
    """Derives the credit's journal and its balance from its uses."""
    credit[side.remaining_field] = credit[side.total_field] - sum(row["CreditUsed"] for row in rows)
    uses = [stored_use(side, row) for row in rows]
    journal = open_journal(side, stored_credit(side, credit), uses, origin=_origin(side, credit, cause, reason))
    journal.assign_ids(factory.line_ids, lambda _: factory.unique_id())
    factory.add(JournalLine, journal.records)
    factory.add(AccountState, [journal.state_record(credit["CreatedOn"], factory.unique_id())])


def _origin(side: CreditTypeMapping, credit: Record, cause: Cause, reason: str) -> GrantOrigin:
    """Where the credit came from, as its record says: from a plan, or unknown."""
    is_from_plan = credit.get("IsFromTariff") or credit.get("TariffBookingCreditId")
    funding = Funding(FundingKind.PLAN) if is_from_plan else UNKNOWN_FUNDING
    return GrantOrigin(cause, funding, grant_document(side.credit_entity, credit, funding), reason)
