"""One customer's life in a real store: runs calls, and compares the store with the plain books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.benefit_grant import GrantKey
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_response import StoredAnswer
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.journal.balances import balance, balances
from creditdesk.ledger.journal.entry import CreditKind
from creditdesk.ledger.journal.hash_chain import ChainReading, Head, check_chain, check_heads
from creditdesk.ledger.journal.invariants import Balances, differences
from creditdesk.ledger.journal.mapping import (
    BY_HISTORY,
    MONEY,
    SIDES,
    Account,
    Side,
    line_of,
    state_id,
    where,
)
from creditdesk.ledger.rules.credit import LedgerPolicy, WindowTest
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Refusal
from creditdesk.schema.query import Filter, Order, Test
from creditdesk.schema.repository import Reading, Unit
from tests.ledger.town import MONEY_USE, NOON, TIME_USE, Town, money
from tests.stateful.books import Books, Credit
from tests.stateful.traces import Traces

LEDGER: tuple[type[Entity], ...] = (
    JournalLine, Hold, AllocationDocument, GrantKey, StoredAnswer, MONEY_USE, TIME_USE,
    CoworkerBookingCredit, CoworkerExtraService, Booking,
)  # fmt: skip
HOURLY = money("17.35")
"""A price by the hour that no quarter of an hour divides."""


async def set_rates(town: Town) -> dict[str, int]:
    """The town's rates by what they are for; `odd` is only for bookings that name it."""
    odd = {"resource_types": (), "CreditPrice": money("13.10")}
    return {
        "minutes": town.rate,
        "uses": town.uses_rate,
        "prints": await town.add_rate(5, "0.01", resource_types=(), IsPrintingCredit=True),
        "odd": await town.add_rate(1, "17.35", **odd),
    }


