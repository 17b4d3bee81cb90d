"""The credits of whoever may pay: every one they have, as the pure core knows it.

For many people at once in a constant number of exchanges with the store. This module must not know
what is to be paid, nor who may reach whose credit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.ledger.journal.mapping import MONEY, TIME, Side, overdraft_of, state_id, where
from creditdesk.ledger.journal.transaction import is_charge
from creditdesk.ledger.loaders.dataloader import at_once
from creditdesk.ledger.loaders.rates import rate_of, read_rates
from creditdesk.ledger.rules.credit import (
    DEFAULT_PRIORITY,
    Credit,
    Limits,
    PayingKind,
    kind_of_extra_service,
)
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Finding, Question

_OF_BOTH: Final = ("Id", "CoworkerId", "BusinessId", "CreatedOn", "ValidFrom", "ExpireDate")
_OF_MONEY: Final = (
    *_OF_BOTH, MONEY.remaining, MONEY.total, "BusinessCurrencyCode", "UseCreditPrice",
    "CaneBeUsedForBookings", "CaneBeUsedForEvents", "IsUniversalCredit", "AppliesToCharges",
    "ElegibleResourceTypes", "EventCategories", "ElegibleProducts", "ElegiblePasses",
    "ElegibleTariffs",
)  # fmt: skip
_OF_TIME: Final = (
    *_OF_BOTH, TIME.remaining, TIME.total, "ExtraServiceId", "BookingId", "BookingUniqueId",
    "Overdraft",
)  # fmt: skip


async def read_credits(
    finding: Finding, people: Collection[int], *, to_lock: bool
) -> dict[int, tuple[Credit, ...]]:
    """Every credit of these people, by whose it is, in no order; as nobody's of a team.

    Those that are to be locked come without what only their states tell: the lock brings it.
    """
    if not people:
        return {}
    money, time = await finding.find_all(
        [
            Question(MONEY.credit, where(MONEY.credit, CoworkerId=people), _OF_MONEY),
            Question(TIME.credit, where(TIME.credit, CoworkerId=people), _OF_TIME),
        ]
    )
    time = [record for record in time if not is_charge(TIME, record)]
    found = [*((MONEY, record) for record in money), *((TIME, record) for record in time)]
    ids = set() if to_lock else {state_id((side.kind, record["Id"])) for side, record in found}
    rates, states = await at_once(
        finding,
        lambda finding: read_rates(finding, [record["ExtraServiceId"] for record in time]),
        lambda finding: _states(finding, ids),
    )
    credits_: dict[int, list[Credit]] = {person: [] for person in people}
    for side, record in found:
        state = states.get(state_id((side.kind, record["Id"])))
        credits_[record["CoworkerId"]].append(_credit(side, record, rates, state))
    return {person: tuple(of) for person, of in credits_.items()}


async def _states(finding: Finding, ids: set[int]) -> dict[int, Record]:
    if not ids:
        return {}
    names = ("Id", "Held", "Priority", "Paid")
    found = await finding.find(CreditState, where(CreditState, Id=ids), names=names)
    return {state["Id"]: state for state in found}


def _credit(
    side: Side, record: Record, rates: Mapping[int, Record], state: Record | None
) -> Credit:
    priority, paid = standing(state)
    is_money = side is MONEY
    rate = None if is_money else rates.get(record["ExtraServiceId"])
    return Credit(
        PayingKind.MONEY if is_money else _kind(record, rate),
        record["Id"],
        record["CoworkerId"],
        record["BusinessId"],
        (rate["CurrencyCode"] if rate else record.get("BusinessCurrencyCode")) or "",
        record[side.remaining],
        record["CreatedOn"],
        total=record[side.total],
        held=state["Held"] // side.scale if state else 0,
        overdraft=overdraft_of(side, record),
        valid_from=record["ValidFrom"],
        expires=record["ExpireDate"],
        limits=_limits(record) if is_money else Limits(),
        rate=rate_of(rate) if rate else None,
        use_credit_price=record["UseCreditPrice"] if is_money else False,
        priority=priority,
        paid=paid,
    )


def _kind(record: Record, rate: Record | None) -> PayingKind:
    return kind_of_extra_service(
        booking_id=record["BookingId"],
        booking_unique_id=record["BookingUniqueId"],
        is_printing_credit=bool(rate and rate["IsPrintingCredit"]),
    )


def _limits(record: Record) -> Limits:
    return Limits(
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


def standing(state: Record | None) -> tuple[int, bool]:
    """The priority of a credit, and whether it was paid for."""
    return (state["Priority"], state["Paid"]) if state else (DEFAULT_PRIORITY, False)
