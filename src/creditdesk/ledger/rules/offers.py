"""What a basket needs and what each credit offers for it: the input and output of the allocator.

Credits and sources are numbered: a credit by its place in the order of payment, a source by its
place in the basket. Money is in ten-thousandths of the currency, units are whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from fractions import Fraction
from math import ceil

from msgspec import Struct, structs

from creditdesk.ledger.rules.amounts import Amount, floor_amount, round_amount, smallest_amount


class Demand(Struct, frozen=True, gc=False):
    """What one source costs, and the digits of its currency."""

    price: Amount
    digits: int


class MoneyOffer(Struct, frozen=True, gc=False):
    """A credit may pay any part of a source; at `credit_price` for all of it, if it is given."""

    credit: int
    source: int
    credit_price: Amount | None = None


class UnitOffer(Struct, frozen=True, gc=False):
    """A credit may pay whole units of a source, of which `units` cover all of it.

    Units are taken in multiples of `step`. With `all_or_nothing` the unit offers for the source
    together cover all of it or none of it (printing, rule 21).
    """

    credit: int
    source: int
    units: int
    step: int = 1
    all_or_nothing: bool = False


class Cap(Struct, frozen=True):
    """The most that these credits may give between them, in their smallest step (rule 16).

    All of them hold money, or all of them hold units. No credit is under two caps.
    """

    credits: frozenset[int]
    limit: Amount


class Share(Struct, frozen=True, gc=False):
    """What one credit gives for one source, and how much of the price that covers."""

    credit: int
    source: int
    taken: Amount
    covered: Amount


class Assignment(Struct, frozen=True):
    """The shares by source and, within it, by order of payment.

    `exact` is False when the search for the best shares hit its time limit.
    """

    shares: tuple[Share, ...]
    exact: bool = True


class BasketProblem(Struct, frozen=True):
    """One basket: the sources, what each credit has, what it may pay for, and the caps.

    The offers stand by source, then in the order of payment. Equal problems have equal assignments,
    so a problem is the key of its solution.
    """

    demands: tuple[Demand, ...]
    available: tuple[Amount, ...]
    offers: tuple[MoneyOffer | UnitOffer, ...] = ()
    caps: tuple[Cap, ...] = ()

    @classmethod
    def of(
        cls,
        demands: Sequence[Demand],
        available: Sequence[Amount],
        offers: Iterable[MoneyOffer | UnitOffer],
        caps: Sequence[Cap] = (),
    ) -> BasketProblem:
        """The problem without what cannot matter, so that more problems are equal.

        Left out are offers for sources without a price and what a credit has beyond all its offers.
        """
        needed = [offer for offer in offers if demands[offer.source].price]
        needed.sort(key=lambda offer: (offer.source, offer.credit))
        usable = [0] * len(available)
        for offer in needed:
            usable[offer.credit] += most_needed(offer, demands[offer.source])
        return cls(tuple(demands), tuple(map(min, available, usable)), tuple(needed), tuple(caps))

    @property
    def money(self) -> list[MoneyOffer]:
        return [offer for offer in self.offers if isinstance(offer, MoneyOffer)]

    @property
    def units(self) -> list[UnitOffer]:
        return [offer for offer in self.offers if isinstance(offer, UnitOffer)]

    def offers_by_source(self) -> dict[int, list[MoneyOffer | UnitOffer]]:
        """The offers for each source, in the order of payment."""
        grouped: dict[int, list[MoneyOffer | UnitOffer]] = {}
        for offer in self.offers:
            grouped.setdefault(offer.source, []).append(offer)
        return grouped

    @property
    def is_single(self) -> bool:
        """Whether no two sources compete for a credit or a cap, so that there is nothing to search."""
        return all(len(sources) == 1 for sources in _connected(self))

    def parts(self) -> Iterator[BasketProblem]:
        """The separate problems: sources that no chain of credits and caps connects."""
        for sources in _connected(self):
            offers = tuple(offer for offer in self.offers if offer.source in sources)
            yield structs.replace(self, offers=offers)


def most_needed(offer: MoneyOffer | UnitOffer, demand: Demand) -> Amount:
    """What pays for all of the source: money, or the least whole steps."""
    if isinstance(offer, UnitOffer):
        return -(-offer.units // offer.step) * offer.step
    return demand.price if offer.credit_price is None else offer.credit_price


def _connected(problem: BasketProblem) -> list[set[int]]:
    """The sources of each separate problem, in the basket's order."""
    cap_of = {credit: place for place, cap in enumerate(problem.caps) for credit in cap.credits}
    credits_of: dict[int, set[int]] = {}
    sources_of: dict[int, set[int]] = {}
    for offer in problem.offers:
        # Credits under one cap connect as one credit does; below zero is no credit's place.
        credit = -1 - cap_of[offer.credit] if offer.credit in cap_of else offer.credit
        credits_of.setdefault(offer.source, set()).add(credit)
        sources_of.setdefault(credit, set()).add(offer.source)
    groups: list[set[int]] = []
    reached: set[int] = set()
    for start in credits_of:
        if start in reached:
            continue
        group, wave = {start}, {start}
        while wave:
            credits_ = set().union(*(credits_of[source] for source in wave))
            wave = set().union(*(sources_of.pop(c, ()) for c in credits_)) - group
            group |= wave
        groups.append(group)
        reached |= group
    return groups


