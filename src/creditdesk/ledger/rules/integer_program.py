"""The best assignment of credits to a basket of several sources, as an integer program.

Two objectives, the second among the optima of the first:

1. cover the most value;
2. pay in the published order: the least Σ rank × value taken, over all shares. The rank is the
   credit's place in the order of payment, from 1. A unit counts at its full worth even where only a
   part of it is needed, so covering a price twice costs too. Among equals earlier sources come
   first.

Units are integer variables in whole steps, money is continuous. The solver's answer only proposes how
much each offer pays; `assignment` turns that into exact amounts and checks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Final

from msgspec import Struct

from creditdesk.ledger.rules.offers import BasketProblem, MoneyOffer, UnitOffer, most_needed
from creditdesk.solver import Coefficient, Constraint, Variable, maximize

_LARGEST: Final = 10_000
"""The dearest source costs this much in the program's unit, which suits the solver's tolerances."""
_EARLIER_SOURCE: Final = Fraction(1, 1000)
"""The weight of a source's place, in ranks."""


class Proposal(Struct, frozen=True):
    """What each offer pays, by credit and source: uses, or ten-thousandths not yet exact.

    `value` is what the solver counts as covered, in ten-thousandths. `optimal` means that both
    objectives are proven; without it, it is the best that the time limit allowed.
    """

    pays: Mapping[tuple[int, int], Fraction]
    value: Fraction
    optimal: bool


def propose(problem: BasketProblem, time_limit: timedelta) -> Proposal | None:
    """The best payment of a basket that is found within the time limit; None when none is."""
    program = _Program(problem)
    objectives = [program.value_weights(), program.order_weights()]
    found = maximize(program.columns, program.rows, objectives, time_limit)
    if found is None:
        return None
    first = len(program.offers)
    value = sum(found.values[first : first + len(program.sources)], start=Fraction(0))
    pays = {
        (offer.credit, offer.source): paid * (offer.step if isinstance(offer, UnitOffer) else program.unit)
        for offer, paid in zip(program.offers, found.values, strict=False)
    }
    return Proposal(pays, value * program.unit, found.proven)


class _Program:
    """The program of one basket.

    Columns: each offer's steps or amount, each source's covered value, and for each print job
    whether it is printed. Rows: no source is covered by more than its offers pay; no credit and no
    cap gives more than it has; a job is printed whole or not at all.
    """

    def __init__(self, problem: BasketProblem) -> None:
        self.problem = problem
        self.offers = problem.offers
        self.sources = list(problem.offers_by_source())
        self.unit = Fraction(max(problem.demands[s].price for s in self.sources), _LARGEST)
        self.price = {s: problem.demands[s].price / self.unit for s in self.sources}
        credits_ = sorted({offer.credit for offer in self.offers})
        self.rank = {credit: place for place, credit in enumerate(credits_, start=1)}
        self.rows: list[Constraint] = []
        self.row: dict[tuple[str, int], int] = {}
        self._add_rows()
        self.worth = [self._worth(offer) for offer in self.offers]
        self.columns = [self._offer_column(offer, worth) for offer, worth in zip(self.offers, self.worth, strict=True)]
        self.columns += [Variable(self.price[source], {self.row["source", source]: -1}) for source in self.sources]
        self.columns += [
            Variable(1, {self.row["job", source]: -units}, is_integer=True) for source, units in self._jobs().items()
        ]

    def _jobs(self) -> dict[int, int]:
        """The prints of each job."""
        return {offer.source: offer.units for offer in self.problem.units if offer.all_or_nothing}

    def _add_rows(self) -> None:
        in_money = {offer.credit for offer in self.problem.money}

        def scaled(amount: int, *, is_money: bool) -> Coefficient:
            return amount / self.unit if is_money else amount

        for source in self.sources:
            self._add_row(("source", source), Constraint(0, None))
        for credit in self.rank:
            limit = scaled(self.problem.available[credit], is_money=credit in in_money)
            self._add_row(("credit", credit), Constraint(None, limit))
        for place, cap in enumerate(self.problem.caps):
            limit = scaled(cap.limit, is_money=bool(cap.credits & in_money))
            self._add_row(("cap", place), Constraint(None, limit))
        for source in self._jobs():
            self._add_row(("job", source), Constraint(0, 0))

    def _add_row(self, key: tuple[str, int], row: Constraint) -> None:
        self.row[key] = len(self.rows)
        self.rows.append(row)

    def _worth(self, offer: MoneyOffer | UnitOffer) -> Fraction:
        """What one step of units, or one of the credit's money, covers."""
        if isinstance(offer, UnitOffer):
            return self.price[offer.source] * offer.step / offer.units
        demand = self.problem.demands[offer.source]
        return Fraction(demand.price, most_needed(offer, demand))

    def _offer_column(self, offer: MoneyOffer | UnitOffer, worth: Fraction) -> Variable:
        most = most_needed(offer, self.problem.demands[offer.source])
        most = min(self.problem.available[offer.credit], most)
        taken = offer.step if isinstance(offer, UnitOffer) else 1
        coefficients: dict[int, Coefficient] = {
            self.row["source", offer.source]: worth,
            self.row["credit", offer.credit]: taken,
        }
        for place, cap in enumerate(self.problem.caps):
            if offer.credit in cap.credits:
                coefficients[self.row["cap", place]] = taken
        if isinstance(offer, MoneyOffer):
            return Variable(most / self.unit, coefficients)
        if offer.all_or_nothing:
            coefficients[self.row["job", offer.source]] = taken
        return Variable(most // offer.step, coefficients, is_integer=True)

    def value_weights(self) -> Sequence[Coefficient]:
        """The first objective."""
        jobs = len(self._jobs())
        return [0] * len(self.offers) + [1] * len(self.sources) + [0] * jobs

    def order_weights(self) -> Sequence[Coefficient]:
        """The second objective, negative as it is maximised.

        Value weighs more than any rank, so that none is given up within the solver's tolerance.
        """
        place = {source: n for n, source in enumerate(self.sources)}
        taken: list[Coefficient] = [
            -worth * (self.rank[offer.credit] + _EARLIER_SOURCE * place[offer.source])
            for offer, worth in zip(self.offers, self.worth, strict=True)
        ]
        most = 2 * (len(self.rank) + 1)
        return taken + [most] * len(self.sources) + [0] * len(self._jobs())
