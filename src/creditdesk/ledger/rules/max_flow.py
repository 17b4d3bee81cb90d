"""How divisible credit flows to what is due, as a whole basket (rule 18).

The credits join one after another, in their order. Each pays as much as it can; to make room it
may move earlier credits to other sources, but never lets them pay less. So the credits up to any
place in the order always cover the most that they can cover between them, and no credit is
stranded. (These are augmenting paths of a maximum flow; where a credit pays at a credit price a
path has a gain, and the path of the highest gain goes first.)

Credits may share a cap on what they give between them, used up in their order. Where that covers
more, a later one of them takes over from an earlier one; not where there are credit prices.

Of a single source there is nowhere else to move a credit to, so each just pays what it can.

This module must not know what a credit or a source is: both are places in a list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

Exact = int | Fraction
Arc = tuple[int, int]
"""A credit's place and a source's place."""


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that these credits may give between them, in their smallest step (rule 16)."""

    credits: frozenset[int]
    limit: Exact


@dataclass(frozen=True, slots=True)
class Path:
    """Arcs on which to pay more, and between them those on which to pay less."""

    more: tuple[Arc, ...]
    less: tuple[Arc, ...]


def pay(
    due: Sequence[Exact],
    available: Sequence[Exact],
    gains: Mapping[Arc, Exact],
    caps: Sequence[Cap] = (),
) -> dict[Arc, Exact]:
    """How much of each source's due each credit covers, exact and not rounded.

    `gains` has one arc for each credit that may pay for a source: what one step of the credit
    covers there, 1 unless it pays at a credit price. Without credit prices the shortest path goes
    first, which keeps the work polynomial, and whole amounts stay whole. No credit has two caps.
    """
    sources = {source for _, source in gains}
    if len(sources) == 1:
        return _paid_in_turn(due[sources.pop()], available, gains, caps)
    network = _Network(due, available, gains, caps)
    for credit in range(len(available)):
        network.join(credit)
    if caps and network.plain:
        # Those who joined later may have made room, once, for those who found none.
        for credit in range(len(available)):
            network.join(credit)
    return {arc: covered for arc, covered in network.covered.items() if covered > 0}


def _paid_in_turn(
    due: Exact,
    available: Sequence[Exact],
    gains: Mapping[Arc, Exact],
    caps: Sequence[Cap],
) -> dict[Arc, Exact]:
    """What is due of one source, paid by one credit after another."""
    room = [cap.limit for cap in caps]
    cap_of = {credit: place for place, cap in enumerate(caps) for credit in cap.credits}
    covered: dict[Arc, Exact] = {}
    for arc in sorted(gains):
        if due <= 0:
            break
        cap = cap_of.get(arc[0])
        giving = available[arc[0]] if cap is None else min(available[arc[0]], room[cap])
        steps = min(giving, ratio(due, gains[arc]))
        if steps > 0:
            covered[arc] = steps * gains[arc]
            due -= covered[arc]
            if cap is not None:
                room[cap] -= steps
    return covered


class _Network:
    """What is covered so far, and where it could still be moved."""

    def __init__(
        self,
        due: Sequence[Exact],
        available: Sequence[Exact],
        gains: Mapping[Arc, Exact],
        caps: Sequence[Cap],
    ) -> None:
        self.gains = gains
        self.cap_of = {credit: place for place, cap in enumerate(caps) for credit in cap.credits}
        self.room = [cap.limit for cap in caps]
        self.plain = all(gain == 1 for gain in gains.values())
        self.joined: set[int] = set()
        self.left = list(available)
        self.open = list(due)
        self.covered: dict[Arc, Exact] = dict.fromkeys(gains, 0)
        self.sources_of: dict[int, list[int]] = {}
        self.credits_of: dict[int, list[int]] = {}
        for credit, source in sorted(gains):
            self.sources_of.setdefault(credit, []).append(source)
            self.credits_of.setdefault(source, []).append(credit)

    def join(self, credit: int) -> None:
        """The credit pays as much as it can."""
        self.joined.add(credit)
        while self.giving(credit) > 0 and (path := self.best_path(credit)):
            self.push(credit, path)

    def giving(self, credit: int) -> Exact:
        """What a credit can still give, under its cap."""
        cap = self.cap_of.get(credit)
        return self.left[credit] if cap is None else min(self.left[credit], self.room[cap])

    def takers(self, payer: int) -> list[int]:
        """Who may give elsewhere what `payer` no longer gives: itself, or another of its cap."""
        cap = self.cap_of.get(payer)
        if cap is None or not self.plain:
            return [payer]
        others = (c for c in sorted(self.joined) if self.cap_of.get(c) == cap and c != payer)
        return [payer, *(other for other in others if self.left[other] > 0)]

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
                    for taker in self.takers(payer):
                        if room > freed.get(taker, 0):
                            freed[taker] = room
                            before = path_to[source]
                            path_from[taker] = Path(before.more, (*before.less, (payer, source)))
                            wave.append(taker)
        ends = [source for source in path_to if self.open[source] > 0]
        return path_to[max(ends, key=gain_at.__getitem__)] if ends else None

    def push(self, credit: int, path: Path) -> None:
        """Move as much along `path` as the credit, the arcs it lowers and its end allow."""
        moved_at = self._moved_by_one_step(path)
        end = path.more[-1]
        # Only without credit prices is anything taken over, so one step stays one step.
        taken_over = [
            (lowered[0], raised[0])
            for lowered, raised in zip(path.less, path.more[1:], strict=True)
            if lowered[0] != raised[0]
        ]
        steps = min(
            self.giving(credit),
            ratio(self.open[end[1]], moved_at[end]),
            *(ratio(self.covered[arc], moved_at[arc]) for arc in path.less),
            *(self.left[taker] for _, taker in taken_over),
        )
        for payer, taker in taken_over:
            self.left[payer] += steps
            self.left[taker] -= steps
        if credit in self.cap_of:
            self.room[self.cap_of[credit]] -= steps
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
    if isinstance(amount, int) and isinstance(by, int):
        whole, rest = divmod(amount, by)
        return Fraction(amount, by) if rest else whole
    quotient = Fraction(amount) / by
    return quotient.numerator if quotient.denominator == 1 else quotient