class Purse:
    """What is left of each credit and of each cap while shares are taken."""

    def __init__(self, problem: BasketProblem) -> None:
        self._left = list(problem.available)
        self._cap_left = [cap.limit for cap in problem.caps]
        self._cap_of = {credit: place for place, cap in enumerate(problem.caps) for credit in cap.credits}

    def copy(self) -> Purse:
        """Another purse that holds the same, to try a payment."""
        other = copy(self)
        other._left = list(self._left)  # noqa: SLF001 - of the same class
        other._cap_left = list(self._cap_left)  # noqa: SLF001
        return other

    def holds(self, credit: int) -> Amount:
        """What the credit can still give under its cap."""
        cap = self._cap_of.get(credit)
        left = self._left[credit]
        return max(0, left if cap is None else min(left, self._cap_left[cap]))

    def take(self, credit: int, amount: Amount) -> None:
        self._left[credit] -= amount
        if credit in self._cap_of:
            self._cap_left[self._cap_of[credit]] -= amount


class Payment:
    """The payment of one source, share by share, in exact amounts (rules 3, 21, 22).

    What stays open is kept exactly and rounded to the currency after each share, so the shares and
    the rest sum to the price, and the last share takes the residual. A credit without a credit price
    pays to its last amount in the currency's digits.
    """

    def __init__(self, source: int, demand: Demand, purse: Purse) -> None:
        self.shares: list[Share] = []
        self.open = Fraction(demand.price)
        self._unpaid = demand.price
        self._source = source
        self.demand = demand
        self.purse = purse

    @property
    def smallest_step(self) -> Amount:
        """The least amount of the currency, in ten-thousandths."""
        return smallest_amount(self.demand.digits)

    def units_needed(self, offer: UnitOffer) -> int:
        """The least whole steps that cover what is open, the last of them perhaps only in part."""
        if not self._unpaid:
            return 0
        steps = self.open * offer.units / (self.demand.price * offer.step)
        return ceil(steps) * offer.step

    def money_needed(self, offer: MoneyOffer) -> Amount:
        """What this credit pays for all that is open."""
        if offer.credit_price is None:
            return self._unpaid
        return self._rounded(self.open * offer.credit_price / self.demand.price)

    def take_units(self, offer: UnitOffer, units: int) -> None:
        if units:
            open_ = self._open_after(Fraction(self.demand.price * units, offer.units))
            self._add(offer.credit, units, open_, min(self._unpaid, self._rounded(open_)))

    def take_money(self, offer: MoneyOffer, amount: Amount) -> None:
        """Takes `amount` at most: no more than the credit has, and no more than is needed.

        Less than what is needed is taken in the currency's digits (rule 3): a cap or an amount that
        was posted by hand may leave a credit with more of them.
        """
        needed = self.money_needed(offer)
        amount = min(amount, needed, self.purse.holds(offer.credit))
        if amount < needed:
            amount = floor_amount(amount, self.demand.digits)
        if amount <= 0:
            return
        covered = Fraction(amount * self.demand.price, most_needed(offer, self.demand))
        open_ = Fraction(0) if amount == needed else self._open_after(covered)
        at_credit_price = offer.credit_price is not None
        unpaid = self._rounded(open_) if at_credit_price else self._unpaid - amount
        self._add(offer.credit, amount, open_, min(self._unpaid, unpaid))

    def _open_after(self, covered: Fraction) -> Fraction:
        return max(Fraction(0), self.open - covered)

    def _add(self, credit: int, taken: Amount, open_: Fraction, unpaid: Amount) -> None:
        self.shares.append(Share(credit, self._source, taken, self._unpaid - unpaid))
        self.purse.take(credit, taken)
        self.open, self._unpaid = open_, unpaid

    def _rounded(self, value: Fraction) -> Amount:
        return round_amount(value, self.demand.digits)
