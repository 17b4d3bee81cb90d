"""Which credits pay for a basket, how much each, and why the others do not.

The order of payment (rule 18), first difference decides:

1. own credit before a team's; several teams in the order of their ids
2. time (and printing) before money: time is taken off the length, money off the cost
3. explicit priority, the lower number first, 50 unless it is set
4. the earliest expiry, credit without one last
5. narrower before wider: with listed limits; for bookings or events only; for both; universal
6. free before paid
7. the earliest start of validity, none as the earliest, then the creation, then the id

A preview and a spend both call `allocate`; a spend stores the document with itself (rule 19).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from creditdesk.ledger.rules.amounts import Amount, format_money, smallest_amount
from creditdesk.ledger.rules.assignment import assign
from creditdesk.ledger.rules.credit import (
    BookingQuote,
    Credit,
    CreditKey,
    CreditType,
    Customer,
    Rate,
    Source,
    SourceKey,
    format_utc,
)
from creditdesk.ledger.rules.eligibility import ReasonCode, ineligibility_reason
from creditdesk.ledger.rules.offers import (
    Assignment,
    BasketProblem,
    Cap,
    Demand,
    MoneyOffer,
    Share,
    UnitOffer,
)
from creditdesk.ledger.rules.overdraft import OverdraftCredits
from creditdesk.ledger.rules.pool_caps import capped_total, caps_by_position, remaining_after
from creditdesk.ledger.rules.quotes import quote_document
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.settings import LedgerSettings

RULES_VERSION = 1
"""Stored with each allocation: a later change of the rules does not affect it."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_ALWAYS = datetime.min.replace(tzinfo=UTC)

PaymentOrderKey = tuple[int | str | bool | datetime, ...]


class AllocationPart(Struct, frozen=True, gc=False):
    """What one credit gives for one source.

    `taken` is in the credit's smallest unit, `covered` is the part of the price it pays for.
    For units, `all_units` is what the whole source needs and `rate` the price found (rule 22).
    """

    credit: CreditKey
    taken: Amount
    covered: Amount
    total_units: int | None = None
    rate: Rate | None = None
    at_credit_price: bool = False


class ConsideredCredit(Struct, frozen=True, gc=False):
    """A considered credit, its rank in the order of payment (from 1), and the result."""

    credit: CreditKey
    rank: int
    available: Amount
    reason: ReasonCode


class SourceAllocation(Struct, frozen=True, gc=False):
    """How one source is paid: the parts and `uncovered` sum to its price.

    `quote` is the price of a whole booking, before what earlier spends cover of it.
    """

    source: SourceKey
    currency: str
    price: Amount
    credit_price: Amount | None
    uncovered: Amount
    parts: tuple[AllocationPart, ...]
    considered: tuple[ConsideredCredit, ...]
    quote: BookingQuote | None = None


class Allocation(Struct, frozen=True, gc=False):
    """The decision on a basket. `exact` is False when the search hit its time limit."""

    customer_id: int
    decided: datetime
    sources: tuple[SourceAllocation, ...]
    exact: bool = True
    rules_version: int = RULES_VERSION

    def taken_by_credit(self) -> dict[CreditKey, Amount]:
        """What is taken from each used credit over all sources, in the order of payment."""
        taken: dict[CreditKey, Amount] = {}
        for source in self.sources:
            for part in source.parts:
                taken[part.credit] = taken.get(part.credit, 0) + part.taken
        ranks = {seen.credit: seen.rank for source in self.sources for seen in source.considered}
        return {credit: taken[credit] for credit in sorted(taken, key=ranks.__getitem__)}

    def to_document(self) -> dict[str, object]:
        """The allocation as plain JSON: money as text with four decimals, uses as integers."""
        return {
            "rules_version": self.rules_version,
            "customer_id": self.customer_id,
            "decided": format_utc(self.decided),
            "exact": self.exact,
            "sources": [_source_document(source) for source in self.sources],
        }


def payment_order_key(
    credit: Credit, customer: Customer, previously_used: Collection[CreditKey] = ()
) -> PaymentOrderKey:
    """The sort key of the order of payment; the numbers are those of rule 18.

    A changed booking prefers the credits it already used (rule 25).
    """
    own = credit.customer_id == customer.id
    return (
        credit.key not in previously_used,
        *(0 if own else 1, 0 if own or credit.team_id is None else credit.team_id),  # 1
        credit.kind is CreditType.MONEY,  # 2
        credit.priority,  # 3
        credit.expires or _NEVER,  # 4
        breadth(credit),  # 5
        credit.paid,  # 6
        *(credit.valid_from or _ALWAYS, credit.created, credit.id, credit.kind),  # 7
    )


