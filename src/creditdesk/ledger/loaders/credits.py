"""The credits of whoever may pay: every one they have, as the pure core knows it.

For many people at once in a constant number of exchanges with the store. This module must not know
what is to be paid, nor who may reach whose credit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.journal.mapping import (
    MONEY_MAPPING,
    TIME_MAPPING,
    CreditTypeMapping,
    is_booking_charge,
    overdraft_limit,
    state_id,
    where,
)
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.rates import load_rates, to_rate
from creditdesk.ledger.rules.credit import (
    DEFAULT_PRIORITY,
    Credit,
    CreditLimits,
    CreditType,
    extra_service_type,
)
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Finder, FindQuery

_COMMON_COLUMNS: Final = ("Id", "CoworkerId", "BusinessId", "CreatedOn", "ValidFrom", "ExpireDate")
_MONEY_COLUMNS: Final = (
    *_COMMON_COLUMNS, MONEY_MAPPING.remaining_field, MONEY_MAPPING.total_field, "BusinessCurrencyCode", "UseCreditPrice",
    "CaneBeUsedForBookings", "CaneBeUsedForEvents", "IsUniversalCredit", "AppliesToCharges",
    "ElegibleResourceTypes", "EventCategories", "ElegibleProducts", "ElegiblePasses",
    "ElegibleTariffs",
)  # fmt: skip
_TIME_COLUMNS: Final = (
    *_COMMON_COLUMNS, TIME_MAPPING.remaining_field, TIME_MAPPING.total_field, "ExtraServiceId", "BookingId", "BookingUniqueId",
    "Overdraft",
)  # fmt: skip


async def load_credits(
    finder: Finder, customer_ids: Collection[int], *, skip_states: bool
) -> dict[int, tuple[Credit, ...]]:
    """Every credit of these people, by whose it is, in no order; as nobody's of a team.

    Those that are to be locked come without what only their states tell: the lock brings it.
    """
    if not customer_ids:
        return {}
    money, time = await finder.find_many(
        [
            FindQuery(
                MONEY_MAPPING.credit_entity,
                where(MONEY_MAPPING.credit_entity, CoworkerId=customer_ids),
                _MONEY_COLUMNS,
            ),
            FindQuery(
                TIME_MAPPING.credit_entity,
                where(TIME_MAPPING.credit_entity, CoworkerId=customer_ids),
                _TIME_COLUMNS,
            ),
        ]
    )
    time = [record for record in time if not is_booking_charge(TIME_MAPPING, record)]
    found = [
        *((MONEY_MAPPING, record) for record in money),
        *((TIME_MAPPING, record) for record in time),
    ]
    ids = (
        set()
        if skip_states
        else {state_id((side.account_type, record["Id"])) for side, record in found}
    )
    rates, states = await gather_loads(
        finder,
        lambda finding: load_rates(finding, [record["ExtraServiceId"] for record in time]),
        lambda finding: _load_states(finding, ids),
    )
    credits_: dict[int, list[Credit]] = {person: [] for person in customer_ids}
    for side, record in found:
        state = states.get(state_id((side.account_type, record["Id"])))
        credits_[record["CoworkerId"]].append(_to_credit(side, record, rates, state))
    return {person: tuple(of) for person, of in credits_.items()}


async def _load_states(finder: Finder, ids: set[int]) -> dict[int, Record]:
    if not ids:
        return {}
    names = ("Id", "Held", "Priority", "Paid")
    found = await finder.find(AccountState, where(AccountState, Id=ids), columns=names)
    return {state["Id"]: state for state in found}


def _to_credit(
    mapping: CreditTypeMapping, record: Record, rates: Mapping[int, Record], state: Record | None
) -> Credit:
    priority, paid = _priority_and_paid(state)
    is_money = mapping is MONEY_MAPPING
    rate = None if is_money else rates.get(record["ExtraServiceId"])
    return Credit(
        CreditType.MONEY if is_money else _credit_type(record, rate),
        record["Id"],
        record["CoworkerId"],
        record["BusinessId"],
        (rate["CurrencyCode"] if rate else record.get("BusinessCurrencyCode")) or "",
        record[mapping.remaining_field],
        record["CreatedOn"],
        total=record[mapping.total_field],
        held=state["Held"] // mapping.scale if state else 0,
        overdraft=overdraft_limit(mapping, record),
        valid_from=record["ValidFrom"],
        expires=record["ExpireDate"],
        limits=_to_limits(record) if is_money else CreditLimits(),
        rate=to_rate(rate) if rate else None,
        use_credit_price=record["UseCreditPrice"] if is_money else False,
        priority=priority,
        paid=paid,
    )


def _credit_type(record: Record, rate: Record | None) -> CreditType:
    return extra_service_type(
        booking_id=record["BookingId"],
        booking_unique_id=record["BookingUniqueId"],
        is_printing_credit=bool(rate and rate["IsPrintingCredit"]),
    )


def _to_limits(record: Record) -> CreditLimits:
    return CreditLimits(
        record["CaneBeUsedForBookings"],
        record["CaneBeUsedForEvents"],
        record["IsUniversalCredit"],
        frozenset(record["ElegibleResourceTypes"]),
        frozenset(record["EventCategories"]),
        frozenset(record["ElegibleProducts"]),
        frozenset(record["ElegiblePasses"]),
        frozenset(record["ElegibleTariffs"]),
        record["AppliesToCharges"],
    )


def _priority_and_paid(state: Record | None) -> tuple[int, bool]:
    """The priority of a credit, and whether it was paid for."""
    return (state["Priority"], state["Paid"]) if state else (DEFAULT_PRIORITY, False)
