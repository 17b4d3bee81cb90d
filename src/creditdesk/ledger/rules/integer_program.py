"""The best assignment of credits to a basket of several sources, as an integer program.

Two objectives, the second among the optima of the first:

1. cover the most value;
2. pay in the published order: the least Σ rank × value taken, over all shares. The rank is the
   credit's place in the order of payment, from 1. A unit counts at its full worth even where only a
   part of it is needed, so covering a price twice costs too. Among equals earlier sources come
   first.

Units are integer variables in whole steps, money is continuous; HiGHS solves it on one thread with
a fixed seed. The solver works in floating point: its answer only proposes how much each offer
pays, and `assignment` turns that into exact amounts and checks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import highspy
import numpy as np

# The public subclass prints a banner to standard output and sets up callbacks nobody needs here.
from highspy._core import _Highs as Solver
from msgspec import Struct

from creditdesk.ledger.rules.offers import (
    BasketProblem,
    MoneyOffer,
    UnitOffer,
    most_needed,
)

_LARGEST: Final = 1e4
"""The dearest source costs this much in the solver's unit, which its tolerances suit."""
_KEPT_WITHIN: Final = 1e-3
"""How much of the value the second solve may give up: a ten-millionth of the dearest source."""
_EARLIER_SOURCE: Final = 1e-3
"""The weight of a source's place, in ranks."""


class Proposal(Struct, frozen=True):
    """What each offer pays, by credit and source: uses, or ten-thousandths not yet exact.

    `value` is what the solver counts as covered, in ten-thousandths. `optimal` means that both
    objectives are proven; without it it is the best that the time limit allowed.
    """

    pays: Mapping[tuple[int, int], float]
    value: float
    optimal: bool


class _Columns:
    """The variables of a program and the entries of its matrix, column by column."""

    def __init__(self) -> None:
        self.upper: list[float] = []
        self.integer: list[bool] = []
        self.starts = [0]
        self.rows: list[int] = []
        self.entries: list[float] = []

    def add(self, upper: float, entries: Mapping[int, float], *, integer: bool = False) -> None:
        self.upper.append(upper)
        self.integer.append(integer)
        self.rows.extend(entries.keys())
        self.entries.extend(entries.values())
        self.starts.append(len(self.rows))


class _Program:
    """The model of one basket.

    Columns: each unit offer's steps, each money offer's amount, each source's covered value, and
    for each print job whether it is printed. Rows: no source is covered by more than its offers
    pay; no credit and no cap gives more than it has; a job is printed whole or not at all.
    """

    def __init__(self, problem: BasketProblem) -> None:
        self.problem = problem
        self.sources = sorted({offer.source for offer in problem.offers})
        credits_ = sorted({offer.credit for offer in problem.offers})
        self.rank = {credit: place for place, credit in enumerate(credits_, start=1)}
        self.unit = max(problem.demands[source].price for source in self.sources) / _LARGEST
        self.price = {s: problem.demands[s].price / self.unit for s in self.sources}
        caps = [cap for cap in problem.caps if cap.credits & self.rank.keys()]
        jobs = sorted({offer.source for offer in problem.units if offer.all_or_nothing})
        keys: list[tuple[str, int]] = [("source", source) for source in self.sources]
        keys += [("credit", credit) for credit in credits_]
        keys += [("cap", place) for place in range(len(caps))]
        keys += [("job", source) for source in jobs]
        self.row = {key: place for place, key in enumerate(keys)}
        self.cap_of = {credit: place for place, cap in enumerate(caps) for credit in cap.credits}
        in_money = {offer.credit for offer in problem.money}
        limits = [({credit}, problem.available[credit]) for credit in credits_]
        limits += [(set(cap.credits), cap.limit) for cap in caps]
        self.limits = [n / self.unit if of & in_money else float(n) for of, n in limits]
        self.columns = _Columns()
        self.worth = [self._add_units(offer) for offer in problem.units]
        self.worth += [self._add_money(offer) for offer in problem.money]
        for source in self.sources:
            self.columns.add(self.price[source], {self.row["source", source]: -1.0})
        for source in jobs:
            units = next(o.units for o in problem.units if o.source == source)
            self.columns.add(1.0, {self.row["job", source]: -float(units)}, integer=True)
        self.jobs = jobs

    def _add_units(self, offer: UnitOffer) -> float:
        """Adds the steps that the offer takes; returns what one step is worth."""
        worth = self.price[offer.source] * offer.step / offer.units
        entries = self._entries(offer, worth, float(offer.step))
        if offer.all_or_nothing:
            entries[self.row["job", offer.source]] = float(offer.step)
        steps = (
            min(
                self.problem.available[offer.credit],
                most_needed(offer, self.problem.demands[offer.source]),
            )
            // offer.step
        )
        self.columns.add(float(steps), entries, integer=True)
        return worth

    def _add_money(self, offer: MoneyOffer) -> float:
        """Adds the amount that the offer takes; returns what one of it is worth."""
        price = most_needed(offer, self.problem.demands[offer.source])
        worth = self.problem.demands[offer.source].price / price
        most = min(self.problem.available[offer.credit], price) / self.unit
        self.columns.add(most, self._entries(offer, worth, 1.0))
        return worth

    def _entries(
        self, offer: MoneyOffer | UnitOffer, worth: float, taken: float
    ) -> dict[int, float]:
        entries = {self.row["source", offer.source]: worth, self.row["credit", offer.credit]: taken}
        if offer.credit in self.cap_of:
            entries[self.row["cap", self.cap_of[offer.credit]]] = taken
        return entries

    @property
    def offers(self) -> Sequence[MoneyOffer | UnitOffer]:
        """The offers of the first columns."""
        return (*self.problem.units, *self.problem.money)

    def value_costs(self) -> list[float]:
        """The first objective, to be maximised."""
        count = len(self.sources)
        return [0.0] * len(self.worth) + [1.0] * count + [0.0] * len(self.jobs)

    def order_costs(self) -> list[float]:
        """The second objective, to be maximised.

        Value weighs more than any rank, so that none is given up within the tolerance of the first.
        """
        place = {source: n for n, source in enumerate(self.sources)}
        taken = [
            -worth * (self.rank[offer.credit] + _EARLIER_SOURCE * place[offer.source])
            for offer, worth in zip(self.offers, self.worth, strict=True)
        ]
        most = 2.0 * (len(self.rank) + 1)
        return taken + [most] * len(self.sources) + [0.0] * len(self.jobs)