def breadth(credit: Credit) -> int:
    """How widely a credit may be used, 0 being the narrowest; a rate always lists what it covers."""
    limits = credit.limits
    if credit.kind is not CreditType.MONEY or limits.has_listed_limits:
        return 0
    if limits.universal:
        return 3
    return 2 if limits.for_bookings and limits.for_events else 1


def allocate(
    sources: Sequence[Source],
    credits_: Sequence[Credit],
    customer: Customer,
    settings: LedgerSettings,
    now: datetime,
    *,
    previously_used: Collection[CreditKey] = (),
    assign: Callable[[BasketProblem], Assignment] = assign,
) -> Allocation:
    """Decides a basket of one customer's sources as a whole (rules 12 to 22).

    A single source is paid by one credit after another in the order of payment. Of several, as much
    value is covered as possible; then the order decides (`assignment`). From a capped pool the
    member draws no more than the cap allows, over all of the pool's credits. An allocation is
    final: later prices and credits do not change it.

    `assign` may search for seconds; pass `SolutionCache.assign` where waiting is not possible.
    Raises ValueError when a source is not the customer's.
    """
    for source in sources:
        if source.customer_id != customer.id:
            raise ValueError(f"{source.key} is not of customer {customer.id}")
    ordered = _in_payment_order(credits_, customer, previously_used)
    reasons = [[_rejection_reason(credit, source, customer, settings, now) for credit in ordered] for source in sources]
    caps = caps_by_position(ordered)
    for source, against in zip(sources, reasons, strict=True):
        _reject_partial_print_jobs(source, ordered, against, caps)
    overdrafts = OverdraftCredits.from_order(ordered)
    assignment = assign(_basket_problem(sources, ordered, reasons, caps, overdrafts))
    shares = overdrafts.merge_shares(assignment.shares)
    remaining = remaining_after(caps, shares)
    used = frozenset(share.credit for share in shares)
    return Allocation(
        customer.id,
        now,
        tuple(
            _source_allocation(
                source,
                ordered,
                against,
                [share for share in shares if share.source == basket_place],
                used,
                remaining,
            )
            for basket_place, (source, against) in enumerate(zip(sources, reasons, strict=True))
        ),
        assignment.exact,
    )


def _basket_problem(
    sources: Sequence[Source],
    ordered: Sequence[Credit],
    reasons: Sequence[Sequence[ReasonCode | None]],
    caps: Sequence[Cap],
    overdrafts: OverdraftCredits,
) -> BasketProblem:
    """The offers of the eligible credits for each source."""
    money: list[MoneyOffer] = []
    units: list[UnitOffer] = []
    for basket_place, (source, against) in enumerate(zip(sources, reasons, strict=True)):
        for place, credit in enumerate(ordered):
            if against[place] is not None:
                continue
            if credit.kind is CreditType.MONEY:
                money.append(MoneyOffer(place, basket_place, _credit_price(credit, source)))
            else:
                units.append(_unit_offer(place, credit, basket_place, source))
    return BasketProblem.of(
        [Demand(source.price, source.currency_digits) for source in sources],
        overdrafts.available(ordered),
        [*money, *overdrafts.extend_offers(units)],
        overdrafts.extend_caps(caps),
    )


def _in_payment_order(
    credits_: Sequence[Credit], customer: Customer, previously_used: Collection[CreditKey]
) -> list[Credit]:
    """The credits in the order of payment; one reached in several ways appears once."""
    ordered = sorted(credits_, key=lambda credit: payment_order_key(credit, customer, previously_used))
    return list({credit.key: credit for credit in reversed(ordered)}.values())[::-1]


def _rejection_reason(
    credit: Credit, source: Source, customer: Customer, settings: LedgerSettings, now: datetime
) -> ReasonCode | None:
    reason = ineligibility_reason(credit, source, customer, settings, now)
    if reason is not None:
        return reason
    if not source.price:
        return ReasonCode.NOT_NEEDED
    if credit.kind is not CreditType.TIME or credit.available >= _step(credit, source):
        return None
    of_itself = credit.unreserved < _step(credit, source)
    return ReasonCode.LESS_THAN_A_STEP if of_itself else ReasonCode.MEMBER_CAP


