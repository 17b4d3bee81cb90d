"""The locations of the demo, with their currencies, time zones, rooms, rates and plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from creditdesk.demo.factory import DEMO_DAYS, RecordFactory
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.billing.product import Product
from creditdesk.entities.billing.product_booking_credit import ProductBookingCredit
from creditdesk.entities.billing.product_extra_service import ProductExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.calendar_event_category import CalendarEventCategory
from creditdesk.entities.content.event_product import EventProduct
from creditdesk.entities.enums import (
    eBookingRepeatCycle,
    eChargePeriod,
    eProductType,
    eRecurrentChargePattern,
    eRecurrentProductOptions,
    eResourceType,
    eTariffType,
    eTimeSpanWeekMonth,
)
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.entity import Record

CURRENCY_UNIT = 10_000
"""One unit of a currency, in ten-thousandths."""

DEMO_LOCATIONS = (
    ("Harbour Yard", "Euro", "EUR", "€{0:n}", "Europe/Lisbon", 15),
    ("Mill Lane", "US Dollar", "USD", "${0:n}", "America/New_York", 30),
)
DEMO_RESOURCES = (
    ("Meeting room", eResourceType.MeetingRoom, ("Anchor", "Beacon", "Compass", "Dinghy")),
    ("Hot desk", eResourceType.HotDesk, ("Window desk", "Quiet desk", "Long table")),
    ("Phone booth", eResourceType.PhoneBooth, ("Booth 1", "Booth 2")),
)
DEMO_PLANS = (("Part-time desk", 120), ("Full-time desk", 260), ("Virtual office", 45))


@dataclass(slots=True)
class DemoLocation:
    """A location and what it offers."""

    business: Record
    currency: Record
    bookings: int = 0
    types: list[Record] = field(default_factory=list)
    rooms: list[Record] = field(default_factory=list)
    rate: Record = field(default_factory=dict)
    printing: Record = field(default_factory=dict)
    time_zone: str = "UTC"
    plans: list[Record] = field(default_factory=list)
    time_benefits: list[Record] = field(default_factory=list)
    benefits: list[Record] = field(default_factory=list)
    bundle: Record = field(default_factory=dict)
    coffee: Record = field(default_factory=dict)
    categories: list[Record] = field(default_factory=list)
    tickets: list[tuple[Record, Record]] = field(default_factory=list)

    def next_booking_number(self) -> int:
        """The number of the location's next booking, from 1."""
        self.bookings += 1
        return self.bookings


def create_locations(factory: RecordFactory) -> list[DemoLocation]:
    """Creates the locations and everything they offer."""
    return [_create_location(factory, place) for place in DEMO_LOCATIONS]


def _create_location(factory: RecordFactory, place: tuple[str, str, str, str, str, int]) -> DemoLocation:
    name, currency_name, code, form, zone, interval = place
    currency = factory.create(Currency, factory.start, Name=currency_name, Code=code, Format=form)
    slug = name.lower().replace(" ", "-")
    business = factory.create(
        Business,
        factory.start,
        Name=name,
        CurrencyId=currency["Id"],
        CountryId=1,
        SimpleTimeZoneId=1,
        WebAddress=slug,
        EmailContact=f"hello@{slug}.example",
    )
    factory.create(
        LocationProfile,
        factory.start,
        BusinessId=business["Id"],
        TimeZone=zone,
        BookingIntervalMinutes=interval,
    )
    location = DemoLocation(business, currency, time_zone=zone)
    for type_name, kind, rooms in DEMO_RESOURCES:
        of_type = factory.create(ResourceType, factory.start, BusinessId=business["Id"], Name=type_name)
        location.types.append(of_type)
        location.rooms += [
            factory.create(
                Resource,
                factory.start,
                BusinessId=business["Id"],
                Name=room,
                SystemResourceType=int(kind),
                ResourceTypeId=of_type["Id"],
                Visible=True,
                CancellationFeeType=1,
                AllowMultipleBookings=True,
            )
            for room in rooms
        ]
    _create_rates(factory, location)
    _create_plans(factory, location)
    _create_products(factory, location)
    _create_events(factory, location)
    return location


def _create_rates(factory: RecordFactory, location: DemoLocation) -> None:
    common = {"BusinessId": location.business["Id"], "CurrencyId": location.currency["Id"]}
    location.rate = factory.create(
        ExtraService,
        factory.start,
        **common,
        Name="Room time",
        Price=15 * CURRENCY_UNIT,
        CreditPrice=12 * CURRENCY_UNIT,
        ChargePeriod=int(eChargePeriod.Minutes),
        LastMinuteAdjustmentType=1,
        IsBookingCredit=True,
        IsDefaultPrice=True,
        Visible=True,
        ResourceTypes=tuple(t["Id"] for t in location.types),
    )
    location.printing = factory.create(
        ExtraService,
        factory.start,
        **common,
        Name="Printed pages",
        Price=CURRENCY_UNIT // 20,
        ChargePeriod=int(eChargePeriod.Uses),
        LastMinuteAdjustmentType=1,
        IsPrintingCredit=True,
        Visible=True,
    )


