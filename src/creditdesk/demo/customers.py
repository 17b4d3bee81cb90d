"""The customers of the demo house: who they are, and a year and a half of what they did."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from creditdesk.demo.factory import START, Maker
from creditdesk.demo.history import (
    Draw,
    booking_charge,
    limits_of,
    money_credit,
    unused_credits,
    uses_credit,
)
from creditdesk.demo.location import UNIT, Location
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_invoice import CoworkerInvoice
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.entity import Record

FIRST_NAMES = (
    "Ada", "Bruno", "Chiara", "Dewi", "Emil", "Fatima", "Goran", "Hana", "Ines", "Jonas",
    "Kenji", "Lucía", "Mina", "Noor", "Olga", "Pavel", "Rui", "Sofie", "Tomás", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Almeida", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ito",
    "Jansen", "Kowalski", "Lund", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Šimić",
)  # fmt: skip
MONEY_SHARE, TIME_SHARE = 0.7, 0.22
MONEY_DRAWS, TIME_DRAWS = 12, 15
"""How many draws a credit has paid, more or less."""


def customer(maker: Maker, here: Location, number: int) -> Record:
    """A person, or every tenth time a company, with a plan."""
    name = f"{maker.one_of(FIRST_NAMES)} {maker.one_of(LAST_NAMES)}"
    company = number % 10 == 9
    plan = maker.one_of(here.plans)
    who = maker.make(
        Coworker,
        START,
        CoworkerType=2 if company else 1,
        FullName=f"{name} & Co" if company else name,
        Email=f"customer{number + 1}@demo.creditdesk.example",
        CountryId=1,
        SimpleTimeZoneId=1,
        Active=True,
        InvoicingBusinessId=here.business["Id"],
        Businesses=(here.business["Id"],),
        TariffId=plan["Id"],
        BillingDay=1 + number % 28,
        RegistrationDate=START,
    )
    maker.make(
        CoworkerContract,
        START,
        IssuedById=here.business["Id"],
        CoworkerId=who["Id"],
        TariffId=plan["Id"],
        StartDate=START,
        BillingDay=who["BillingDay"],
        Price=plan["Price"],
        Quantity=1,
        Active=True,
        MainContract=True,
        CancellationReason=99,
    )
    if number % 3 == 0:
        maker.make(
            CoworkerProduct,
            START,
            CoworkerId=who["Id"],
            BusinessId=here.business["Id"],
            ProductId=here.bundle["Id"],
            Price=here.bundle["Price"],
            Quantity=1,
            RepeatCycle=4,
            DiscountAmount=0,
            Activated=True,
        )
    return who


def past(maker: Maker, here: Location, who: Record, uses: int, number: int) -> None:
    """So many uses over a year and a half, and the credits that paid them."""
    if number < 4:
        unused_credits(maker, here, who)
    money = round(uses * MONEY_SHARE)
    time = round(uses * TIME_SHARE)
    visits = _Visits(maker, here, who)
    for turn, moments in enumerate(_moments(maker, money, MONEY_DRAWS)):
        limits = limits_of(turn + number, here)
        draws = [visits.money_draw(at, limits) for at in moments]
        money_credit(maker, here, who, draws, limits)
    for moments in _moments(maker, time, TIME_DRAWS):
        uses_credit(maker, here, who, [visits.time_draw(at) for at in moments], here.rate)
    for moments in _moments(maker, uses - money - time, MONEY_DRAWS):
        pages = [Draw(at, maker.chance.randrange(1, 30), {}) for at in moments]
        uses_credit(maker, here, who, pages, here.printing)


def team(maker: Maker, here: Location, members: list[Record], number: int) -> None:
    """Customers who share their credit; what they share differs from team to team."""
    ids = tuple(member["Id"] for member in members)
    maker.make(
        Team,
        START,
        BusinessId=here.business["Id"],
        Name=f"Team {number + 1}",
        TeamMembers=ids,
        TeamAdministrators=ids[:1],
        PayingMemberId=ids[0],
        ShareBookingCredit=number % 2 == 0,
        ShareExtraServices=number % 3 == 0,
        TransferCreditsToPayingMember=number % 5 == 4,
    )


def _moments(maker: Maker, count: int, each: int) -> list[list[datetime]]:
    """So many instants in their order, cut into the pasts of one credit each."""
    moments = sorted(maker.instant(12) for _ in range(count))
    return [moments[start : start + each] for start in range(0, count, each)]


class _Visits:
    """What a customer did and credit paid: bookings, events, purchases."""

    def __init__(self, maker: Maker, here: Location, who: Record) -> None:
        self.maker, self.here, self.who = maker, here, who
        self.latest: Record | None = None

    def money_draw(self, at: datetime, limits: dict[str, Any]) -> Draw:
        amount = self.maker.chance.randrange(200, 6000) * 100
        if limits.get("IsUniversalCredit"):
            return Draw(at, amount, self._purchase(at, amount))
        if limits.get("CaneBeUsedForBookings"):
            meeting_room = bool(limits.get("ElegibleResourceTypes"))
            booking = self._booking(at, meeting_room=meeting_room)
            return Draw(at, amount, {"BookingId": booking["Id"]})
        return Draw(at, self.here.tickets[0][1]["Price"], self._attendance(at))

    def time_draw(self, at: datetime) -> Draw:
        booking = self._booking(at, meeting_room=False)
        minutes = int((booking["ToTime"] - booking["FromTime"]).total_seconds()) // 60
        return Draw(at, minutes, {"BookingId": booking["Id"]})

    def _booking(self, at: datetime, *, meeting_room: bool) -> Record:
        """A booking; now and then the latest one again, as several credits may pay for one."""
        if not meeting_room and self.latest is not None and self.maker.chance.random() < 0.4:
            return self.latest
        room = self.maker.one_of(self.here.rooms[:4] if meeting_room else self.here.rooms)
        length = timedelta(minutes=30 * self.maker.chance.randrange(1, 9))
        self.latest = self.maker.make(
            Booking,
            at,
            ResourceId=room["Id"],
            CoworkerId=self.who["Id"],
            ExtraServiceId=self.here.rate["Id"],
            FromTime=at,
            ToTime=at + length,
            Repeats=1,
            WhichBookingsToUpdate=1,
            Invoiced=True,
        )
        if self.maker.chance.random() < 1 / 20:
            booking_charge(self.maker, self.here, self.who, self.latest, room)
        return self.latest

    def _attendance(self, at: datetime) -> dict[str, Any]:
        month = min((at - START).days // 30, len(self.here.tickets) - 1)
        event, ticket = self.here.tickets[month]
        attendee = self.maker.make(
            EventAttendee,
            at,
            BusinessId=self.here.business["Id"],
            CalendarEventId=event["Id"],
            EventProductId=ticket["Id"],
            CoworkerId=self.who["Id"],
            FullName=self.who["FullName"],
            Email=self.who["Email"],
        )
        return {"EventAttendeeId": attendee["Id"]}

    def _purchase(self, at: datetime, amount: int) -> dict[str, Any]:
        """An invoice of one line; every third purchase was paid at the bar without one."""
        if self.maker.chance.random() < 1 / 3:
            return {"Description": "Bar and kitchen"}
        invoice = self.maker.make(
            CoworkerInvoice,
            at,
            CoworkerId=self.who["Id"],
            BusinessId=self.here.business["Id"],
            CurrencyId=self.here.currency["Id"],
            BillToName=self.who["FullName"],
            BillToCountryId=1,
            TotalAmount=amount,
            Paid=True,
            PaidOn=at,
            StorecoveInvoiceStatus=1,
        )
        invoice["InvoiceNumber"] = f"{self.here.currency['Code']}-{invoice['Id']:06d}"
        line = self.maker.make(
            CoworkerInvoiceLine,
            at,
            CoworkerInvoiceId=invoice["Id"],
            Description=self.here.coffee["Name"],
            Quantity=max(1, amount // (3 * UNIT)),
            SubTotal=amount,
            CreditAmount=amount,
            Position=1,
            SaleDate=at,
        )
        return {"CoworkerInvoiceLineId": line["Id"]}
