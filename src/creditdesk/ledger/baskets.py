"""A basket: what one customer has to pay, and every credit that may be looked at for it.

Reads records into the pure core's values, for many baskets at once in a constant number of
statements. This module must not decide who pays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from creditdesk.entities.ledger.credit_state import CreditState
from creditdesk.ledger.amounts import Amount
from creditdesk.ledger.caps import Member, read_caps
from creditdesk.ledger.covered import covered_of
from creditdesk.ledger.credit import (
    DEFAULT_PRIORITY,
    Credit,
    CreditKind,
    Limits,
    Owner,
    Source,
    SourceKey,
    SourceKind,
    kind_of_extra_service,
)
from creditdesk.ledger.journal import Book, Locked, is_charge
from creditdesk.ledger.pools import MemberCap, under_caps
from creditdesk.ledger.rates import rate_of, read_rates
from creditdesk.ledger.reach import Reach, read_reaches
from creditdesk.ledger.records import (
    MONEY,
    TIME,
    Account,
    Side,
    account_of,
    may_see,
    overdraft_of,
    state_id,
    unknown,
    where,
)
from creditdesk.ledger.sources import Asked, AskedBasket, Whose, read_sources
from creditdesk.schema.entity import Record
from creditdesk.schema.refusals import Invalid, none_refused
from creditdesk.schema.store import Reading, Unit
from creditdesk.schema.writing import Call

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


@dataclass(frozen=True, slots=True)
class Basket:
    """Sources of one customer, and the credits it reaches, as they were read."""

    owner: Owner
    sources: tuple[Source, ...]
    credits: tuple[Credit, ...]
    caps: tuple[MemberCap, ...] = ()

    @property
    def accounts(self) -> tuple[Account, ...]:
        return tuple(account_of(credit.key) for credit in self.credits)

    def as_locked(self, book: Book, let_go: Collection[int] = ()) -> tuple[Credit, ...]:
        """The credits with the balances they have under lock; those that are gone left out.

        What the holds in `let_go` held counts against no cap.
        """
        now = [
            _as_locked(credit, locked)
            for credit in self.credits
            if (locked := book.credits.get(account_of(credit.key))) is not None
        ]
        return under_caps(now, self.caps, book.now, let_go)


def _as_locked(credit: Credit, locked: Locked) -> Credit:
    priority, paid = _standing(locked.state)
    now = (locked.remaining, locked.held, locked.overdraft, priority, paid)
    if now == (credit.remaining, credit.held, credit.overdraft, credit.priority, credit.paid):
        return credit
    return structs.replace(
        credit,
        remaining=locked.remaining,
        held=locked.held,
        overdraft=locked.overdraft,
        priority=priority,
        paid=paid,
    )


def _standing(state: Record | None) -> tuple[int, bool]:
    """The priority of a credit, and whether it was paid for."""
    return (state["Priority"], state["Paid"]) if state else (DEFAULT_PRIORITY, False)


async def read_basket(reading: Reading, whose: Whose, asked: Sequence[Asked], call: Call) -> Basket:
    """One basket as the caller may see it. Raises Invalid for what is not there for the caller."""
    asked_basket = AskedBasket(whose, tuple(asked), call)
    (basket,) = none_refused(await read_baskets(reading, [asked_basket]))
    return basket


async def basket_to_draw(unit: Unit, whose: Whose, asked: Sequence[Asked], call: Call) -> Basket:
    """One basket that is to be drawn or held. Raises Invalid for what is not there."""
    asked_basket = AskedBasket(whose, tuple(asked), call)
    (basket,) = none_refused(await baskets_to_draw(unit, [asked_basket]))
    return basket


async def read_baskets(reading: Reading, baskets: Sequence[AskedBasket]) -> list[Basket | Invalid]:
    """Each basket as its caller may see it, or why it is refused."""
    return await _read(reading, baskets, None)


async def baskets_to_draw(unit: Unit, baskets: Sequence[AskedBasket]) -> list[Basket | Invalid]:
    """Each basket as `read_baskets` gives it, in the unit that is to draw on the credits.

    The caps are locked, before the credits and for all baskets together. Credits come without what
    only their states tell: their own lock brings it.
    """
    return await _read(unit, baskets, unit)


async def _read(
    reading: Reading, baskets: Sequence[AskedBasket], drawn_in: Unit | None
) -> list[Basket | Invalid]:
    if not baskets:
        return []
    reaches = await read_reaches(reading, {basket.whose.customer_id for basket in baskets})
    sources = await read_sources(reading, baskets)
    covered = await covered_of(reading, set(_settled(baskets)))
    credits_ = await read_credits(reading, reaches.values(), to_lock=drawn_in is not None)
    read = [
        _basket(basket, reaches.get(basket.whose.customer_id), found, covered, credits_)
        for basket, found in zip(baskets, sources, strict=True)
    ]
    return await _under_caps(reading, baskets, reaches, read, drawn_in)


async def _under_caps(
    reading: Reading,
    baskets: Sequence[AskedBasket],
    reaches: Mapping[int, Reach],
    read: Sequence[Basket | Invalid],
    drawn_in: Unit | None,
) -> list[Basket | Invalid]:
    """The baskets with the caps that hold for their customers (rule 16)."""
    members = [
        Member(
            reaches[basket.owner.customer_id],
            basket.credits,
            asked.call.now,
            [source.key for source in basket.sources] if asked.as_unpaid else (),
        )
        for asked, basket in zip(baskets, read, strict=True)
        if isinstance(basket, Basket)
    ]
    caps = iter(await read_caps(reading, members, locked_in=drawn_in))
    return [
        _capped(basket, next(caps), asked.call) if isinstance(basket, Basket) else basket
        for asked, basket in zip(baskets, read, strict=True)
    ]


def _capped(basket: Basket, caps: tuple[MemberCap, ...], call: Call) -> Basket:
    return replace(basket, credits=under_caps(basket.credits, caps, call.now), caps=caps)


def _settled(baskets: Iterable[AskedBasket]) -> Iterable[SourceKey]:
    """The sources of which only what is not covered yet is part of the basket."""
    for basket in baskets:
        for each in basket.asked:
            # A kind of pass is sold to many: what one paid covers nothing for the next.
            sold_once = each.kind is not SourceKind.TIME_PASS
            if each.amount is None and sold_once and not basket.as_unpaid:
                yield SourceKey(each.kind, each.id)


def _basket(
    basket: AskedBasket,
    reach: Reach | None,
    sources: tuple[Source, ...] | Invalid,
    covered: Mapping[SourceKey, Amount],
    credits_: Mapping[int, Sequence[Credit]],
) -> Basket | Invalid:
    caller = basket.call.caller
    if reach is None or not reach.seen_by(caller):
        return unknown("Coworker", basket.whose.customer_id)
    if isinstance(sources, Invalid):
        return sources
    settled = set(_settled([basket]))
    return Basket(
        reach.owner,
        tuple(
            structs.replace(source, price=max(0, source.price - covered[source.key]))
            if source.key in settled
            else source
            for source in sources
        ),
        tuple(
            _reached(credit, reach)
            for person in reach.people
            for credit in credits_[person]
            if may_see(caller, credit.business_id)
        ),
    )


def _reached(credit: Credit, reach: Reach) -> Credit:
    """The credit as it is reached: through a team where it is not the customer's own."""
    team_id = reach.payers.get(credit.customer_id)
    return credit if team_id is None else structs.replace(credit, team_id=team_id)


