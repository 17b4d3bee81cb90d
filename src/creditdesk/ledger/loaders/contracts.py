"""Contracts: the plans that customers are on."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.ledger.loaders.rows import Flag, TypedRow, UniqueRow, find_filtered, have_values
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.contracts import ContractTerm, Pause
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import Finder, ReadSession, WriteSession


class ContractRow(UniqueRow, frozen=True, gc=False):
    """A customer's contract on a plan, and the dates its periods follow from.

    `active` is False for one that its system ended without a date.
    """

    entity = CoworkerContract

    coworker_id: int | None
    issued_by_id: int
    tariff_id: int
    active: Flag
    main_contract: Flag
    cancelled: Flag
    start_date: datetime | None
    created_on: datetime
    cancellation_date: datetime | None
    billing_day: int | None
    quantity: int | None
    in_paused_period: Flag
    in_paused_period_from: datetime | None
    in_paused_period_until: datetime | None

    @property
    def starts(self) -> datetime:
        """When the contract begins; without a start date, when it was created (rule 27)."""
        return self.start_date or self.created_on

    @property
    def term(self) -> ContractTerm:
        """When the contract is active."""
        ends = self.cancellation_date
        if ends is None and (self.cancelled or not self.active):
            ends = self.starts
        return ContractTerm(self.starts, ends, self._pause)

    @property
    def _pause(self) -> Pause | None:
        if self.in_paused_period:
            return Pause(self.in_paused_period_from, self.in_paused_period_until)
        # Without an end and not lasting, it was ended early.
        return Pause(self.in_paused_period_from, self.in_paused_period_until) if self.in_paused_period_until else None

    @property
    def benefit_quantity(self) -> int:
        """How many times the plan's benefits are granted."""
        return max(1, self.quantity or 1)


class ContractEndRow(TypedRow, frozen=True, gc=False):
    """When a contract ends; imported contracts may lack the other values."""

    entity = CoworkerContract

    cancellation_date: datetime | None


class PricedContract(ContractRow, frozen=True, gc=False):
    """A contract with its price, or that of its plan."""

    price: Amount | None
    tariff_price: Amount | None
    tariff_currency_code: str | None


def contract_filters(**values: object) -> tuple[Filter, ...]:
    """Filters for contracts with these values, a location and a plan.

    An imported contract may lack the last two; it renews nothing and makes nobody a subscriber.
    """
    return (*where(CoworkerContract, **values), *have_values(CoworkerContract, "IssuedById", "TariffId"))


async def lock_contracts(session: WriteSession, contract_ids: Collection[int]) -> None:
    """Locks contracts in id order, so that each is renewed by one session at a time."""
    await session.lock(CoworkerContract, sorted(contract_ids), ("Id",))


async def load_begun_contracts(
    finder: Finder, now: datetime, contract_ids: Collection[int] | None = None
) -> list[ContractRow]:
    """The contracts that have begun, by Id, without those that ended on an unknown date.

    `contract_ids` limits them. An ended contract may still be due benefits that it missed.
    """
    named = {} if contract_ids is None else {"Id": tuple(contract_ids)}
    found = await find_filtered(finder, ContractRow, contract_filters(Active=True, **named))
    return [contract for contract in found if contract.starts <= now]


async def load_main_contracts(finder: Finder, customer_id: int, now: datetime) -> list[ContractRow]:
    """The active main contracts of a customer, by Id; the oldest active contract if none is marked as main."""
    found = await find_filtered(finder, ContractRow, contract_filters(CoworkerId=customer_id))
    active = [contract for contract in found if contract.term.is_active(now)]
    marked = [contract for contract in active if contract.main_contract]
    return marked or sorted(active, key=lambda contract: (contract.term.starts, contract.id))[:1]


async def find_stale_contracts(session: ReadSession, now: datetime, limit: int) -> list[int]:
    """The ids of contracts whose flags no longer match their dates, at most `limit` of each kind."""
    columns = CoworkerContract.meta().columns
    ended = Filter(columns["CancellationDate"], Comparison.AT_MOST, now)
    resumed = Filter(columns["InPausedPeriodUntil"], Comparison.AT_MOST, now)
    paused = (
        Filter(columns["InPausedPeriodFrom"], Comparison.AT_MOST, now),
        Filter(columns["InPausedPeriodUntil"], Comparison.AT_LEAST, now),
    )
    kinds = (
        (*where(CoworkerContract, Active=True), ended),
        (*where(CoworkerContract, InPausedPeriod=True), resumed),
        (*where(CoworkerContract, InPausedPeriod=False), *paused),
    )
    found: set[int] = set()
    for filters in kinds:
        records = await session.find(CoworkerContract, filters, limit=limit, columns=("Id",))
        found |= {record["Id"] for record in records}
    return sorted(found)