class Life:
    """One customer: what happens to it, and what should be there after each thing that happened."""

    def __init__(self, town: Town, rates: dict[str, int], traces: Traces, seed: int) -> None:
        self.town = town
        self.rates = rates
        self.traces = traces
        self.random = Random(seed)
        self.books = Books(NOON)
        self.marks: dict[type[Entity], int] = {}
        self.last_line = 0
        self.chain = ChainReading()
        self.benefits: dict[str, list[datetime]] = {}
        self.contract = 0
        self.shared_from = 0

    async def begin(self) -> None:
        """A fresh customer in the town, some with a plan, some in a team that shares credit."""
        town, random = self.town, self.random
        town.now = NOON
        town.policy = LedgerPolicy(
            window_test=random.choice(list(WindowTest)),
            return_grace_days=random.choice((0, 0, 7)),
            strict_posts=random.random() < 0.25,
        )
        async with town.store.reading() as reading:
            for entity in LEDGER:
                self.marks[entity] = await _last(reading, entity, "Id")
            for side in SIDES.values():
                # The newest credit may have been deleted; its state is still there.
                kind = where(CreditState, CreditKind=side.kind.value)
                stated = await _last(reading, CreditState, "CreditId", kind)
                self.marks[side.credit] = max(self.marks[side.credit], stated)
        self.last_line = self.marks[JournalLine]
        town.customer = await town.add_customer("Ada")
        if random.random() < 0.3:
            self.shared_from = await town.add_customer("Grace")
            await town.add(
                Team, Name="Mill", BusinessId=town.business, PayingMemberId=self.shared_from,
                ShareBookingCredit=True, ShareExtraServices=True,
                TeamMembers=(town.customer, self.shared_from),
            )  # fmt: skip
        if random.random() < 0.5:
            await self._sign()

    async def _sign(self) -> None:
        town = self.town
        tariff = await town.add(
            Tariff, Name="Desk", BusinessId=town.business, CurrencyId=town.currency
        )
        await town.add(
            TariffBookingCredit, Name="Rooms", TariffId=tariff, Credit=money("30.00"),
            ServiceRenewalTime=self.random.choice((1, 2, 3)), CaneBeUsedForBookings=True,
        )  # fmt: skip
        await town.add(
            TariffExtraService, TariffId=tariff, ExtraServiceId=town.rate, UsesIncluded=45,
            ServiceRenewalTime=1,
        )  # fmt: skip
        self.contract = await town.add(
            CoworkerContract, IssuedById=town.business, CoworkerId=town.customer, TariffId=tariff,
            StartDate=datetime(2026, 1, 31, tzinfo=UTC), BillingDay=31, Quantity=1, Active=True,
        )  # fmt: skip

    @property
    def people(self) -> tuple[int, ...]:
        return tuple(person for person in (self.town.customer, self.shared_from) if person)

    async def write(self, operation: Callable[[Unit], Awaitable[Any]]) -> Any:
        """Runs one call in a transaction of its own."""
        async with self.town.store.writing() as unit:
            return await operation(unit)

    async def call(
        self, operation: Callable[[Unit], Awaitable[Any]], *, refused: bool, changes: bool = True
    ) -> Any:
        """Runs a call in a transaction of its own; it must be refused, change nothing, or work."""
        return await self.expect(lambda: self.write(operation), refused=refused, changes=changes)

    async def expect(
        self, run: Callable[[], Awaitable[Any]], *, refused: bool, changes: bool = True
    ) -> Any:
        """The same for what opens a transaction itself."""
        if not refused and changes:
            return await run()
        before = await self.traces.trace(self.marks)
        result = None
        if refused:
            with suppress(Refusal):
                result = await run()
                raise AssertionError(f"not refused: {result!r:.300}")
        else:
            result = await run()
        after = await self.traces.trace(self.marks)
        assert after == before, f"a call that should change nothing left a trace: {before}, {after}"
        return result

    async def _states(self, reading: Reading) -> list[Record]:
        """The states of this life's credits; their Ids do not rise with time."""
        number = CreditState.shape().columns["CreditId"]
        found = []
        for side in SIDES.values():
            ours = Filter(number, Test.AT_LEAST, self.marks[side.credit] + 1)
            kind = where(CreditState, CreditKind=side.kind.value)
            found += await reading.find(CreditState, (*kind, ours))
        return found

    async def compare(self) -> None:
        """After each step: the new lines, the rows, and the balances of what was touched."""
        books = self.books
        async with self.town.store.reading() as reading:
            found = await reading.find(JournalLine, after_id=self.last_line)
            written = self._read(found)
            expected = {c.account: c.lines[c.seen :] for c in books.touched.values()}
            assert written == expected, f"journal {written}, books {expected}"
            for credit in books.touched.values():
                credit.seen = len(credit.lines)
            await self._number(reading)
            await self._compare_balances(reading, list(books.touched.values()))
        books.touched.clear()

    def _read(self, found: list[Record]) -> dict[Account, list[tuple[Any, ...]]]:
        """The new journal lines by credit, as the books write them; the chain reads them too."""
        written: dict[Account, list[tuple[Any, ...]]] = {}
        for record in sorted(found, key=lambda r: (r["CreditKind"], r["CreditId"], r["Sequence"])):
            self.last_line = max(self.last_line, record["Id"])
            self.chain.read([line_of(record)], [bytes.fromhex(record["Digest"])])
            account = (CreditKind(record["CreditKind"]), record["CreditId"])
            written.setdefault(account, []).append(_as_in_books(record))
        assert not self.chain.findings, [str(finding) for finding in self.chain.findings]
        return written

    async def _number(self, reading: Reading) -> None:
        """The new history rows say what the books say, in their order, and number them."""
        books = self.books
        for side in SIDES.values():
            waiting = [row for row in books.unnumbered if row.credit.side is side]
            if not waiting:
                continue
            last = max((n for s, n in books.rows if s is side), default=self.marks[side.history])
            rows = await reading.find(side.history, after_id=last)
            said = [(r[side.reference], r["CreditUsed"], r["BookingId"] or None) for r in rows]
            assert said == [(row.credit.id, row.used, row.booking) for row in waiting]
            for row, record in zip(waiting, rows, strict=True):
                row.id = record["Id"]
                books.rows[side, row.id] = row
        books.unnumbered.clear()

    async def _compare_balances(self, reading: Reading, credits_: list[Credit]) -> None:
        for side in SIDES.values():
            ours = [c for c in credits_ if c.side is side and not c.deleted]
            if not ours:
                continue
            ids = tuple(c.id for c in ours)
            records = {
                r["Id"]: r for r in await reading.find(side.credit, where(side.credit, Id=ids))
            }
            numbers = tuple(state_id(c.account) for c in ours)
            states = {
                s["Id"]: s for s in await reading.find(CreditState, where(CreditState, Id=numbers))
            }
            for credit in ours:
                _compare_one(credit, records[credit.id], states.get(state_id(credit.account)))

    async def audit(self) -> None:
        """All of it from the beginning: journal, chain, rows, holds, and balances in the past."""
        books, town = self.books, self.town
        async with town.store.reading() as reading:
            await self._compare_balances(reading, list(books.credits.values()))
            marks = self.marks
            found = await reading.find(JournalLine, after_id=marks[JournalLine])
            found.sort(key=lambda r: (r["CreditKind"], r["CreditId"], r["Sequence"]))
            lines = [line_of(record) for record in found]
            assert not check_chain(lines, [bytes.fromhex(r["Digest"]) for r in found])
            await self._audit_credits(reading, lines, found)
            self._audit_heads(await self._states(reading))
            held = await reading.find(Hold, after_id=marks[Hold])
            assert [h["State"] for h in held] == [h.state for h in books.holds]
            await self._audit_past(reading)

    async def _audit_credits(self, reading: Reading, lines: list[Any], found: list[Record]) -> None:
        used: dict[Account, int] = {}
        for history, side in BY_HISTORY.items():
            for row in await reading.find(history, after_id=self.marks[history]):
                account = (side.kind, row[side.reference])
                used[account] = used.get(account, 0) + (row["CreditUsed"] or 0)
        for account, credit in self.books.credits.items():
            own = [x for x in lines if (x.credit_kind, x.credit_id) == account]
            if not own:
                continue
            stored = Balances(credit.remaining, credit.held, credit.total, len(credit.lines))
            assert differences(stored, own, used.get(account, 0)) == []
            assert credit.total - used.get(account, 0) == credit.remaining
            own_records = [r for r in found if (r["CreditKind"], r["CreditId"]) == account]
            assert [_as_in_books(r) for r in own_records] == credit.lines

    def _audit_heads(self, states: list[Record]) -> None:
        heads = [
            Head(CreditKind(s["CreditKind"]), s["CreditId"], s["Sequence"], bytes.fromhex(s["Digest"]))
            for s in states if s["Sequence"]
        ]  # fmt: skip
        findings = [str(finding) for finding in check_heads(self.chain.heads, heads)]
        assert not findings, findings

    async def _audit_past(self, reading: Reading) -> None:
        books, random, call = self.books, self.random, self.town.call()
        past = books.balances_at
        for instant, then in random.sample(past, min(2, len(past))):
            for person in self.people:
                for said in await balances(reading, person, call, at=instant):
                    assert said.remaining == then.get(said.account, 0), (instant, said)
        journalled = [credit for credit in books.credits.values() if credit.lines]
        for credit in random.sample(journalled, min(3, len(journalled))):
            at = NOON + random.random() * (books.now - NOON)
            known = NOON + random.random() * (books.now - NOON)
            account = credit.account
            assert await balance(reading, account, at) == credit.balance(at)
            as_known = credit.balance_as_known(at, known)
            assert await balance(reading, account, at, known) == as_known

    async def reissued(self, side: Side) -> list[int]:
        """Credits of this life that the books do not have yet, in order of Id."""
        async with self.town.store.reading() as reading:
            found = await reading.find(side.credit, after_id=self.marks[side.credit])
        known = {credit.id for credit in self.books.credits.values() if credit.side is side}
        fresh = [r for r in found if r["Id"] not in known and r["CoworkerId"] in self.people]
        return [r["Id"] for r in fresh if side is MONEY or not r["BookingId"]]

    def pass_time(self, step: timedelta) -> None:
        """Moves the clock on; what is then over is remembered."""
        self.books.remember()
        self.town.now += step
        self.books.now = self.town.now


