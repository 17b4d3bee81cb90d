"""Every credit of the customers that may pay, as the rules use it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from msgspec import field
from msgspec.structs import replace

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING, CreditTypeMapping, account_key, state_id
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.holds import load_ended_amounts
from creditdesk.ledger.loaders.rates import RateRow, load_rates
from creditdesk.ledger.loaders.rows import Flag, TypedRow, find_by_id, query_of, to_row
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import (
    DEFAULT_PRIORITY,
    Credit,
    CreditLimits,
    CreditType,
    extra_service_type,
)
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import Finder, ReadSession


class MoneyCreditRow(TypedRow, frozen=True, gc=False):
    """A money credit."""

    entity = CoworkerBookingCredit

    coworker_id: int
    business_id: int
    created_on: datetime
    valid_from: datetime | None
    expire_date: datetime | None
    remaining_credit: Amount
    total_credit: Amount
    business_currency_code: str | None
    use_credit_price: Flag
    for_bookings: Flag = field(name="CaneBeUsedForBookings")
    for_events: Flag = field(name="CaneBeUsedForEvents")
    is_universal_credit: Flag
    applies_to_charges: Flag
    resource_types: frozenset[int] = field(name="ElegibleResourceTypes")
    event_categories: frozenset[int]
    products: frozenset[int] = field(name="ElegibleProducts")
    passes: frozenset[int] = field(name="ElegiblePasses")
    tariffs: frozenset[int] = field(name="ElegibleTariffs")

    def to_credit(self, state: StateRow | None) -> Credit:
        """The credit with the balances of its account; without a state nothing is held."""
        state = state or NO_STATE
        return Credit(
            CreditType.MONEY,
            self.id,
            self.coworker_id,
            self.business_id,
            self.business_currency_code or "",
            self.remaining_credit,
            self.created_on,
            total=self.total_credit,
            held=state.held // MONEY_MAPPING.scale,
            valid_from=self.valid_from,
            expires=self.expire_date,
            limits=self._limits(),
            use_credit_price=bool(self.use_credit_price),
            priority=state.priority,
            paid=state.funding.counts_as_paid,
            is_granted=state.sequence > 0,
        )

    def _limits(self) -> CreditLimits:
        return CreditLimits(
            bool(self.for_bookings),
            bool(self.for_events),
            bool(self.is_universal_credit),
            self.resource_types,
            self.event_categories,
            self.products,
            self.passes,
            self.tariffs,
            bool(self.applies_to_charges),
        )


class TimeCreditRow(TypedRow, frozen=True, gc=False):
    """A time or printing credit, or a booking charge: its own values decide which (rule 5)."""

    entity = CoworkerExtraService

    coworker_id: int
    business_id: int
    created_on: datetime
    valid_from: datetime | None
    expire_date: datetime | None
    remaining_uses: Amount
    total_uses: Amount
    extra_service_id: int | None
    booking_id: int | None
    booking_unique_id: str | None
    overdraft: Amount | None

    @property
    def is_booking_charge(self) -> bool:
        """Whether it is a booking charge, which has no balance."""
        return bool(self.booking_id or self.booking_unique_id)

    def to_credit(self, rate: RateRow | None, state: StateRow | None) -> Credit:
        """The credit with the balances of its account; without a state nothing is held."""
        state = state or NO_STATE
        return Credit(
            extra_service_type(
                booking_id=self.booking_id,
                booking_unique_id=self.booking_unique_id,
                is_printing_credit=bool(rate and rate.is_printing_credit),
            ),
            self.id,
            self.coworker_id,
            self.business_id,
            (rate.currency_code if rate else None) or "",
            self.remaining_uses,
            self.created_on,
            total=self.total_uses,
            held=state.held // TIME_MAPPING.scale,
            overdraft=self.overdraft or 0,
            valid_from=self.valid_from,
            expires=self.expire_date,
            rate=rate.to_rate() if rate else None,
            priority=state.priority,
            paid=state.funding.counts_as_paid,
            is_granted=state.sequence > 0,
        )


class StateRow(TypedRow, frozen=True, gc=False):
    """What the ledger keeps of a credit beside its record."""

    entity = AccountState

    sequence: int
    held: Amount
    priority: int
    funding: FundingKind


NO_STATE: Final = StateRow(0, 0, 0, DEFAULT_PRIORITY, FundingKind.UNKNOWN)
"""The state of a credit without a journal, which cannot be used (rule 38)."""


async def load_credits(
    finder: Finder, customer_ids: Collection[int], now: datetime, *, skip_states: bool
) -> dict[int, tuple[Credit, ...]]:
    """Every credit of the customers, by customer id; credits are the customer's own, of no team.

    What is held past its time at `now` is not held any more (rule 26).

    With `skip_states` none is granted and nothing is held, at the default priority: for credits that
    are locked later, since the lock reads their states.
    """
    if not customer_ids:
        return {}
    money_records, time_records = await finder.find_many(
        [
            query_of(MoneyCreditRow, CoworkerId=customer_ids),
            query_of(TimeCreditRow, CoworkerId=customer_ids),
        ]
    )
    money = [to_row(MoneyCreditRow, record) for record in money_records]
    time = [row for row in (to_row(TimeCreditRow, record) for record in time_records) if not row.is_booking_charge]
    state_ids = () if skip_states else _state_ids(money, time)
    rates, states = await gather_loads(
        finder,
        lambda finder: load_rates(finder, [row.extra_service_id for row in time]),
        lambda finder: find_by_id(finder, StateRow, state_ids),
    )
    credits_: dict[int, list[Credit]] = {customer_id: [] for customer_id in customer_ids}
    for credit in money:
        state = states.get(state_id((MONEY_MAPPING.account_type, credit.id)))
        credits_[credit.coworker_id].append(credit.to_credit(state))
    for time_credit in time:
        rate = rates.get(time_credit.extra_service_id or 0)
        state = states.get(state_id((TIME_MAPPING.account_type, time_credit.id)))
        credits_[time_credit.coworker_id].append(time_credit.to_credit(rate, state))
    found = [credit for of_customer in credits_.values() for credit in of_customer]
    ended = await load_ended_amounts(finder, {account_key(c.key) for c in found if c.held}, now)
    return {
        customer_id: tuple(
            replace(credit, held=credit.held - ended.get(account_key(credit.key), 0)) if credit.held else credit
            for credit in of_customer
        )
        for customer_id, of_customer in credits_.items()
    }


async def has_credits_on_rate(session: ReadSession, rate_id: int) -> bool:
    """Whether any credit counts in the units of a rate; booking charges have no balance."""
    columns = CoworkerExtraService.meta().columns
    filters = (
        *where(CoworkerExtraService, ExtraServiceId=rate_id),
        Filter(columns["BookingId"], Comparison.NULL),
        Filter(columns["BookingUniqueId"], Comparison.NULL),
    )
    return bool(await session.find(CoworkerExtraService, filters, limit=1, columns=("Id",)))


class _PrintingRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerExtraService

    extra_service_is_printing_credit: Flag


async def load_printing_ids(finder: Finder, credit_ids: Iterable[int]) -> set[int]:
    """Those of the ids that are printing credits: only a credit's rate decides that (rule 5)."""
    found = await find_by_id(finder, _PrintingRow, credit_ids)
    return {row.id for row in found.values() if row.extra_service_is_printing_credit}


_NOT_REISSUED: Final = ("Id", "UniqueId", "CreatedOn", "UpdatedOn", "UpdatedBy", "Overdraft")


async def load_credit_values(session: ReadSession, mapping: CreditTypeMapping, credit_id: int) -> dict[str, object]:
    """The values of a credit that a new credit in its place takes over, collections included."""
    record = await session.get(mapping.credit_entity, credit_id)
    assert record is not None
    meta = mapping.credit_entity.meta()
    columns = (*meta.stored_columns, *meta.collection_columns)
    return {c.name: record[c.name] for c in columns if c.name not in _NOT_REISSUED}


def _state_ids(money: Iterable[MoneyCreditRow], time: Iterable[TimeCreditRow]) -> list[int]:
    return [
        *(state_id((MONEY_MAPPING.account_type, row.id)) for row in money),
        *(state_id((TIME_MAPPING.account_type, row.id)) for row in time),
    ]
