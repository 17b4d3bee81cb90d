"""Which credits pay for which sources of a basket, in exact amounts (rules 16, 18, 21, 22).

- One source: plain burn-down. Each credit in the order of payment pays as much as it can, until the
  source is covered.
- Several sources: the integer program of `integer_program`, whose answer is turned into exact
  amounts and checked here. When its time limit comes first, `exact` is False, and the best that it
  found stands, or plain burn-down of one source after another where that covers more.
- Sources that no chain of credits and caps connects are decided apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from creditdesk.ledger.rules.amounts import DECIMALS, Amount, round_amount
from creditdesk.ledger.rules.offers import (
    Assignment,
    BasketProblem,
    MoneyOffer,
    Payment,
    Purse,
    Share,
    UnitOffer,
)
from creditdesk.schema.errors import Conflict

if TYPE_CHECKING:
    from creditdesk.ledger.rules.integer_program import Proposal

Offers = Sequence[MoneyOffer | UnitOffer]

TIME_LIMIT: Final = timedelta(seconds=1)
"""The bound on each of the two solves; a basket of 20 sources and 20 credits takes a twentieth."""
CACHE_SIZE: Final = 256
_NEARLY_WHOLE: Final = Fraction(1, 10_000)
"""The greatest distance of the solver's answer from a whole number of units."""


def assign(problem: BasketProblem, time_limit: timedelta = TIME_LIMIT) -> Assignment:
    """The best assignment; it may search for as long as the time limit for each separate part."""
    shares: list[Share] = []
    exact = True
    for part in problem.parts():
        if part.is_single:
            shares += burn_down(part)
            continue
        found = _search(part, time_limit)
        shares += found.shares
        exact = exact and found.exact
    return Assignment(tuple(sorted(shares, key=lambda s: (s.source, s.credit))), exact)


def _search(problem: BasketProblem, time_limit: timedelta) -> Assignment:
    # Only servers and commands that search a basket load the solver: 20 MB and a tenth of a second.
    from creditdesk.ledger.rules.integer_program import propose  # noqa: PLC0415

    proposal = propose(problem, time_limit)
    shares = None if proposal is None else _exact_shares(problem, proposal)
    if proposal is not None and proposal.optimal and shares is not None:
        return Assignment(tuple(shares))
    in_order = burn_down(problem)
    if shares is None or _covered(shares) < _covered(in_order):
        shares = in_order
    return Assignment(tuple(shares), exact=False)


def _covered(shares: Sequence[Share]) -> Amount:
    return sum(share.covered for share in shares)


class SearchRequired(Conflict):
    """The basket needs a search that was not made for the balances it has now."""

    def __init__(self, problem: BasketProblem) -> None:
        super().__init__("The credits of this basket keep changing. Nothing was changed: try again.")
        self.problem = problem


class SolutionCache:
    """The latest assignments that needed a search. Equal problems have equal assignments."""

    def __init__(self, size: int = CACHE_SIZE) -> None:
        self._size = size
        self._solutions: dict[BasketProblem, Assignment] = {}

    def add(self, problem: BasketProblem, solution: Assignment) -> None:
        self._solutions[problem] = solution
        if len(self._solutions) > self._size:
            del self._solutions[next(iter(self._solutions))]

    def assign(self, problem: BasketProblem) -> Assignment:
        """The best assignment. Raises SearchRequired if it needs a search that was not made."""
        if problem.is_single:
            return assign(problem)
        solution = self._solutions.get(problem)
        if solution is None:
            raise SearchRequired(problem)
        return solution


def burn_down(problem: BasketProblem) -> list[Share]:
    """Pays one source after another, each with the credits in the order of payment."""
    purse = Purse(problem)
    shares: list[Share] = []
    for source, offers in problem.offers_by_source().items():
        shares += _paid_in_order(source, offers, problem, purse).shares
    return shares


def _paid_in_order(source: int, offers: Offers, problem: BasketProblem, purse: Purse) -> Payment:
    """One source, paid in the order of payment.

    A print job is printed whole or paid with money, whichever comes first in the order and covers
    all of it. Where printing credit cannot, money pays what it can (rule 21).
    """
    demand = problem.demands[source]
    prints: Offers = [o for o in offers if isinstance(o, UnitOffer) and o.all_or_nothing]
    if prints:
        money: Offers = [offer for offer in offers if isinstance(offer, MoneyOffer)]
        ways = [prints, money] if offers[0] == prints[0] else [money, prints]
        whole = (way for way in ways if not _pay(way, Payment(source, demand, purse.copy())).open)
        offers = next(whole, money)
    return _pay(offers, Payment(source, demand, purse))


def _pay(offers: Offers, payment: Payment) -> Payment:
    """Each offer in turn pays as much as it can of what is still open."""
    for offer in offers:
        holds = payment.purse.holds(offer.credit)
        if isinstance(offer, MoneyOffer):
            payment.take_money(offer, holds)
        else:
            whole_steps = holds // offer.step * offer.step
            payment.take_units(offer, min(whole_steps, payment.units_needed(offer)))
    return payment


def _exact_shares(problem: BasketProblem, proposal: Proposal) -> list[Share] | None:
    """The proposal in exact amounts, or None when those do not keep what it promises.

    Units must be whole steps that the credits have, jobs whole, and the value may differ only by
    what rounding to the currency explains (rule 3).
    """
    purse = Purse(problem)
    shares: list[Share] = []
    tolerance = 1
    for source, offers in problem.offers_by_source().items():
        demand = problem.demands[source]
        payment = _as_proposed(offers, Payment(source, demand, purse), proposal)
        if payment is None:
            return None
        shares += payment.shares
        tolerance += len(payment.shares) * 10 ** (DECIMALS - demand.digits)
    return shares if abs(_covered(shares) - proposal.value) <= tolerance else None


def _as_proposed(offers: Offers, payment: Payment, proposal: Proposal) -> Payment | None:
    printed, job = 0, 0
    for offer in offers:
        proposed = proposal.pays[offer.credit, offer.source]
        if isinstance(offer, MoneyOffer):
            payment.take_money(offer, _exact_amount(offer, proposed, payment))
            continue
        units = round(proposed / offer.step) * offer.step
        if abs(units - proposed) > _NEARLY_WHOLE or units > payment.purse.holds(offer.credit):
            return None
        payment.take_units(offer, units)
        if offer.all_or_nothing:
            printed, job = printed + units, offer.units
    return payment if printed in (0, job) else None


def _exact_amount(offer: MoneyOffer, proposed: Fraction, payment: Payment) -> Amount:
    """All that is needed or all that the credit has, where the proposal means that; else rounded."""
    for meant in (payment.money_needed(offer), payment.purse.holds(offer.credit)):
        if 2 * abs(proposed - meant) < payment.smallest_step:
            return meant
    return round_amount(round(proposed), payment.demand.digits)
