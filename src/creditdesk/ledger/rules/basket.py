"""A basket of sources and the credits that may pay for them, assigned as a whole.

What is best, in this order: the most value is covered; nothing is covered twice; the credit
that is first in the order of payment (rule 18) pays the most it can, then the second, and so on.

- Divisible credit (money) is assigned exactly, in polynomial time (`flow`); alone, it needs no
  search.
- Whole units (time, printing) are searched exactly up to `EFFORT_LIMIT`. Past it the best
  assignment found stands and `exact` is False; the first one tried lets each credit, in order,
  take all it can where a unit is worth most, so a basket is never worse off than that.
- Credits and sources that cannot reach one another are separate baskets, searched apart.
- Credits under one cap give no more than it between them. Where credit prices are, such a cap is
  used up in the order of payment, even if a later credit would have covered more with it.

This module must not know what a credit or a source is: both are places in a list.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from msgspec import Struct

from creditdesk.ledger.rules.amounts import Amount, round_amount
from creditdesk.ledger.rules.max_flow import Arc, Cap, Exact, pay, ratio
from creditdesk.ledger.rules.unit_search import EFFORT_LIMIT, Search, UnitOffer

__all__ = [
    "EFFORT_LIMIT", "Assignment", "Cap", "Demand", "MoneyOffer", "Share", "UnitOffer", "assign",
]  # fmt: skip


class Demand(Struct, frozen=True, gc=False):
    """What one source costs, and the digits of its currency."""

    price: Amount
    digits: int


class MoneyOffer(Struct, frozen=True, gc=False):
    """A credit may pay any part of a source; at `credit_price` for all of it, if it is given."""

    credit: int
    source: int
    credit_price: Amount | None = None


class Share(Struct, frozen=True, gc=False):
    """What one credit gives for one source, and how much of the price that covers."""

    credit: int
    source: int
    taken: Amount
    covered: Amount


class Assignment(Struct, frozen=True, gc=False):
    """The shares by source and, within it, by order of payment. `exact` as told above."""

    shares: tuple[Share, ...]
    exact: bool = True


def assign(
    demands: Sequence[Demand],
    available: Sequence[Amount],
    money: Sequence[MoneyOffer],
    units: Sequence[UnitOffer] = (),
    caps: Sequence[Cap] = (),
) -> Assignment:
    """The best assignment of `available` credits, in their order, to `demands` (rules 18, 21, 22).

    Each cap is over credits of one kind: all divisible, or all whole units (rule 16).
    Shares and what stays open of a source sum to its price. Sources without a price take nothing.
    """
    money = [offer for offer in money if demands[offer.source].price]
    units = [offer for offer in units if demands[offer.source].price]
    prices = [demand.price for demand in demands]
    credit_prices = {
        (offer.credit, offer.source): offer.credit_price or prices[offer.source] for offer in money
    }
    gains = {arc: ratio(prices[arc[1]], price) for arc, price in credit_prices.items()}
    covered: dict[Arc, Exact] = {}
    taken: dict[Arc, int] = {}
    exact = True
    arcs = [*credit_prices, *((offer.credit, offer.source) for offer in units)]
    for together in _apart(arcs, caps):
        of_money = {arc: gain for arc, gain in gains.items() if arc[0] in together}
        of_units = [offer for offer in units if offer.credit in together]
        shared = [cap for cap in caps if cap.credits & together]
        if not of_units:
            covered |= pay(prices, available, of_money, shared)
            continue
        best, proven = Search(prices, available, of_money, of_units, caps=shared).best()
        covered |= best.covered
        taken |= best.taken
        exact = exact and proven
    purse = _Purse(available, caps)
    return Assignment(_shares(demands, purse, covered, taken, credit_prices), exact)


class _Purse:
    """What is left of each credit and of each cap, while shares are taken."""

    def __init__(self, available: Sequence[Amount], caps: Sequence[Cap]) -> None:
        self.left = list(available)
        self.room = [cap.limit for cap in caps]
        self.cap_of = {credit: place for place, cap in enumerate(caps) for credit in cap.credits}

    def holds(self, credit: int) -> Amount:
        cap = self.cap_of.get(credit)
        return self.left[credit] if cap is None else int(min(self.left[credit], self.room[cap]))

    def take(self, credit: int, amount: Amount) -> None:
        self.left[credit] -= amount
        if credit in self.cap_of:
            self.room[self.cap_of[credit]] -= amount


def _apart(arcs: Sequence[Arc], caps: Sequence[Cap]) -> list[set[int]]:
    """The credits of each separate basket: those that share sources or a cap, if only in a chain."""
    offered = {credit for credit, _ in arcs}
    if len({source for _, source in arcs}) == 1:
        return [offered]
    baskets: list[tuple[set[int], set[int]]] = []
    # A cap ties credits together as a source would; numbers below zero are no source's place.
    ties = [(c, -1 - place) for place, cap in enumerate(caps) for c in cap.credits & offered]
    for credit, source in [*arcs, *ties]:
        joined = ({credit}, {source})
        others = []
        for basket in baskets:
            if credit in basket[0] or source in basket[1]:
                joined = (joined[0] | basket[0], joined[1] | basket[1])
            else:
                others.append(basket)
        baskets = [*others, joined]
    return [credits_ for credits_, _ in baskets]


def _shares(
    demands: Sequence[Demand],
    purse: _Purse,
    covered: Mapping[Arc, Exact],
    taken: Mapping[Arc, int],
    credit_prices: Mapping[Arc, Amount],
) -> tuple[Share, ...]:
    """Exact cover as amounts: rounded to the currency, never more than a credit has.

    What stays open is rounded after each share, so the shares and the rest sum to the price,
    and the last share takes the residual (rule 3).
    """
    shares: list[Share] = []
    for source, demand in enumerate(demands):
        open_: Exact = demand.price
        unpaid = demand.price
        for arc in sorted(arc for arc in covered if arc[1] == source):
            open_ = max(0, open_ - covered[arc])
            part = max(0, unpaid - _rounded(open_, demand.digits))
            if arc in taken:
                share = Share(*arc, taken[arc], part)
            elif credit_prices[arc] == demand.price:
                part = min(part, purse.holds(arc[0]))
                share = Share(*arc, part, part)
            else:
                at_credit_price = Fraction(covered[arc] * credit_prices[arc], demand.price)
                amount = min(_rounded(at_credit_price, demand.digits), purse.holds(arc[0]))
                share = Share(*arc, amount, part)
            if share.taken:
                purse.take(arc[0], share.taken)
                unpaid -= share.covered
                shares.append(share)
    return tuple(shares)


def _rounded(value: Exact, digits: int) -> Amount:
    """Only a computed share is rounded: credit pays to its last ten-thousandth."""
    return int(value) if value.denominator == 1 else round_amount(value, digits)