def propose(problem: BasketProblem, time_limit_seconds: float) -> Proposal | None:
    """The best payment of a basket that is found within the time limit; None when none is."""
    program = _Program(problem)
    solver = _solver(program, time_limit_seconds)
    found = _maximize(solver, program.value_costs())
    if found is None:
        return None
    first = len(program.worth)
    covered = range(first, first + len(program.sources))
    value = sum(found.values[column] for column in covered)
    proven = False
    if found.proven:
        _keep_value(solver, covered, value - _KEPT_WITHIN)
        in_order = _maximize(solver, program.order_costs())
        if in_order is not None:
            found, proven = in_order, in_order.proven
    pays = {}
    for column, offer in enumerate(program.offers):
        scale = offer.step if isinstance(offer, UnitOffer) else program.unit
        pays[offer.credit, offer.source] = found.values[column] * scale
    return Proposal(pays, value * program.unit, proven)


def _solver(program: _Program, time_limit_seconds: float) -> Solver:
    columns = program.columns
    model = highspy.HighsLp()
    model.num_col_ = len(columns.upper)
    model.num_row_ = len(program.row)
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_ = np.zeros(len(columns.upper))
    model.col_lower_ = np.zeros(len(columns.upper))
    model.col_upper_ = np.array(columns.upper)
    infinity = highspy.kHighsInf
    count, jobs = len(program.sources), len(program.jobs)
    model.row_lower_ = np.array([0.0] * count + [-infinity] * len(program.limits) + [0.0] * jobs)
    model.row_upper_ = np.array([infinity] * count + program.limits + [0.0] * jobs)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.array(columns.starts, dtype=np.int32)
    model.a_matrix_.index_ = np.array(columns.rows, dtype=np.int32)
    model.a_matrix_.value_ = np.array(columns.entries)
    model.integrality_ = [
        highspy.HighsVarType.kInteger if integer else highspy.HighsVarType.kContinuous
        for integer in columns.integer
    ]
    solver = Solver()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", 0)
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("time_limit", time_limit_seconds)
    solver.passModel(model)
    return solver


class _Found(NamedTuple):
    values: Sequence[float]
    proven: bool


def _maximize(solver: Solver, costs: Sequence[float]) -> _Found | None:
    """The best variables found within the time limit, and whether they are proven to be the best."""
    solver.changeColsCost(len(costs), np.arange(len(costs), dtype=np.int32), np.array(costs))
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return _Found(list(solver.getSolution().col_value), proven=True)
    feasible = highspy.SolutionStatus.kSolutionStatusFeasible
    if solver.getInfo().primal_solution_status == feasible:
        return _Found(list(solver.getSolution().col_value), proven=False)
    return None


def _keep_value(solver: Solver, covered: range, least: float) -> None:
    """Adds the row that no later objective covers less."""
    solver.addRow(
        least,
        highspy.kHighsInf,
        len(covered),
        np.array(covered, dtype=np.int32),
        np.ones(len(covered)),
    )