def _create_plans(factory: RecordFactory, location: DemoLocation) -> None:
    common = {"BusinessId": location.business["Id"], "CurrencyId": location.currency["Id"]}
    for name, price in DEMO_PLANS:
        plan = factory.create(
            Tariff,
            factory.start,
            **common,
            Name=name,
            Price=price * CURRENCY_UNIT,
            SystemTariffType=int(eTariffType.PartTimeHotDesk),
            InvoiceEvery=1,
            Visible=True,
            AddressIdentityCheckProvider=1,
            IdentityCheckProvider=1,
            AddressIdentityCheckRepeatPattern=1,
            IdentityCheckRepeatPattern=1,
        )
        location.plans.append(plan)
        location.benefits.append(
            factory.create(
                TariffBookingCredit,
                factory.start,
                Name=f"{name}: monthly credit",
                TariffId=plan["Id"],
                Credit=price * CURRENCY_UNIT // 4,
                CaneBeUsedForBookings=True,
                CaneBeUsedForEvents=True,
                ServiceRenewalTime=int(eTimeSpanWeekMonth.TariffMonth),
            )
        )
        for service, uses in ((location.rate, 600), (location.printing, 100)):
            location.time_benefits.append(
                factory.create(
                    TariffExtraService,
                    factory.start,
                    TariffId=plan["Id"],
                    ExtraServiceId=service["Id"],
                    UsesIncluded=uses,
                    ServiceRenewalTime=int(eTimeSpanWeekMonth.TariffMonth),
                )
            )
    factory.create(
        TimePass,
        factory.start,
        **common,
        Name="Day pass",
        Price=18 * CURRENCY_UNIT,
        MinutesIncluded=480,
        Businesses=(location.business["Id"],),
    )


def _create_products(factory: RecordFactory, location: DemoLocation) -> None:
    common = {
        "BusinessId": location.business["Id"],
        "CurrencyId": location.currency["Id"],
        "AvailableAs": int(eRecurrentProductOptions.RecurrentOrOneOff),
        "Visible": True,
    }
    location.coffee = factory.create(
        Product,
        factory.start,
        **common,
        Name="Coffee",
        Description="A cup of coffee",
        Price=3 * CURRENCY_UNIT,
        SystemProductType=int(eProductType.FoodAndBeverage),
    )
    location.bundle = factory.create(
        Product,
        factory.start,
        **common,
        Name="Credit bundle",
        Description="Credit for rooms and desks, and pages to print",
        Price=90 * CURRENCY_UNIT,
        SystemProductType=int(eProductType.CreditBundle),
    )
    factory.create(
        ProductBookingCredit,
        factory.start,
        Name="Bundle credit",
        ProductId=location.bundle["Id"],
        Credit=100 * CURRENCY_UNIT,
        CaneBeUsedForBookings=True,
        ExpirationType=int(eRecurrentChargePattern.Month),
        ExpiresIn=6,
        ElegibleResourceTypes=(location.types[0]["Id"],),
    )
    factory.create(
        ProductExtraService,
        factory.start,
        ProductId=location.bundle["Id"],
        ExtraServiceId=location.printing["Id"],
        UsesIncluded=50,
        ExpirationType=int(eRecurrentChargePattern.Year),
        ExpiresIn=1,
    )


def _create_events(factory: RecordFactory, location: DemoLocation) -> None:
    business_id = location.business["Id"]
    location.categories = [
        factory.create(CalendarEventCategory, factory.start, BusinessId=business_id, Title=title)
        for title in ("Workshop", "Members' evening")
    ]
    for month in range(DEMO_DAYS // 30):
        starts = factory.start + timedelta(days=30 * month + 17, hours=17)
        category = location.categories[month % 2]
        event = factory.create(
            CalendarEvent,
            factory.start,
            BusinessId=business_id,
            Name=f"{category['Title']} {month + 1}",
            StartDate=starts,
            EndDate=starts + timedelta(hours=2),
            Repeats=int(eBookingRepeatCycle.Daily),
            WhichEventsToUpdate=1,
            EventCategories=(category["Id"],),
        )
        ticket = factory.create(
            EventProduct,
            factory.start,
            CalendarEventId=event["Id"],
            Name="Ticket",
            StartDate=factory.start,
            EndDate=factory.far_future,
            Price=15 * CURRENCY_UNIT,
            CurrencyId=location.currency["Id"],
            Visible=True,
        )
        location.tickets.append((event, ticket))