def _reject_partial_print_jobs(
    source: Source, ordered: Sequence[Credit], against: list[ReasonCode | None], caps: Sequence[Cap]
) -> None:
    """Rejects printing credit that cannot print the whole job (rule 21)."""
    printing = [
        place for place, credit in enumerate(ordered) if credit.kind is CreditType.PRINTING and against[place] is None
    ]
    available = {place: ordered[place].available for place in printing}
    if capped_total(available, caps) >= source.print_units:
        return
    uncapped = sum(max(0, ordered[place].unreserved) for place in printing)
    for place in printing:
        capped = ordered[place].member_cap_left is not None and uncapped >= source.print_units
        against[place] = ReasonCode.MEMBER_CAP if capped else ReasonCode.PRINT_NEEDS_WHOLE


def _step(credit: Credit, source: Source) -> int:
    """The least that is taken at once: the currency's smallest amount of money, a booking interval
    of minutes, else 1 use (rules 3, 21).
    """
    if credit.kind is CreditType.MONEY:
        return smallest_amount(source.currency_digits)
    minutes = credit.rate is not None and credit.rate.charge_period is ChargePeriod.MINUTES
    return source.interval_minutes if minutes else 1


def _total_units(credit: Credit, source: Source) -> int:
    if credit.kind is CreditType.PRINTING or credit.rate is None:
        return source.print_units
    return source.units(credit.rate.charge_period)


def _unit_offer(place: int, credit: Credit, basket_place: int, source: Source) -> UnitOffer:
    if credit.kind is CreditType.PRINTING:
        return UnitOffer(place, basket_place, source.print_units, all_or_nothing=True)
    return UnitOffer(place, basket_place, _total_units(credit, source), _step(credit, source))


def _credit_price(credit: Credit, source: Source) -> Amount | None:
    """The price of the whole source for a credit that pays the credit price (rule 22)."""
    return source.credit_price or None if credit.use_credit_price else None


def _source_allocation(
    source: Source,
    ordered: Sequence[Credit],
    against: Sequence[ReasonCode | None],
    shares: Sequence[Share],
    used: frozenset[int],
    remaining: Mapping[int, Amount],
) -> SourceAllocation:
    uncovered = source.price - sum(share.covered for share in shares)
    paying = {share.credit for share in shares}
    considered = []
    for place, credit in enumerate(ordered):
        reason = against[place]
        if reason is None:
            if place in paying:
                reason = ReasonCode.USED
            elif uncovered and place in remaining and remaining[place] < _step(credit, source):
                reason = ReasonCode.MEMBER_CAP
            elif uncovered and place in used:
                reason = ReasonCode.USED_ELSEWHERE
            else:
                reason = ReasonCode.NOT_NEEDED
        considered.append(ConsideredCredit(credit.key, place + 1, credit.available, reason))
    return SourceAllocation(
        source.key,
        source.currency,
        source.price,
        source.credit_price,
        uncovered,
        tuple(_allocation_part(ordered[share.credit], source, share) for share in shares),
        tuple(considered),
        source.quote,
    )


def _allocation_part(credit: Credit, source: Source, share: Share) -> AllocationPart:
    if credit.kind is CreditType.MONEY:
        at_credit_price = _credit_price(credit, source) is not None
        return AllocationPart(credit.key, share.taken, share.covered, at_credit_price=at_credit_price)
    all_units = _total_units(credit, source)
    return AllocationPart(credit.key, share.taken, share.covered, all_units, credit.rate)


def _document_amount(kind: CreditType, amount: Amount) -> str | int:
    return format_money(amount) if kind is CreditType.MONEY else amount


def _source_document(source: SourceAllocation) -> dict[str, object]:
    document: dict[str, object] = {
        "source": str(source.source),
        "currency": source.currency,
        "price": format_money(source.price),
        "credit_price": None if source.credit_price is None else format_money(source.credit_price),
        "uncovered": format_money(source.uncovered),
        "parts": [_part_document(part) for part in source.parts],
        "considered": [
            {
                "credit": str(seen.credit),
                "rank": seen.rank,
                "available": _document_amount(seen.credit.kind, seen.available),
                "reason": seen.reason.value,
            }
            for seen in source.considered
        ],
    }
    return document if source.quote is None else document | {"quote": quote_document(source.quote)}


def _part_document(part: AllocationPart) -> dict[str, object]:
    document: dict[str, object] = {
        "credit": str(part.credit),
        "taken": _document_amount(part.credit.kind, part.taken),
        "covered": format_money(part.covered),
    }
    if part.credit.kind is CreditType.MONEY:
        return document | {"at_credit_price": part.at_credit_price}
    document |= {"all_units": part.total_units}
    if part.rate is not None:
        document |= {
            "rate": part.rate.id,
            "charge_period": part.rate.charge_period.name.lower(),
            "unit_price": format_money(part.rate.price),
        }
    return document
