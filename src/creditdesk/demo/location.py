"""What the demo house offers: two locations with their own money and clock, rooms, rates, plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from creditdesk.demo.factory import DAYS, FAR, START, Maker
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

UNIT = 10_000
"""One unit of a currency, in its smallest step."""

LOCATIONS = (
    ("Harbour Yard", "Euro", "EUR", "€{0:n}", "Europe/Lisbon", 15),
    ("Mill Lane", "US Dollar", "USD", "${0:n}", "America/New_York", 30),
)
ROOMS = (
    ("Meeting room", eResourceType.MeetingRoom, ("Anchor", "Beacon", "Compass", "Dinghy")),
    ("Hot desk", eResourceType.HotDesk, ("Window desk", "Quiet desk", "Long table")),
    ("Phone booth", eResourceType.PhoneBooth, ("Booth 1", "Booth 2")),
)
PLANS = (("Part-time desk", 120), ("Full-time desk", 260), ("Virtual office", 45))


@dataclass(slots=True)
class Location:
    """One location and what it offers."""

    business: Record
    currency: Record
    types: list[Record] = field(default_factory=list)
    rooms: list[Record] = field(default_factory=list)
    rate: Record = field(default_factory=dict)
    printing: Record = field(default_factory=dict)
    plans: list[Record] = field(default_factory=list)
    benefits: list[Record] = field(default_factory=list)
    bundle: Record = field(default_factory=dict)
    coffee: Record = field(default_factory=dict)
    day_pass: Record = field(default_factory=dict)
    categories: list[Record] = field(default_factory=list)
    tickets: list[tuple[Record, Record]] = field(default_factory=list)


def furnish(maker: Maker) -> list[Location]:
    """The locations, made and gathered."""
    return [_location(maker, place) for place in LOCATIONS]


def _location(maker: Maker, place: tuple[str, str, str, str, str, int]) -> Location:
    name, currency_name, code, form, zone, interval = place
    currency = maker.make(Currency, START, Name=currency_name, Code=code, Format=form)
    slug = name.lower().replace(" ", "-")
    business = maker.make(
        Business,
        START,
        Name=name,
        CurrencyId=currency["Id"],
        CountryId=1,
        SimpleTimeZoneId=1,
        WebAddress=slug,
        EmailContact=f"hello@{slug}.example",
    )
    maker.make(
        LocationProfile,
        START,
        BusinessId=business["Id"],
        TimeZone=zone,
        BookingIntervalMinutes=interval,
    )
    here = Location(business, currency)
    for type_name, kind, rooms in ROOMS:
        of_type = maker.make(ResourceType, START, BusinessId=business["Id"], Name=type_name)
        here.types.append(of_type)
        here.rooms += [
            maker.make(
                Resource,
                START,
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
    _rates_and_plans(maker, here)
    _products(maker, here)
    _events(maker, here)
    return here


def _rates_and_plans(maker: Maker, here: Location) -> None:
    common = {"BusinessId": here.business["Id"], "CurrencyId": here.currency["Id"]}
    here.rate = maker.make(
        ExtraService,
        START,
        **common,
        Name="Room time",
        Price=UNIT // 4,
        CreditPrice=UNIT // 5,
        ChargePeriod=int(eChargePeriod.Minutes),
        LastMinuteAdjustmentType=1,
        IsBookingCredit=True,
        IsDefaultPrice=True,
        Visible=True,
        ResourceTypes=tuple(t["Id"] for t in here.types),
    )
    here.printing = maker.make(
        ExtraService,
        START,
        **common,
        Name="Printed pages",
        Price=UNIT // 20,
        ChargePeriod=int(eChargePeriod.Uses),
        LastMinuteAdjustmentType=1,
        IsPrintingCredit=True,
        Visible=True,
    )
    for name, price in PLANS:
        plan = maker.make(
            Tariff,
            START,
            **common,
            Name=name,
            Price=price * UNIT,
            SystemTariffType=int(eTariffType.PartTimeHotDesk),
            InvoiceEvery=1,
            Visible=True,
            AddressIdentityCheckProvider=1,
            IdentityCheckProvider=1,
            AddressIdentityCheckRepeatPattern=1,
            IdentityCheckRepeatPattern=1,
        )
        here.plans.append(plan)
        here.benefits.append(
            maker.make(
                TariffBookingCredit,
                START,
                Name=f"{name}: monthly credit",
                TariffId=plan["Id"],
                Credit=price * UNIT // 4,
                CaneBeUsedForBookings=True,
                CaneBeUsedForEvents=True,
                ServiceRenewalTime=int(eTimeSpanWeekMonth.TariffMonth),
            )
        )
        for service, uses in ((here.rate, 600), (here.printing, 100)):
            maker.make(
                TariffExtraService,
                START,
                TariffId=plan["Id"],
                ExtraServiceId=service["Id"],
                UsesIncluded=uses,
                ServiceRenewalTime=int(eTimeSpanWeekMonth.TariffMonth),
            )
    here.day_pass = maker.make(
        TimePass,
        START,
        **common,
        Name="Day pass",
        Price=18 * UNIT,
        MinutesIncluded=480,
        Businesses=(here.business["Id"],),
    )


def _products(maker: Maker, here: Location) -> None:
    common = {
        "BusinessId": here.business["Id"],
        "CurrencyId": here.currency["Id"],
        "AvailableAs": int(eRecurrentProductOptions.RecurrentOrOneOff),
        "Visible": True,
    }
    here.coffee = maker.make(
        Product,
        START,
        **common,
        Name="Coffee",
        Description="A cup of coffee",
        Price=3 * UNIT,
        SystemProductType=int(eProductType.FoodAndBeverage),
    )
    here.bundle = maker.make(
        Product,
        START,
        **common,
        Name="Credit bundle",
        Description="Credit for rooms and desks, and pages to print",
        Price=90 * UNIT,
        SystemProductType=int(eProductType.CreditBundle),
    )
    maker.make(
        ProductBookingCredit,
        START,
        Name="Bundle credit",
        ProductId=here.bundle["Id"],
        Credit=100 * UNIT,
        CaneBeUsedForBookings=True,
        ExpirationType=int(eRecurrentChargePattern.Month),
        ExpiresIn=6,
        ElegibleResourceTypes=(here.types[0]["Id"],),
    )
    maker.make(
        ProductExtraService,
        START,
        ProductId=here.bundle["Id"],
        ExtraServiceId=here.printing["Id"],
        UsesIncluded=50,
        ExpirationType=int(eRecurrentChargePattern.Year),
        ExpiresIn=1,
    )


def _events(maker: Maker, here: Location) -> None:
    business_id = here.business["Id"]
    here.categories = [
        maker.make(CalendarEventCategory, START, BusinessId=business_id, Title=title)
        for title in ("Workshop", "Members' evening")
    ]
    for month in range(DAYS // 30):
        starts = START + timedelta(days=30 * month + 17, hours=17)
        category = here.categories[month % 2]
        event = maker.make(
            CalendarEvent,
            START,
            BusinessId=business_id,
            Name=f"{category['Title']} {month + 1}",
            StartDate=starts,
            EndDate=starts + timedelta(hours=2),
            Repeats=int(eBookingRepeatCycle.Daily),
            WhichEventsToUpdate=1,
            EventCategories=(category["Id"],),
        )
        ticket = maker.make(
            EventProduct,
            START,
            CalendarEventId=event["Id"],
            Name="Ticket",
            StartDate=START,
            EndDate=FAR,
            Price=15 * UNIT,
            CurrencyId=here.currency["Id"],
            Visible=True,
        )
        here.tickets.append((event, ticket))
