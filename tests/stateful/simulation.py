"""A simulation of one customer in a real store, compared with the model after each operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from creditdesk.audit.balances import balance_differences
from creditdesk.audit.chain_verifier import ChainVerifier, check_heads, verify_chain
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.entities.billing.tariff_extra_service import TariffExtraService
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.hash_chain import ChainHead
from creditdesk.ledger.journal.invariants import AccountBalances
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    MAPPINGS_BY_HISTORY,
    MONEY_MAPPING,
    AccountKey,
    CreditTypeMapping,
    entry_from_record,
    state_id,
)
from creditdesk.ledger.loaders.balances import credit_balance_at, customer_balances
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import DomainError
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.settings import LedgerSettings, ValidityInstant
from tests.stateful.change_detection import ChangeDetector
from tests.stateful.model import LedgerModel, ModelCredit
from tests.support.ledger_builder import MONEY_USE, NOON, TIME_USE, LedgerBuilder, money

LEDGER_TABLES: tuple[type[Entity], ...] = (
    JournalLine, Hold, AllocationDocument, BenefitGrant, StoredResponse, MONEY_USE, TIME_USE,
    CoworkerBookingCredit, CoworkerExtraService, Booking,
)  # fmt: skip
ODD_HOURLY_PRICE = money("17.35")
"""An hourly price that quarters of an hour do not divide evenly."""


async def create_rates(ledger: LedgerBuilder) -> dict[str, int]:
    """Rates by what they are for; `odd` applies only to bookings that name it."""
    odd = {"resource_types": (), "CreditPrice": money("13.10")}
    return {
        "minutes": ledger.rate,
        "uses": ledger.uses_rate,
        "prints": await ledger.add_rate(5, "0.01", resource_types=(), IsPrintingCredit=True),
        "odd": await ledger.add_rate(1, "17.35", **odd),
    }


class Simulation:
    """One customer, and the expected state after each operation."""

    def __init__(
        self,
        ledger: LedgerBuilder,
        rates: dict[str, int],
        change_detector: ChangeDetector,
        seed: int,
    ) -> None:
        self.ledger = ledger
        self.rates = rates
        self.change_detector = change_detector
        self.random = Random(seed)
        self.model = LedgerModel(NOON)
        self.first_ids: dict[type[Entity], int] = {}
        self.last_line_id = 0
        self.chain = ChainVerifier()
        self.benefits: dict[str, list[datetime]] = {}
        self.contract = 0
        self.team_payer = 0

    async def start(self) -> None:
        """A new customer, some with a plan, some in a team that shares credit."""
        ledger, random = self.ledger, self.random
        ledger.now = NOON
        ledger.settings = LedgerSettings(
            validity_instant=random.choice(list(ValidityInstant)),
            return_grace_days=random.choice((0, 0, 7)),
            strict_posts=random.random() < 0.25,
        )
        async with ledger.store.read_session() as reading:
            for entity in LEDGER_TABLES:
                self.first_ids[entity] = await _highest(reading, entity, "Id")
            for side in MAPPINGS.values():
                # The newest credit may be deleted while its account state remains.
                kind = where(AccountState, CreditKind=side.account_type.value)
                stated = await _highest(reading, AccountState, "CreditId", kind)
                self.first_ids[side.credit_entity] = max(self.first_ids[side.credit_entity], stated)
        self.last_line_id = self.first_ids[JournalLine]
        ledger.customer = await ledger.add_customer("Ada")
        if random.random() < 0.3:
            self.team_payer = await ledger.add_customer("Grace")
            await ledger.add(
                Team, Name="Mill", BusinessId=ledger.business, PayingMemberId=self.team_payer,
                ShareBookingCredit=True, ShareExtraServices=True,
                TeamMembers=(ledger.customer, self.team_payer),
            )  # fmt: skip
        if random.random() < 0.5:
            await self._add_contract()

    async def _add_contract(self) -> None:
        ledger = self.ledger
        tariff = await ledger.add(Tariff, Name="Desk", BusinessId=ledger.business, CurrencyId=ledger.currency)
        await ledger.add(
            TariffBookingCredit, Name="Rooms", TariffId=tariff, Credit=money("30.00"),
            ServiceRenewalTime=self.random.choice((1, 2, 3)), CaneBeUsedForBookings=True,
        )  # fmt: skip
        await ledger.add(
            TariffExtraService, TariffId=tariff, ExtraServiceId=ledger.rate, UsesIncluded=45,
            ServiceRenewalTime=1,
        )  # fmt: skip
        self.contract = await ledger.add(
            CoworkerContract, IssuedById=ledger.business, CoworkerId=ledger.customer, TariffId=tariff,
            StartDate=datetime(2026, 1, 31, tzinfo=UTC), BillingDay=31, Quantity=1, Active=True,
        )  # fmt: skip

    @property
    def coworker_ids(self) -> tuple[int, ...]:
        return tuple(person for person in (self.ledger.customer, self.team_payer) if person)

    async def transact(self, operation: Callable[[WriteSession], Awaitable[Any]]) -> Any:
        """Runs one operation in its own transaction."""
        async with self.ledger.store.write_session() as unit:
            return await operation(unit)

    async def transact_expecting(
        self,
        operation: Callable[[WriteSession], Awaitable[Any]],
        *,
        fails: bool,
        changes: bool = True,
    ) -> Any:
        """Runs an operation in its own transaction; it must fail, change nothing, or succeed."""
        return await self.expect(lambda: self.transact(operation), fails=fails, changes=changes)

    async def expect(self, run: Callable[[], Awaitable[Any]], *, fails: bool, changes: bool = True) -> Any:
        """The same for an operation that opens its own transaction."""
        if not fails and changes:
            return await run()
        before = await self.change_detector.fingerprint(self.first_ids)
        result = None
        if fails:
            with suppress(DomainError):
                result = await run()
                raise AssertionError(f"not refused: {result!r:.300}")
        else:
            result = await run()
        after = await self.change_detector.fingerprint(self.first_ids)
        assert after == before, f"a call that should change nothing left a trace: {before}, {after}"
        return result

    async def _states(self, reading: ReadSession) -> list[Record]:
        """The account states of this simulation's credits; their Ids do not rise with time."""
        number = AccountState.meta().columns["CreditId"]
        found = []
        for side in MAPPINGS.values():
            ours = Filter(number, Comparison.AT_LEAST, self.first_ids[side.credit_entity] + 1)
            kind = where(AccountState, CreditKind=side.account_type.value)
            found += await reading.find(AccountState, (*kind, ours))
        return found

    async def compare_step(self) -> None:
        """Compares the new lines, the new uses, and the balances of changed credits."""
        model = self.model
        async with self.ledger.store.read_session() as reading:
            found = await reading.find(JournalLine, after_id=self.last_line_id)
            written = self._read_new_lines(found)
            expected = {c.account: c.entries[c.compared_entries :] for c in model.changed.values()}
            assert written == expected, f"journal {written}, books {expected}"
            for credit in model.changed.values():
                credit.compared_entries = len(credit.entries)
            await self._assign_use_ids(reading)
            await self._compare_balances(reading, list(model.changed.values()))
        model.changed.clear()

    def _read_new_lines(self, found: list[Record]) -> dict[AccountKey, list[tuple[Any, ...]]]:
        """The new journal lines by credit as model entries; the hash chain is verified as well."""
        written: dict[AccountKey, list[tuple[Any, ...]]] = {}
        for record in sorted(found, key=lambda r: (r["CreditKind"], r["CreditId"], r["Sequence"])):
            self.last_line_id = max(self.last_line_id, record["Id"])
            self.chain.add([entry_from_record(record)], [bytes.fromhex(record["Digest"])])
            account = (AccountType(record["CreditKind"]), record["CreditId"])
            written.setdefault(account, []).append(_as_model_entry(record))
        assert not self.chain.findings, [str(finding) for finding in self.chain.findings]
        return written

    async def _assign_use_ids(self, reading: ReadSession) -> None:
        """Compares the new uses with the model's, in order, and takes over their ids."""
        model = self.model
        for side in MAPPINGS.values():
            waiting = [row for row in model.uses_without_id if row.credit.mapping is side]
            if not waiting:
                continue
            last = max((n for s, n in model.uses if s is side), default=self.first_ids[side.history_entity])
            rows = await reading.find(side.history_entity, after_id=last)
            shown = [(r[side.credit_reference], r["CreditUsed"], r["BookingId"] or None) for r in rows]
            assert shown == [(row.credit.id, row.used, row.booking_id) for row in waiting]
            for row, record in zip(waiting, rows, strict=True):
                row.id = record["Id"]
                model.uses[side, row.id] = row
        model.uses_without_id.clear()

    async def _compare_balances(self, reading: ReadSession, credits_: list[ModelCredit]) -> None:
        for side in MAPPINGS.values():
            ours = [c for c in credits_ if c.mapping is side and not c.deleted]
            if not ours:
                continue
            ids = tuple(c.id for c in ours)
            records = {r["Id"]: r for r in await reading.find(side.credit_entity, where(side.credit_entity, Id=ids))}
            numbers = tuple(state_id(c.account) for c in ours)
            states = {s["Id"]: s for s in await reading.find(AccountState, where(AccountState, Id=numbers))}
            for credit in ours:
                _compare_balance(credit, records[credit.id], states.get(state_id(credit.account)))

    async def compare_all(self) -> None:
        """Compares everything: journal, hash chain, uses, holds, and past balances."""
        model, ledger = self.model, self.ledger
        async with ledger.store.read_session() as reading:
            await self._compare_balances(reading, list(model.credits.values()))
            marks = self.first_ids
            found = await reading.find(JournalLine, after_id=marks[JournalLine])
            found.sort(key=lambda r: (r["CreditKind"], r["CreditId"], r["Sequence"]))
            lines = [entry_from_record(record) for record in found]
            assert not verify_chain(lines, [bytes.fromhex(r["Digest"]) for r in found])
            await self._compare_journal(reading, lines, found)
            self._compare_heads(await self._states(reading))
            held = await reading.find(Hold, after_id=marks[Hold])
            assert [h["State"] for h in held] == [h.state for h in model.holds]
            await self._compare_current_balances(reading)
            await self._compare_past_balances(reading)

    async def _compare_journal(self, reading: ReadSession, lines: list[Any], found: list[Record]) -> None:
        used: dict[AccountKey, int] = {}
        for history, side in MAPPINGS_BY_HISTORY.items():
            for row in await reading.find(history, after_id=self.first_ids[history]):
                account = (side.account_type, row[side.credit_reference])
                used[account] = used.get(account, 0) + (row["CreditUsed"] or 0)
        for account, credit in self.model.credits.items():
            own = [x for x in lines if (x.credit_kind, x.credit_id) == account]
            if not own:
                continue
            stored = AccountBalances(credit.remaining, credit.held, credit.total, len(credit.entries))
            mapping = MAPPINGS[account[0]]
            assert list(balance_differences(mapping, stored, own, used.get(account, 0), None)) == []
            assert credit.total - used.get(account, 0) == credit.remaining
            own_records = [r for r in found if (r["CreditKind"], r["CreditId"]) == account]
            assert [_as_model_entry(r) for r in own_records] == credit.entries

    def _compare_heads(self, states: list[Record]) -> None:
        heads = [
            ChainHead(AccountType(s["CreditKind"]), s["CreditId"], s["Sequence"], bytes.fromhex(s["Digest"]))
            for s in states if s["Sequence"]
        ]  # fmt: skip
        findings = [str(finding) for finding in check_heads(self.chain.heads, heads)]
        assert not findings, findings

    async def _compare_current_balances(self, reading: ReadSession) -> None:
        """A balance shows what is held without what has ended, written or not (rule 26)."""
        for person in self.coworker_ids:
            for shown in await customer_balances(reading, person, self.ledger.request_context()):
                credit = self.model.credits[shown.account]
                assert (shown.remaining, shown.held) == (credit.remaining, credit.held - credit.ended), shown

    async def _compare_past_balances(self, reading: ReadSession) -> None:
        model, random, call = self.model, self.random, self.ledger.request_context()
        past = model.balances_at
        for instant, then in random.sample(past, min(2, len(past))):
            for person in self.coworker_ids:
                for shown in await customer_balances(reading, person, call, at=instant):
                    assert shown.remaining == then.get(shown.account, 0), (instant, shown)
        journalled = [credit for credit in model.credits.values() if credit.entries]
        for credit in random.sample(journalled, min(3, len(journalled))):
            at = NOON + random.random() * (model.now - NOON)
            known = NOON + random.random() * (model.now - NOON)
            account = credit.account
            assert await credit_balance_at(reading, account, at) == credit.balance(at)
            as_known = credit.balance_as_known(at, known)
            assert await credit_balance_at(reading, account, at, known) == as_known

    async def new_credit_ids(self, side: CreditTypeMapping) -> list[int]:
        """Credits of this simulation that the model does not have yet, by Id."""
        async with self.ledger.store.read_session() as reading:
            found = await reading.find(side.credit_entity, after_id=self.first_ids[side.credit_entity])
        known = {credit.id for credit in self.model.credits.values() if credit.mapping is side}
        fresh = [r for r in found if r["Id"] not in known and r["CoworkerId"] in self.coworker_ids]
        return [r["Id"] for r in fresh if side is MONEY_MAPPING or not r["BookingId"]]

    def advance_clock(self, step: timedelta) -> None:
        """Advances the clock; the balances at the old instant are recorded."""
        self.model.record_balances()
        self.ledger.now += step
        self.model.advance_to(self.ledger.now)


