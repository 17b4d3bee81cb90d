"""Creates the records of a ledger: a location, customers, credits, bookings, rates, uses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING, CreditTypeMapping, is_booking_charge
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.adoption import adopt_credit
from creditdesk.ledger.operations.spend_queue import SpendQueue
from creditdesk.ledger.rules.assignment import SolutionCache, assign
from creditdesk.ledger.rules.offers import Assignment, BasketProblem
from creditdesk.ledger.services import CreditService, UseService
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.settings import LedgerSettings

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ADMIN_PRINCIPAL = Principal(1, "admin@example.com", unrestricted=True)
MONEY_USE = CoworkerBookingCreditUseHistory
TIME_USE = CoworkerExtraServiceUseHistory


def money(text: str) -> int:
    """`"40.00"` in ten-thousandths."""
    whole, _, part = text.partition(".")
    sign = -1 if whole.startswith("-") else 1
    return sign * (abs(int(whole)) * 10_000 + int(part.ljust(4, "0") or 0))


def serialize_record(record: Record) -> bytes:
    """A response body for a record, in place of the API's."""
    return json.dumps({k: str(v) for k, v in sorted(record.items())}).encode()


class SearchAtOnce(SolutionCache):
    """Searches where it stands, for tests that call operations without the API."""

    def assign(self, problem: BasketProblem) -> Assignment:
        return assign(problem)


