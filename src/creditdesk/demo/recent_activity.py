"""The acts of staff and members in the last weeks of the demo, executed as the server executes them.

Each act is a transaction at an instant of its own, so entries, decisions and holds are those that requests would have
written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from creditdesk.demo.factory import DEFAULT_UNTIL, RecordFactory
from creditdesk.demo.location import CURRENCY_UNIT, DemoLocation, create_locations
from creditdesk.demo.staff import ACCOUNTANT, FRONT_DESK, MANAGER
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.enums import PoolCapPeriod, PoolCreditType
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.jobs import run_credit_expiry
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.loaders.uses import load_booking_uses
from creditdesk.ledger.operations.baskets import load_basket_for_update
from creditdesk.ledger.operations.bookings import cancel_bookings, charge_bookings, recalculate_booking
from creditdesk.ledger.operations.contracts import pause_contracts
from creditdesk.ledger.operations.corrections import NewCredit, adjust, grant, reverse, void
from creditdesk.ledger.operations.holds import HoldResult, confirm_hold, create_hold
from creditdesk.ledger.operations.product_benefits import activate_products
from creditdesk.ledger.operations.renewals import run_renewals
from creditdesk.ledger.operations.spend_queue import SpendQueue
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.rules.funding import Funding, FundingKind
from creditdesk.ledger.services import CreditService
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.records import new_record, reproducible_unique_ids
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.schema.service import Principal, RequestContext

T = TypeVar("T")
PEOPLE: Final = ("Mara Lind", "Theo Brandt", "Studio Nordlicht", "Priya Shah")
UNEXPLAINED: Final = 7 * CURRENCY_UNIT
"""What the planted balances have too little of."""


async def add_recent_activity(
    store: Store, seed: int, until: date = DEFAULT_UNTIL, *, plants_unexplained: bool = False
) -> None:
    """Adds the last weeks to a demo of this seed and date.

    With `plants_unexplained` two balances are changed behind the journal's back, for `verify` to find.
    """
    activity = _RecentActivity(store, seed, until)
    with activity.unique_ids():
        await activity.open_accounts()
        await activity.book_and_charge()
        await activity.correct()
        await activity.expire()
        await activity.hold()
        await activity.record_expiry()
        if plants_unexplained:
            await activity.plant_unexplained_balances()


class _RecentActivity:
    """The customers of the last weeks, and the acts that concern them, in order of time."""

    def __init__(self, store: Store, seed: int, until: date) -> None:
        self.store = store
        self.factory = RecordFactory(seed, until)
        self.location: DemoLocation
        self.location, self.elsewhere = create_locations(self.factory)
        self.now = self.factory.ends
        self.ledger = LedgerContext(lambda: self.now)
        self.people: dict[str, int] = {}
        self.credits: dict[str, int] = {}
        self.bookings: list[int] = []

    def unique_ids(self) -> AbstractContextManager[None]:
        """The block in which new records get UniqueIds that the seed decides."""
        return reproducible_unique_ids(self.factory.random)

    def context(self, days: float, actor: str = FRONT_DESK) -> RequestContext:
        """A request of a member of staff, so many days before the end; sets the clock to it."""
        self.now = self.factory.ends - timedelta(days=days)
        return RequestContext(Principal(0, actor, unrestricted=True), self.now)

    async def act(self, operation: Callable[[WriteSession], Awaitable[T]]) -> T:
        """Runs one operation in a transaction of its own."""
        async with self.store.write_session() as session:
            return await operation(session)

    async def add(self, entity: type[Entity], **values: Any) -> int:
        """A new record, without any operation."""
        record = new_record(entity, values, self.now, MANAGER)
        (record_id,) = await self.act(lambda session: session.insert(entity, [record]))
        return record_id

    async def grant_money(self, name: str, customer: int, amount: int, context: RequestContext, **values: Any) -> int:
        """Grants goodwill at the location of its customer, and remembers it under its name."""
        place = self.elsewhere if customer == self.people["Priya Shah"] else self.location
        record = {
            "CoworkerId": customer,
            "BusinessId": place.business["Id"],
            "Description": name,
            "CaneBeUsedForBookings": True,
            **values,
        }
        new = NewCredit(amount * CURRENCY_UNIT, record, funding=Funding(FundingKind.GOODWILL))
        (credit_id,) = await self.act(
            lambda session: grant(session, MONEY_MAPPING, [new], context, self.ledger, reason=name)
        )
        self.credits[name] = credit_id
        return credit_id

    async def open_accounts(self) -> None:
        """Two months ago: the customers, a plan, a paid bundle, a team with caps, and goodwill."""
        self.context(62, MANAGER)
        for number, name in enumerate(PEOPLE):
            place = self.elsewhere if name == "Priya Shah" else self.location
            self.people[name] = await self._add_customer(name, number, place)
        await self._sell_bundle("Theo Brandt", 1, self.context(60, FRONT_DESK))
        await self._sell_bundle("Studio Nordlicht", 5, self.context(59, FRONT_DESK))
        await self._share_credit()
        context = self.context(55, MANAGER)
        await self._start_contract("Mara Lind", self.location)
        contract = await self._start_contract("Priya Shah", self.elsewhere)
        await self._renew(context)
        goodwill = "Goodwill: the heating failed"
        await self.grant_money(goodwill, self.people["Priya Shah"], 40, self.context(40, MANAGER))
        context = self.context(30, MANAGER)
        pause = (self.now, self.now + timedelta(days=20))
        await self.act(lambda session: pause_contracts(session, [contract], *pause, context))
        await self._renew(self.context(23.5, "creditdesk"))

    async def book_and_charge(self) -> None:
        """A booking a week for each member of the team, charged the day after."""
        for week in range(7):
            for number, name in enumerate(("Mara Lind", "Theo Brandt")):
                days = 52 - 7 * week - number
                booking = await self._book(name, days, hours=1 + (week + number) % 3)
                context = self.context(days - 1, FRONT_DESK)
                await self.act(partial(charge_bookings, booking_ids=[booking], context=context, ledger=self.ledger))
                self.bookings.append(booking)

    async def correct(self) -> None:
        """Corrections with their reasons, a cancelled booking, and credit that came late."""
        goodwill = (AccountType.MONEY, self.credits["Goodwill: the heating failed"])
        context = self.context(28, ACCOUNTANT)
        await self.act(
            lambda session: adjust(
                session, goodwill, 15 * CURRENCY_UNIT, "refund of a double charge", context, self.ledger
            )
        )
        context = self.context(27, ACCOUNTANT)
        await self.act(
            lambda session: adjust(session, goodwill, -5 * CURRENCY_UNIT, "late cancellation fee", context, self.ledger)
        )
        context = self.context(3.5, FRONT_DESK)
        await self.act(
            lambda session: cancel_bookings(session, self.bookings[-2:-1], context, self.ledger, "no longer needed")
        )
        await self._reverse_part_of_a_use()
        trial = await self.grant_money("Trial credit", self.people["Theo Brandt"], 25, self.context(12, MANAGER))
        context = self.context(9, MANAGER)
        await self.act(
            lambda session: void(session, [(AccountType.MONEY, trial)], "given by mistake", context, self.ledger)
        )
        late = await self._book("Priya Shah", 6, hours=8)
        context = self.context(5, FRONT_DESK)
        await self.act(lambda session: charge_bookings(session, [late], context, self.ledger))
        await self.grant_money("Workshop prize", self.people["Priya Shah"], 90, self.context(4, MANAGER))
        context = self.context(3, FRONT_DESK)
        await self.act(lambda session: recalculate_booking(session, late, context, self.ledger))

    async def expire(self) -> None:
        """Credit that expired: journalled three weeks ago, used all the same, extended, and not journalled since."""
        theo = self.people["Theo Brandt"]
        ends = self.factory.ends
        opened = self.context(38, MANAGER)
        for name, days in (("Welcome credit", 23), ("Autumn credit", 22), ("November offer", 2)):
            await self.grant_money(name, theo, 20, opened, ExpireDate=ends - timedelta(days=days))
        await self.record_expiry(20)
        await self._post_use("Welcome credit", 6, "paid at the desk", 15)
        extended = self.credits["Autumn credit"]
        context = self.context(10, MANAGER)

        async def extend(session: WriteSession) -> None:
            before = await session.get(CoworkerBookingCredit, extended)
            assert before is not None
            values = {"ExpireDate": ends + timedelta(days=30)}
            await CreditService(self.ledger).update(session, CoworkerBookingCredit, before, values, context)

        await self.act(extend)
        await self._post_use("Autumn credit", 4, "coffee for a guest", 7)

    async def record_expiry(self, days: float = 2.5) -> None:
        """The last run of the job that records expiry, before the last credit expires."""
        context = self.context(days, "creditdesk")
        async for _ in run_credit_expiry(self.store, context, self.ledger):
            pass

    async def hold(self) -> None:
        """A hold that became uses, one past its time that no job has released, and one that is open."""
        for name in ("Mara Lind", "Theo Brandt"):
            await self.grant_money(f"Meeting credit for {name}", self.people[name], 120, self.context(8.5, MANAGER))
        confirmed = await self._hold("Mara Lind", 8)
        context = self.context(6.5, FRONT_DESK)
        assert confirmed.group is not None
        await self.act(lambda session: confirm_hold(session, confirmed.group or 0, context, self.ledger))
        await self._hold("Theo Brandt", 7, until=self.factory.ends - timedelta(days=5))
        await self._hold("Mara Lind", 3, until=self.factory.ends + timedelta(days=14))

    async def plant_unexplained_balances(self) -> None:
        """Two balances that no entry explains, as a mistake with a database tool leaves them.

        Credit for events, which nobody of these has used.
        """
        context = self.context(2, MANAGER)
        for name in ("Theo Brandt", "Priya Shah"):
            for_events = {"CaneBeUsedForBookings": False, "CaneBeUsedForEvents": True}
            credit_id = await self.grant_money(
                f"Festival credit for {name}", self.people[name], 45, context, **for_events
            )

            async def lower(session: WriteSession, credit_id: int = credit_id) -> None:
                record = await session.get(CoworkerBookingCredit, credit_id)
                assert record is not None
                left = {"RemainingCredit": record["RemainingCredit"] - UNEXPLAINED}
                await session.update(CoworkerBookingCredit, [(credit_id, left)])

            await self.act(lower)

    async def _add_customer(self, name: str, number: int, place: DemoLocation) -> int:
        is_company = name.startswith("Studio")
        return await self.add(
            Coworker,
            CoworkerType=2 if is_company else 1,
            FullName=name,
            Email=f"{name.split(maxsplit=1)[0].lower()}@demo.creditdesk.example",
            CountryId=1,
            SimpleTimeZoneId=1,
            Active=True,
            InvoicingBusinessId=place.business["Id"],
            Businesses=(place.business["Id"],),
            TariffId=place.plans[0]["Id"],
            BillingDay=1 + number,
            RegistrationDate=self.now,
        )

    async def _start_contract(self, name: str, place: DemoLocation) -> int:
        return await self.add(
            CoworkerContract,
            IssuedById=place.business["Id"],
            CoworkerId=self.people[name],
            TariffId=place.plans[0]["Id"],
            StartDate=self.now,
            BillingDay=min(self.now.day, 28),
            Price=place.plans[0]["Price"],
            Quantity=1,
            Active=True,
            MainContract=True,
            CancellationReason=99,
        )

    async def _renew(self, context: RequestContext) -> None:
        """Renews the contracts of these customers; the others have had their credit by other means."""
        customers = set(self.people.values())
        async with self.store.read_session() as session:
            contracts = await session.find(CoworkerContract, columns=("Id", "CoworkerId"))
        own = [contract["Id"] for contract in contracts if contract["CoworkerId"] in customers]
        await self.act(lambda session: run_renewals(session, context, self.ledger, own))

    async def _sell_bundle(self, name: str, quantity: int, context: RequestContext) -> None:
        sale = await self.add(
            CoworkerProduct,
            CoworkerId=self.people[name],
            BusinessId=self.location.business["Id"],
            ProductId=self.location.bundle["Id"],
            Price=self.location.bundle["Price"],
            Quantity=quantity,
            RepeatCycle=4,
            DiscountAmount=0,
            CoworkerInvoicePaid=True,
        )
        await self.act(lambda session: activate_products(session, [sale], context, self.ledger))

    async def _share_credit(self) -> None:
        self.context(58, MANAGER)
        payer = self.people["Studio Nordlicht"]
        members = (self.people["Mara Lind"], self.people["Theo Brandt"], payer)
        team = await self.add(
            Team,
            BusinessId=self.location.business["Id"],
            Name="Nordlicht",
            TeamMembers=members,
            TeamAdministrators=(payer,),
            PayingMemberId=payer,
            ShareBookingCredit=True,
            ShareExtraServices=True,
        )
        for kind, amount in ((PoolCreditType.Money, 60), (PoolCreditType.Printing, 40)):
            await self.add(
                PoolCap,
                TeamId=team,
                CreditKind=int(kind),
                Period=int(PoolCapPeriod.Month),
                Amount=amount * CURRENCY_UNIT,
            )

    async def _book(self, name: str, days: float, hours: int) -> int:
        """A booking so many days before the end, at ten o'clock UTC of that day."""
        place = self.elsewhere if name == "Priya Shah" else self.location
        starts = self.factory.ends - timedelta(days=days) + timedelta(hours=10)
        self.now = starts - timedelta(days=2)
        return await self.add(
            Booking,
            ResourceId=place.rooms[int(days) % 4]["Id"],
            CoworkerId=self.people[name],
            ExtraServiceId=place.rate["Id"],
            FromTime=starts,
            ToTime=starts + timedelta(hours=hours),
            Repeats=1,
            WhichBookingsToUpdate=1,
        )

    async def _hold(self, name: str, days: float, until: datetime | None = None) -> HoldResult:
        """A hold for a booking of two hours, made so many days before the end."""
        booking = await self._book(name, days - 9, hours=2)
        context = self.context(days, FRONT_DESK)
        buyer, item = Buyer(self.people[name]), ItemRequest(SourceKind.BOOKING, booking)

        async def reserve(session: WriteSession) -> HoldResult:
            basket = await load_basket_for_update(session, buyer, [item], context)
            return await create_hold(session, basket, context, self.ledger, until)

        return await self.act(reserve)

    async def _reverse_part_of_a_use(self) -> None:
        """Part of what the first booking without time credit cost."""
        async with self.store.read_session() as session:
            uses = await load_booking_uses(session, MONEY_MAPPING, self.bookings[1])
        context = self.context(13, ACCOUNTANT)
        await self.act(
            lambda session: reverse(
                session,
                MONEY_MAPPING,
                sorted(uses)[:1],
                context,
                self.ledger,
                amount=5 * CURRENCY_UNIT,
                reason="projector failed",
            )
        )

    async def _post_use(self, name: str, amount: int, description: str, days: float) -> None:
        """A use posted to the history, as a till does that knows no booking (rule 7)."""
        record = {
            "CoworkerBookingCreditId": self.credits[name],
            "CreditUsed": amount * CURRENCY_UNIT,
            "Description": description,
        }
        queue = SpendQueue(self.store, self.ledger)
        await queue.post(CoworkerBookingCreditUseHistory, record, self.context(days, FRONT_DESK), "", _no_response)


def _no_response(_row: Record) -> bytes:
    return b""
