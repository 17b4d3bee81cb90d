"""The customers of the demo: their plans, and a year and a half of bookings and uses."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from creditdesk.demo.factory import RecordFactory
from creditdesk.demo.history import (
    PlannedUse,
    create_booking_charge,
    create_money_credit,
    create_time_credit,
    create_unused_credits,
    credit_restrictions,
)
from creditdesk.demo.location import CURRENCY_UNIT, DemoLocation
from creditdesk.demo.renewals import create_renewed_credits
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
MAX_BILLING_DAY = 28
"""The last day of the month that exists in every month."""
MONEY_SHARE, TIME_SHARE = 0.7, 0.22
USES_PER_MONEY_CREDIT, USES_PER_TIME_CREDIT = 12, 15
"""About how many uses a credit has paid."""


def create_customer(factory: RecordFactory, location: DemoLocation, number: int) -> Record:
    """A person, or every tenth time a company, with a contract."""
    name = f"{factory.choice(FIRST_NAMES)} {factory.choice(LAST_NAMES)}"
    company = number % 10 == 9
    plan = factory.choice(location.plans)
    customer = factory.create(
        Coworker,
        factory.start,
        CoworkerType=2 if company else 1,
        FullName=f"{name} & Co" if company else name,
        Email=f"customer{number + 1}@demo.creditdesk.example",
        CountryId=1,
        SimpleTimeZoneId=1,
        Active=True,
        InvoicingBusinessId=location.business["Id"],
        Businesses=(location.business["Id"],),
        TariffId=plan["Id"],
        BillingDay=_billing_day(factory, number),
        RegistrationDate=factory.start,
    )
    contract = factory.create(
        CoworkerContract,
        factory.start,
        IssuedById=location.business["Id"],
        CoworkerId=customer["Id"],
        TariffId=plan["Id"],
        StartDate=factory.start,
        BillingDay=customer["BillingDay"],
        Price=plan["Price"],
        Quantity=1,
        Active=True,
        MainContract=True,
        CancellationReason=99,
    )
    create_renewed_credits(factory, location, contract)
    if number % 3 == 0:
        factory.create(
            CoworkerProduct,
            factory.start,
            CoworkerId=customer["Id"],
            BusinessId=location.business["Id"],
            ProductId=location.bundle["Id"],
            Price=location.bundle["Price"],
            Quantity=1,
            RepeatCycle=4,
            DiscountAmount=0,
            Activated=True,
        )
    return customer


def _billing_day(factory: RecordFactory, number: int) -> int:
    """By turns, but none on the demo's last days, so that a fresh demo has no renewal to run."""
    ends = factory.ends
    last_days = {min((ends + timedelta(days=days)).day, MAX_BILLING_DAY) for days in range(-1, 3)}
    free = [day for day in range(1, MAX_BILLING_DAY + 1) if day not in last_days]
    return free[number % len(free)]


def create_history(factory: RecordFactory, location: DemoLocation, customer: Record, uses: int, number: int) -> None:
    """Creates this many uses over a year and a half, and the credits that paid them."""
    if number < 4:
        create_unused_credits(factory, location, customer)
    money = round(uses * MONEY_SHARE)
    time = round(uses * TIME_SHARE)
    activity = _CustomerActivity(factory, location, customer)
    for index, times in enumerate(_use_times(factory, money, USES_PER_MONEY_CREDIT)):
        limits = credit_restrictions(index + number, location)
        money_uses = [activity.money_use(at, limits) for at in times]
        create_money_credit(factory, location, customer, money_uses, limits)
    for times in _use_times(factory, time, USES_PER_TIME_CREDIT):
        create_time_credit(factory, location, customer, [activity.time_use(at) for at in times], location.rate)
    for times in _use_times(factory, uses - money - time, USES_PER_MONEY_CREDIT):
        pages = [PlannedUse(at, factory.random.randrange(1, 30), {}) for at in times]
        create_time_credit(factory, location, customer, pages, location.printing)


def create_team(factory: RecordFactory, location: DemoLocation, members: list[Record], number: int) -> None:
    """Creates a team of customers that share credit; what they share differs by team."""
    ids = tuple(member["Id"] for member in members)
    factory.create(
        Team,
        factory.start,
        BusinessId=location.business["Id"],
        Name=f"Team {number + 1}",
        TeamMembers=ids,
        TeamAdministrators=ids[:1],
        PayingMemberId=ids[0],
        ShareBookingCredit=number % 2 == 0,
        ShareExtraServices=number % 3 == 0,
        TransferCreditsToPayingMember=number % 5 == 4,
    )