@dataclass
class LedgerBuilder:
    """One location with a customer, a resource and rates; tests add records to it."""

    store: Store
    now: datetime = NOON
    settings: LedgerSettings = field(default_factory=LedgerSettings)
    business: int = 0
    currency: int = 0
    customer: int = 0
    resource_type: int = 0
    resource: int = 0
    rate: int = 0
    uses_rate: int = 0

    @classmethod
    async def create(cls, store: Store) -> LedgerBuilder:
        ledger = cls(store)
        ledger.currency = await ledger.add(Currency, Code="GBP", Name="Pound")
        ledger.business = await ledger.add(Business, Name="Mill", CurrencyId=ledger.currency)
        ledger.customer = await ledger.add_customer("Ada")
        ledger.resource_type = await ledger.add(ResourceType, Name="Room", BusinessId=ledger.business)
        ledger.resource = await ledger.add(
            Resource, Name="Blue", BusinessId=ledger.business, ResourceTypeId=ledger.resource_type
        )
        ledger.rate = await ledger.add_rate(1, "20.00")
        ledger.uses_rate = await ledger.add_rate(5, "20.00", resource_types=())
        return ledger

    async def add(self, entity: type[Entity], **values: Any) -> int:
        async with self.store.write_session() as unit:
            record = new_record(entity, values, self.now, ADMIN_PRINCIPAL.email)
            (record_id,) = await unit.insert(entity, [record])
            return record_id

    async def add_customer(self, name: str) -> int:
        return await self.add(Coworker, FullName=name, Businesses=(self.business,))

    async def add_rate(self, period: int, price: str, **values: Any) -> int:
        types = values.pop("resource_types", None)
        return await self.add(
            ExtraService,
            Name=f"Rate {period}",
            BusinessId=self.business,
            CurrencyId=self.currency,
            Price=money(price),
            ChargePeriod=period,
            ResourceTypes=(self.resource_type,) if types is None else types,
            **values,
        )

    async def add_money_credit(self, total: str = "40.00", **values: Any) -> int:
        amount = money(total)
        defaults = {
            "CoworkerId": self.customer, "BusinessId": self.business, "TotalCredit": amount,
            "RemainingCredit": amount, "CaneBeUsedForBookings": True, **values,
        }  # fmt: skip
        return await self.add_credit(MONEY_MAPPING, **defaults)

    async def add_credit(self, mapping: CreditTypeMapping, **values: Any) -> int:
        """A credit with its grant, and with one use of whatever is not left of it."""
        credit = await self.add(mapping.credit_entity, **values)
        if is_booking_charge(mapping, values):
            return credit
        async with self.store.write_session() as session:
            account = (mapping.account_type, credit)
            await adopt_credit(session, account, "granted", self.request_context(), self.context)
        return credit

    async def money_credit_values(self, total: str, **values: Any) -> Record:
        """The record of a POST that creates a money credit."""
        amount = money(total)
        defaults = {
            "CoworkerId": self.customer,
            "BusinessId": self.business,
            "TotalCredit": amount,
            "CaneBeUsedForBookings": True,
            **values,
        }
        return {c.name: c.field.default_value for c in CoworkerBookingCredit.meta().stored_columns} | defaults

    async def update_credit(self, credit: int, **values: Any) -> None:
        """A PUT on a money credit."""
        before = await self.get(CoworkerBookingCredit, credit)
        async with self.store.write_session() as unit:
            writer = CreditService(self.context)
            await writer.update(unit, CoworkerBookingCredit, before, values, self.request_context())

    async def update_use(self, use: int, **values: Any) -> None:
        """A PUT on a money use."""
        before = await self.get(MONEY_USE, use)
        async with self.store.write_session() as unit:
            await UseService(self.context).update(unit, MONEY_USE, before, values, self.request_context())

    async def add_time_credit(self, total: int = 600, **values: Any) -> int:
        defaults = {
            "CoworkerId": self.customer, "BusinessId": self.business, "TotalUses": total,
            "RemainingUses": total, "ExtraServiceId": self.rate, **values,
        }  # fmt: skip
        return await self.add_credit(TIME_MAPPING, **defaults)

    async def add_booking(self, hours: float = 2, **values: Any) -> int:
        starts = values.pop("FromTime", self.now + timedelta(days=1))
        defaults = {
            "ResourceId": self.resource, "CoworkerId": self.customer, "FromTime": starts,
            "ToTime": starts + timedelta(hours=hours), **values,
        }  # fmt: skip
        return await self.add(Booking, **defaults)

    async def add_location_profile(self, zone: str, interval_minutes: int = 15) -> int:
        return await self.add(
            LocationProfile,
            BusinessId=self.business,
            TimeZone=zone,
            BookingIntervalMinutes=interval_minutes,
        )

    def request_context(self, key: str | None = None, caller: Principal = ADMIN_PRINCIPAL) -> RequestContext:
        return RequestContext(caller, self.now, key)

    @property
    def context(self) -> LedgerContext:
        return LedgerContext(lambda: self.now, self.settings, SearchAtOnce())

    def spends(self) -> SpendQueue:
        return SpendQueue(self.store, self.context)

    async def post_use(self, credit: int, amount: str, **values: Any) -> dict[str, Any]:
        """Posts a money use and returns the response."""
        return await self.post(MONEY_USE, CoworkerBookingCreditId=credit, CreditUsed=money(amount), **values)

    async def post_time_use(self, credit: int, **values: Any) -> dict[str, Any]:
        return await self.post(TIME_USE, CoworkerExtraServiceId=credit, **values)

    async def post(self, entity: type[Entity], **values: Any) -> dict[str, Any]:
        call = self.request_context(values.pop("key", None), values.pop("caller", ADMIN_PRINCIPAL))
        response = await self.spends().post(entity, values, call, "print", serialize_record)
        answer: dict[str, Any] = json.loads(response.body)
        return answer

    async def get(self, entity: type[Entity], record_id: int) -> Record:
        async with self.store.read_session() as reading:
            record = await reading.get(entity, record_id)
        assert record is not None
        return record

    async def remaining_money(self, credit: int) -> int:
        left: int = (await self.get(CoworkerBookingCredit, credit))["RemainingCredit"]
        return left

    async def remaining_uses(self, credit: int) -> int:
        left: int = (await self.get(CoworkerExtraService, credit))["RemainingUses"]
        return left

    async def journal_lines(self, kind: str, credit: int) -> list[Record]:
        async with self.store.read_session() as reading:
            return await reading.find(JournalLine, where(JournalLine, CreditKind=kind, CreditId=credit))

    async def find(self, entity: type[Entity], **values: Any) -> list[Record]:
        async with self.store.read_session() as reading:
            return await reading.find(entity, where(entity, **values))