async def _last(
    reading: Reading, entity: type[Entity], name: str, filters: Sequence[Filter] = ()
) -> int:
    """The highest number in a column, or 0."""
    found = await reading.find(entity, filters, Order(entity.shape().columns[name], True), 1)
    return int(found[0][name]) if found else 0


def _as_in_books(record: Record) -> tuple[Any, ...]:
    scale = SIDES[CreditKind(record["CreditKind"])].scale
    amounts = ("Amount", "BalanceAfter", "HeldAfter", "TotalAfter")
    return (
        record["Kind"], *(record[name] // scale for name in amounts), record["RecordedOn"],
        record["EffectiveOn"],
    )  # fmt: skip


def _compare_one(credit: Credit, record: Record, state: Record | None) -> None:
    side = credit.side
    remaining, total = record[side.remaining], record[side.total]
    held = state["Held"] // side.scale if state else 0
    assert (remaining, total, held) == (credit.remaining, credit.total, credit.held), credit.account
    assert 0 <= remaining <= total, credit.account
    assert 0 <= held <= remaining, credit.account
    assert record["ExpireDate"] == credit.expires
    assert (state["Sequence"] if state else 0) == len(credit.lines)
    assert (state["ExpirySwept"] if state else None) == credit.swept
    if credit.lines:
        used = sum(row.used or 0 for row in credit.rows)
        assert total - used == remaining, credit.account
