"""Measures the search for the best assignment of a basket.

`python -m benchmarks.allocator` prints a table and writes benchmarks/results/allocator.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from benchmarks import machine
from benchmarks.report import RESULTS, markdown
from creditdesk.ledger.rules.assignment import assign, burn_down
from creditdesk.ledger.rules.offers import BasketProblem, Demand, MoneyOffer, UnitOffer

_OUTPUT: Final = RESULTS / "allocator.md"
_ELIGIBLE_SHARE: Final = 0.7
_STEP_MINUTES: Final = 15
_EURO: Final = 1_0000
_METHOD: Final = """# Allocator

The search for the assignment of credits to the sources of a basket that covers most, without a server
and a database. Each row is a number of random baskets of one shape: bookings of one to eight hours,
time credits of up to five hours and money credits of up to 100, each of which may pay for about 70 %
of the bookings. *Gain* is how much more the search covers than burn-down in the payment order alone.
*Exact* counts baskets whose search ended within its time limit. The first search, which loads the
solver, is not counted. Written by `python -m benchmarks.allocator`.
"""

SHAPES: Final[dict[str, tuple[int, int, int]]] = {
    "4 bookings over 4 time credits": (4, 4, 0),
    "20 bookings over 20 time credits": (20, 20, 0),
    "20 bookings over 10 time and 10 money credits": (20, 10, 10),
}
"""Sources, time credits and money credits."""


def random_basket(random: Random, sources: int, times: int, moneys: int) -> BasketProblem:
    """A basket of bookings in which most credits may pay for most sources."""
    hours = [random.choice((1, 2, 3, 4, 8)) for _ in range(sources)]
    demands = [Demand(hour * random.randrange(10, 80, 5) * _EURO, 2) for hour in hours]
    eligible = [
        (credit, source)
        for credit in range(times + moneys)
        for source in range(sources)
        if random.random() < _ELIGIBLE_SHARE
    ]
    offers: list[MoneyOffer | UnitOffer] = [
        UnitOffer(credit, source, hours[source] * 60, _STEP_MINUTES) if credit < times else MoneyOffer(credit, source)
        for credit, source in eligible
    ]
    available = [random.randrange(1, 20) * _STEP_MINUTES for _ in range(times)]
    available += [random.randrange(5, 100) * _EURO for _ in range(moneys)]
    return BasketProblem.of(demands, available, offers)


def measure(shape: str, baskets: int, seed: int) -> list[str]:
    """One row of the table."""
    random = Random(seed)
    problems = [random_basket(random, *SHAPES[shape]) for _ in range(baskets)]
    assign(problems[0])
    search = [_milliseconds(assign, problem) for problem in problems]
    in_order = [_milliseconds(burn_down, problem) for problem in problems]
    found = [assign(problem) for problem in problems]
    gains = [
        sum(share.covered for share in each.shares) / max(1, sum(share.covered for share in burn_down(problem)))
        for each, problem in zip(found, problems, strict=True)
    ]
    exact = sum(each.exact for each in found)
    return [
        shape, str(baskets), f"{median(search):.1f}", f"{max(search):.1f}",
        f"{median(in_order):.2f}", f"{median(gains) - 1:.1%}", f"{exact} of {baskets}",
    ]  # fmt: skip


def _milliseconds(solve: Callable[[BasketProblem], object], problem: BasketProblem) -> float:
    started = time.perf_counter_ns()
    solve(problem)
    return (time.perf_counter_ns() - started) / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.allocator", description=__doc__)
    parser.add_argument("--baskets", type=int, default=15, help="random baskets of each shape")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random baskets")
    parser.add_argument("--out", type=Path, default=_OUTPUT, help="where the page is written")
    options = parser.parse_args(arguments)
    columns = ("basket", "baskets", "median ms", "worst ms", "burn-down ms", "gain", "exact")
    rows = [measure(shape, options.baskets, options.seed) for shape in SHAPES]
    table = markdown(columns, rows)
    written = f"Written on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine.describe_machine()}."
    options.out.write_text("\n".join([_METHOD, written, "", *table]) + "\n")
    print("\n".join(table))
    print(f"Written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
