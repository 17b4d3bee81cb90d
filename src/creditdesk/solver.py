"""Integer programs with several objectives in order of importance, solved by HiGHS.

The only module that computes in floating point. Callers give exact numbers and get exact fractions of
what the solver found, which they must check: a value may be off by the solver's tolerances. Bounds and
coefficients should lie between a thousandth and ten thousand. One thread, fixed seed: the same program
gives the same answer, unless the time limit comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Final, NamedTuple

import highspy
import numpy as np

# The public subclass prints a banner to standard output and sets up unneeded callbacks.
from highspy._core import _Highs as Highs

Coefficient = int | Fraction

_KEPT_WITHIN: Final = 1e-3
"""By how much later objectives may worsen an earlier one."""


class Variable(NamedTuple):
    """A variable from 0 to `upper`, and its coefficient in each of its rows."""

    upper: Coefficient
    coefficients: Mapping[int, Coefficient]
    is_integer: bool = False


class Constraint(NamedTuple):
    """A constraint on the sum of its columns; None means no bound."""

    lower: Coefficient | None
    upper: Coefficient | None


class Solution(NamedTuple):
    """The columns' values. Unless `proven`, an objective stopped at the time limit."""

    values: Sequence[Fraction]
    proven: bool


def maximize(
    columns: Sequence[Variable],
    rows: Sequence[Constraint],
    objectives: Sequence[Sequence[Coefficient]],
    time_limit: timedelta,
) -> Solution | None:
    """The values that maximise the first objective, of those the second, and so on.

    An objective has one weight for each column. The time limit holds for each. Returns the best
    that was found by then, or None when nothing was.
    """
    highs = _load(columns, rows, time_limit)
    best: Sequence[float] | None = None
    for place, weights in enumerate(objectives):
        if place:
            _keep(highs, objectives[place - 1])
        found, proven = _solve(highs, weights)
        best = best if found is None else found
        if best is None:
            return None
        if not proven:
            return Solution([Fraction(value) for value in best], proven=False)
    return Solution([Fraction(value) for value in best or ()], proven=True)


def _load(columns: Sequence[Variable], rows: Sequence[Constraint], time_limit: timedelta) -> Highs:
    model = highspy.HighsLp()
    model.num_col_ = len(columns)
    model.num_row_ = len(rows)
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_ = np.zeros(len(columns))
    model.col_lower_ = np.zeros(len(columns))
    model.col_upper_ = np.array([float(column.upper) for column in columns])
    model.row_lower_ = np.array([_bound(row.lower, -highspy.kHighsInf) for row in rows])
    model.row_upper_ = np.array([_bound(row.upper, highspy.kHighsInf) for row in rows])
    sizes = [0, *(len(column.coefficients) for column in columns)]
    indices = [row for column in columns for row in column.coefficients]
    values = [float(n) for column in columns for n in column.coefficients.values()]
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.cumsum(sizes, dtype=np.int32)
    model.a_matrix_.index_ = np.array(indices, dtype=np.int32)
    model.a_matrix_.value_ = np.array(values)
    integer, continuous = highspy.HighsVarType.kInteger, highspy.HighsVarType.kContinuous
    model.integrality_ = [integer if column.is_integer else continuous for column in columns]
    highs = Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("random_seed", 0)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("time_limit", time_limit.total_seconds())
    highs.passModel(model)
    return highs


def _bound(bound: Coefficient | None, infinity: float) -> float:
    return infinity if bound is None else float(bound)


def _solve(highs: Highs, weights: Sequence[Coefficient]) -> tuple[Sequence[float] | None, bool]:
    """The best values found, and whether they are proven to be the best."""
    costs = np.array([float(weight) for weight in weights])
    highs.changeColsCost(len(costs), np.arange(len(costs), dtype=np.int32), costs)
    highs.run()
    if highs.getModelStatus() == highspy.HighsModelStatus.kOptimal:
        return list(highs.getSolution().col_value), True
    feasible = highspy.SolutionStatus.kSolutionStatusFeasible
    if highs.getInfo().primal_solution_status == feasible:
        return list(highs.getSolution().col_value), False
    return None, False


def _keep(highs: Highs, weights: Sequence[Coefficient]) -> None:
    """Adds the row that keeps the objective reached so far."""
    weighted = np.array([column for column, weight in enumerate(weights) if weight], np.int32)
    values = np.array([float(weight) for weight in weights if weight])
    reached = highs.getInfo().objective_function_value
    highs.addRow(reached - _KEPT_WITHIN, highspy.kHighsInf, len(weighted), weighted, values)