async def read_credits(
    reading: Reading, reaches: Iterable[Reach], *, to_lock: bool
) -> dict[int, tuple[Credit, ...]]:
    """Every credit of all who may pay, by customer, in no order; as nobody's of a team."""
    people = {person for reach in reaches for person in reach.people}
    if not people:
        return {}
    money = await reading.find(
        MONEY.credit, where(MONEY.credit, CoworkerId=people), names=_OF_MONEY
    )
    time = await reading.find(TIME.credit, where(TIME.credit, CoworkerId=people), names=_OF_TIME)
    time = [record for record in time if not is_charge(TIME, record)]
    rates = await read_rates(reading, [record["ExtraServiceId"] for record in time])
    found = [*((MONEY, record) for record in money), *((TIME, record) for record in time)]
    ids = set() if to_lock else {state_id((side.kind, record["Id"])) for side, record in found}
    states = await _states(reading, ids)
    credits_: dict[int, list[Credit]] = {person: [] for person in people}
    for side, record in found:
        state = states.get(state_id((side.kind, record["Id"])))
        credits_[record["CoworkerId"]].append(_credit(side, record, rates, state))
    return {person: tuple(of) for person, of in credits_.items()}


async def _states(reading: Reading, ids: set[int]) -> dict[int, Record]:
    if not ids:
        return {}
    names = ("Id", "Held", "Priority", "Paid")
    found = await reading.find(CreditState, where(CreditState, Id=ids), names=names)
    return {state["Id"]: state for state in found}


def _credit(
    side: Side, record: Record, rates: Mapping[int, Record], state: Record | None
) -> Credit:
    priority, paid = _standing(state)
    is_money = side is MONEY
    rate = None if is_money else rates.get(record["ExtraServiceId"])
    return Credit(
        CreditKind.MONEY if is_money else _kind(record, rate),
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


def _kind(record: Record, rate: Record | None) -> CreditKind:
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