async def _highest(reading: ReadSession, entity: type[Entity], name: str, filters: Sequence[Filter] = ()) -> int:
    """The highest number in a column, or 0."""
    found = await reading.find(entity, filters, Order(entity.meta().columns[name], True), 1)
    return int(found[0][name]) if found else 0


def _as_model_entry(record: Record) -> tuple[Any, ...]:
    scale = MAPPINGS[AccountType(record["CreditKind"])].scale
    amounts = ("Amount", "BalanceAfter", "HeldAfter", "TotalAfter")
    return (
        record["Kind"], *(record[name] // scale for name in amounts), record["RecordedOn"],
        record["EffectiveOn"],
    )  # fmt: skip


def _compare_balance(credit: ModelCredit, record: Record, state: Record | None) -> None:
    side = credit.mapping
    remaining, total = record[side.remaining_field], record[side.total_field]
    held = state["Held"] // side.scale if state else 0
    assert (remaining, total, held) == (credit.remaining, credit.total, credit.held), credit.account
    assert 0 <= remaining <= total, credit.account
    assert 0 <= held <= remaining, credit.account
    assert record["ExpireDate"] == credit.expires
    assert (state["Sequence"] if state else 0) == len(credit.entries)
    assert (state["ExpirySwept"] if state else None) == credit.expiry_posted
    if credit.entries:
        used = sum(row.used or 0 for row in credit.uses)
        assert total - used == remaining, credit.account