def _use_times(factory: RecordFactory, count: int, each: int) -> list[list[datetime]]:
    """`count` random times in order, in groups of `each`: the uses of one credit."""
    times = sorted(factory.random_time(12) for _ in range(count))
    return [times[start : start + each] for start in range(0, count, each)]


class _CustomerActivity:
    """Creates the bookings, tickets and purchases that credit paid for."""

    def __init__(self, factory: RecordFactory, location: DemoLocation, customer: Record) -> None:
        self.factory, self.location, self.customer = factory, location, customer
        self.latest: Record | None = None

    def money_use(self, at: datetime, limits: dict[str, Any]) -> PlannedUse:
        amount = self.factory.random.randrange(200, 6000) * 100
        if limits.get("IsUniversalCredit"):
            return PlannedUse(at, amount, self._purchase(at, amount))
        if limits.get("CaneBeUsedForBookings"):
            meeting_room = bool(limits.get("ElegibleResourceTypes"))
            booking = self._booking(at, meeting_room=meeting_room)
            return PlannedUse(at, amount, {"BookingId": booking["Id"]})
        return PlannedUse(at, self.location.tickets[0][1]["Price"], self._attendance(at))

    def time_use(self, at: datetime) -> PlannedUse:
        booking = self._booking(at, meeting_room=False)
        minutes = int((booking["ToTime"] - booking["FromTime"]).total_seconds()) // 60
        return PlannedUse(at, minutes, {"BookingId": booking["Id"]})

    def _booking(self, at: datetime, *, meeting_room: bool) -> Record:
        """A new booking, or sometimes the latest one, because several credits may pay for one booking."""
        if not meeting_room and self.latest is not None and self.factory.random.random() < 0.4:
            return self.latest
        room = self.factory.choice(self.location.rooms[:4] if meeting_room else self.location.rooms)
        length = timedelta(minutes=30 * self.factory.random.randrange(1, 9))
        self.latest = self._create_booking(room, at, length)
        if self.factory.random.random() < 1 / 20:
            self._charged_booking(at + length)
        return self.latest

    def _charged_booking(self, at: datetime) -> None:
        """A booking that declines credit and is paid with money."""
        room = self.factory.choice(self.location.rooms)
        booking = self._create_booking(room, at, timedelta(hours=1), DoNotUseBookingCredit=True)
        create_booking_charge(self.factory, self.location, self.customer, booking, room)

    def _create_booking(self, room: Record, at: datetime, length: timedelta, **values: Any) -> Record:
        return self.factory.create(
            Booking,
            at,
            ResourceId=room["Id"],
            CoworkerId=self.customer["Id"],
            ExtraServiceId=self.location.rate["Id"],
            FromTime=at,
            ToTime=at + length,
            Repeats=1,
            WhichBookingsToUpdate=1,
            BookingNumber=self.location.next_booking_number(),
            Invoiced=True,
            **values,
        )

    def _attendance(self, at: datetime) -> dict[str, Any]:
        month = min((at - self.factory.start).days // 30, len(self.location.tickets) - 1)
        event, ticket = self.location.tickets[month]
        attendee = self.factory.create(
            EventAttendee,
            at,
            BusinessId=self.location.business["Id"],
            CalendarEventId=event["Id"],
            EventProductId=ticket["Id"],
            CoworkerId=self.customer["Id"],
            FullName=self.customer["FullName"],
            Email=self.customer["Email"],
        )
        return {"EventAttendeeId": attendee["Id"]}

    def _purchase(self, at: datetime, amount: int) -> dict[str, Any]:
        """An invoice with one line."""
        invoice = self.factory.create(
            CoworkerInvoice,
            at,
            CoworkerId=self.customer["Id"],
            BusinessId=self.location.business["Id"],
            CurrencyId=self.location.currency["Id"],
            BillToName=self.customer["FullName"],
            BillToCountryId=1,
            TotalAmount=amount,
            Paid=True,
            PaidOn=at,
            StorecoveInvoiceStatus=1,
        )
        invoice["InvoiceNumber"] = f"{self.location.currency['Code']}-{invoice['Id']:06d}"
        line = self.factory.create(
            CoworkerInvoiceLine,
            at,
            CoworkerInvoiceId=invoice["Id"],
            Description=self.location.coffee["Name"],
            Quantity=max(1, amount // (3 * CURRENCY_UNIT)),
            SubTotal=amount,
            CreditAmount=amount,
            Position=1,
            SaleDate=at,
        )
        return {"CoworkerInvoiceLineId": line["Id"]}
