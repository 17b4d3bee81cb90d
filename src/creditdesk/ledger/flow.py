"""How divisible credit flows to what is due, as a whole basket (rule 18).

The credits join one after another, in their order. Each pays as much as it can; to make room it
may move earlier credits to other sources, but never lets them pay less. So the credits up to any
place in the order always cover the most that they can cover between them, and no credit is
stranded. (These are augmenting paths of a maximum flow; where a credit pays at a credit price a
path has a gain, and the path of the highest gain goes first.)

This module must not know what a credit or a source is: both are places in a list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

Exact = int | Fraction
Arc = tuple[int, int]
"""A credit's place and a source's place."""


@dataclass(frozen=True, slots=True)
class Path:
    """Arcs on which to pay more, and between them those on which to pay less."""

    more: tuple[Arc, ...]
    less: tuple[Arc, ...]


def pay(
    due: Sequence[Exact], available: Sequence[Exact], gains: Mapping[Arc, Exact]
) -> dict[Arc, Exact]:
    """How much of each source's due each credit covers, exact and not rounded.

    `gains` has one arc for each credit that may pay for a source: what one step of the credit
    covers there, 1 unless it pays at a credit price. Without credit prices the shortest path goes
    first, which keeps the work polynomial, and whole amounts stay whole.
    """
    network = _Network(due, available, gains)
    for credit in range(len(available)):
        while network.left[credit] > 0 and (path := network.best_path(credit)):
            network.push(credit, path)
    return {arc: covered for arc, covered in network.covered.items() if covered > 0}


class _Network:
    """What is covered so far, and where it could still be moved."""

    def __init__(
        self, due: Sequence[Exact], available: Sequence[Exact], gains: Mapping[Arc, Exact]
    ) -> None:
        self.gains = gains
        self.left = list(available)
        self.open = list(due)
        self.covered: dict[Arc, Exact] = dict.fromkeys(gains, 0)
        self.sources_of: dict[int, list[int]] = {}
        self.credits_of: dict[int, list[int]] = {}
        for credit, source in sorted(gains):
            self.sources_of.setdefault(credit, []).append(source)
            self.credits_of.setdefault(source, []).append(credit)

    def best_path(self, credit: int) -> Path | None:
        """The path of the highest gain from `credit` to a source that is still open.

        Among equals the one that moves the fewest credits, then the earlier source, so that
        the same basket always gives the same allocation.
        """
        gain_at: dict[int, Exact] = {}
        freed: dict[int, Exact] = {credit: 1}
        path_to: dict[int, Path] = {}
        path_from: dict[int, Path] = {credit: Path((), ())}
        wave = [credit]
        while wave:
            reached: list[int] = []
            for payer in wave:
                for source in self.sources_of.get(payer, ()):
                    gain = freed[payer] * self.gains[payer, source]
                    if gain > gain_at.get(source, 0):
                        gain_at[source] = gain
                        before = path_from[payer]
                        path_to[source] = Path((*before.more, (payer, source)), before.less)
                        reached.append(source)
            wave = []
            for source in dict.fromkeys(reached):
                for payer in self.credits_of[source]:
                    if self.covered[payer, source] <= 0:
                        continue
                    room = ratio(gain_at[source], self.gains[payer, source])
                    if room > freed.get(payer, 0):
                        freed[payer] = room
                        before = path_to[source]
                        path_from[payer] = Path(before.more, (*before.less, (payer, source)))
                        wave.append(payer)
        ends = [source for source in path_to if self.open[source] > 0]
        return path_to[max(ends, key=gain_at.__getitem__)] if ends else None

    def push(self, credit: int, path: Path) -> None:
        """Move as much along `path` as the credit, the arcs it lowers and its end allow."""
        moved_at = self._moved_by_one_step(path)
        end = path.more[-1]
        steps = min(
            self.left[credit],
            ratio(self.open[end[1]], moved_at[end]),
            *(ratio(self.covered[arc], moved_at[arc]) for arc in path.less),
        )
        for arc in path.more:
            self.covered[arc] += steps * moved_at[arc]
        for arc in path.less:
            self.covered[arc] -= steps * moved_at[arc]
        self.left[credit] -= steps
        self.open[end[1]] -= steps * moved_at[end]

    def _moved_by_one_step(self, path: Path) -> dict[Arc, Exact]:
        """How much cover moves on each arc when the first credit pays one step more."""
        moved: dict[Arc, Exact] = {}
        freed: Exact = 1
        for place, arc in enumerate(path.more):
            covered = freed * self.gains[arc]
            moved[arc] = covered
            if place < len(path.less):
                lowered = path.less[place]
                moved[lowered] = covered
                freed = ratio(covered, self.gains[lowered])
        return moved


def ratio(amount: Exact, by: Exact) -> Exact:
    """`amount / by`, as a plain integer wherever it is one, because those are fast."""
    if by == 1:
        return amount
    quotient = Fraction(amount) / by
    return quotient.numerator if quotient.denominator == 1 else quotient
