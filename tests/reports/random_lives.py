"""Random lives of credit at a location of any time zone and currency, over months with their ends and clock changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.sys.currency import Currency
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, MONEY_MAPPING, AccountKey
from creditdesk.ledger.operations.corrections import adjust, reverse, void
from creditdesk.ledger.operations.set_overdraft import set_overdraft
from creditdesk.ledger.services import CreditService
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import DomainError
from creditdesk.schema.repository import Store
from creditdesk.settings import LedgerSettings
from tests.support.expiry import expire
from tests.support.ledger_builder import MONEY_USE, LedgerBuilder

FIRST_DAY = datetime(2026, 1, 20, 9, tzinfo=UTC)
_STEPS = (
    timedelta(microseconds=1), timedelta(minutes=30), timedelta(hours=7), timedelta(days=1), timedelta(days=9),
)  # fmt: skip


@dataclass
class RandomLife:
    """A location with two customers, and what is done to their credit."""

    ledger: LedgerBuilder
    random: Random
    prints: int
    customers: list[int]
    money: list[int] = field(default_factory=list)
    printing: list[int] = field(default_factory=list)
    uses: list[int] = field(default_factory=list)

    @classmethod
    async def start(cls, store: Store, seed: int, zone: str, currency: str) -> RandomLife:
        ledger = await LedgerBuilder.create(store)
        ledger.settings = LedgerSettings(return_grace_days=seed % 2 * 10)
        ledger.now = FIRST_DAY
        await ledger.add_location_profile(zone)
        async with store.write_session() as session:
            await session.update(Currency, [(ledger.currency, {"Code": currency})])
        prints = await ledger.add_rate(5, "1", resource_types=(), IsPrintingCredit=True)
        customers = [ledger.customer, await ledger.add_customer("Grace")]
        return cls(ledger, Random(seed), prints, customers)

    async def live(self, steps: int) -> None:
        """Acts `steps` times; what the ledger refuses changes nothing."""
        moves: list[Callable[[], Awaitable[None]]] = [
            self.grant_money, self._grant_prints, self._use, self._use, self._use, self._print, self._print, self._reverse,
            self._adjust, self._void, self._expire, self._move_window, self._change_total,
        ]  # fmt: skip
        for _ in range(steps):
            self.ledger.now += self.random.choice(_STEPS)
            with suppress(DomainError):
                await self.random.choice(moves)()

    def _amount(self, most: int) -> int:
        return self.random.randint(1, most) * self.random.choice((1, 100, 10_000))

    def _expiry(self) -> datetime | None:
        days = self.random.choice((None, 3, 12, 45))
        return None if days is None else self.ledger.now + timedelta(days=days)

    async def grant_money(self) -> None:
        values = await self.ledger.money_credit_values("0", CoworkerId=self.random.choice(self.customers))
        total = self._amount(60)
        record = values | {"TotalCredit": total, "RemainingCredit": total, "ExpireDate": self._expiry()}
        self.money.append(await self._create(CoworkerBookingCredit, record))

    async def _grant_prints(self) -> None:
        defaults = {c.name: c.field.default_value for c in CoworkerExtraService.meta().stored_columns}
        record = defaults | {
            "CoworkerId": self.random.choice(self.customers), "BusinessId": self.ledger.business,
            "ExtraServiceId": self.prints, "TotalUses": 2, "RemainingUses": 2, "ExpireDate": self._expiry(),
        }  # fmt: skip
        credit = await self._create(CoworkerExtraService, record)
        self.printing.append(credit)
        if self.random.random() < 0.5:
            async with self.ledger.store.write_session() as session:
                await set_overdraft(session, [credit], 3, self.ledger.request_context(), self.ledger.context)

    async def _create(self, entity: type[Entity], record: dict[str, object]) -> int:
        async with self.ledger.store.write_session() as session:
            service = CreditService(self.ledger.context)
            return await service.create(session, entity, record, self.ledger.request_context())

    async def _use(self) -> None:
        if self.money:
            credit = self.random.choice(self.money)
            answer = await self.ledger.post(MONEY_USE, CoworkerBookingCreditId=credit, CreditUsed=self._amount(20))
            self.uses.append(int(answer["Id"]))

    async def _print(self) -> None:
        if self.printing:
            await self.ledger.post_time_use(self.random.choice(self.printing))

    async def _reverse(self) -> None:
        if self.uses:
            use = self.random.choice(self.uses)
            async with self.ledger.store.write_session() as session:
                await reverse(session, MONEY_MAPPING, [use], self.ledger.request_context(), self.ledger.context)

    async def _adjust(self) -> None:
        if self.money:
            sign = self.random.choice((1, -1))
            earlier = self.ledger.now - timedelta(days=self.random.choice((0, 10, 40)))
            async with self.ledger.store.write_session() as session:
                await adjust(
                    session, self._account(), sign * self._amount(9), "corrected",
                    self.ledger.request_context(), self.ledger.context, earlier,
                )  # fmt: skip

    async def _void(self) -> None:
        if self.money:
            async with self.ledger.store.write_session() as session:
                context = self.ledger.request_context()
                await void(session, [self._account()], "cancelled", context, self.ledger.context)

    async def _expire(self) -> None:
        async with self.ledger.store.write_session() as session:
            for mapping in MAPPINGS.values():
                await expire(session, mapping, self.ledger.request_context(), self.ledger.context)

    async def _move_window(self) -> None:
        if self.money:
            await self.ledger.update_credit(self.random.choice(self.money), ExpireDate=self._expiry())

    async def _change_total(self) -> None:
        if self.money:
            await self.ledger.update_credit(self.random.choice(self.money), TotalCredit=self._amount(80))

    def _account(self) -> AccountKey:
        return (AccountType.MONEY, self.random.choice(self.money))
