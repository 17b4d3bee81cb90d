"""Which whole units of time or printing pay for which sources, money filling what stays open.

Units cannot be cut, so this is a search: every way of handing out the units is either tried or
shown to be no better than the best one found. The search stops at `EFFORT_LIMIT`; what it has
found by then is still a valid assignment, only not proven to be the best.

This module must not know what a credit or a source is: both are places in a list.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd, lcm

from msgspec import Struct

from creditdesk.ledger.rules.max_flow import Arc, Cap, Exact, pay, ratio

EFFORT_LIMIT = 300_000
"""Offers that one search may look at, over and over: about a second's work."""

LEAF_EFFORT = 10
"""A complete assignment lets the money flow as well, which costs as much as 10 looks."""

Score = tuple[Exact, Exact, tuple[Exact, ...]]
"""Value covered, minus what is covered twice, and what each credit gives, in order of payment."""


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


@dataclass(frozen=True, slots=True)
class Found:
    """The units taken, and the exact price that each arc covers, money included."""

    score: Score
    taken: dict[Arc, int]
    covered: dict[Arc, Exact]


@dataclass(frozen=True, slots=True)
class _Partial:
    """The offers before `place` are decided; the later ones are not."""

    place: int
    taken: tuple[int, ...]
    left: tuple[int, ...]
    open: tuple[int, ...]
    twice: int


class Search:
    """One basket: prices by source, amounts by credit, money gains by arc, unit offers, and caps."""

    def __init__(
        self,
        prices: Sequence[int],
        available: Sequence[int],
        gains: Mapping[Arc, Exact],
        offers: Sequence[UnitOffer],
        effort_limit: int = EFFORT_LIMIT,
        caps: Sequence[Cap] = (),
    ) -> None:
        # Counted in this fraction of a step every unit is worth a whole amount: integers are fast.
        self.scale = lcm(*(offer.units for offer in offers))
        self.prices = [price * self.scale for price in prices]
        self.available = available
        self.gains = gains
        # A credit is offered first where its unit is worth most, then in the basket's order.
        worth = {offer: self.prices[offer.source] // offer.units for offer in offers}
        self.offers = sorted(offers, key=lambda o: (o.credit, -worth[o], o.source))
        self.worth = [worth[offer] for offer in self.offers]
        self.effort_limit = effort_limit
        self.effort_of_a_look = len(offers) + len(gains)
        self.least_worth: dict[int, int] = {}
        for offer in self.offers:
            least = self.least_worth.get(offer.credit, worth[offer])
            self.least_worth[offer.credit] = min(least, worth[offer])
        self.credits = sorted({arc[0] for arc in gains} | {offer.credit for offer in offers})
        self.sources = sorted({arc[1] for arc in gains} | {offer.source for offer in offers})
        self.payable: dict[int, list[int]] = {}
        for credit, source in gains:
            self.payable.setdefault(credit, []).append(source)
        self.money = [
            amount * self.scale if credit in self.payable else 0
            for credit, amount in enumerate(available)
        ]
        self.best_gain = {
            credit: max(gains[credit, source] for source in sources)
            for credit, sources in self.payable.items()
        }
        self.at_credit_price = {arc[0] for arc, gain in gains.items() if gain != 1}
        self.caps = [self._in_steps(cap) for cap in caps]
        self.cap_of = {credit: place for place, cap in enumerate(caps) for credit in cap.credits}
        self.money_caps = [Cap(cap.credits, cap.limit * self.scale) for cap in caps]

    def _in_steps(self, cap: Cap) -> Cap:
        """A cap on units as what whole steps can use of it, so that the search hopes for no more."""
        step = gcd(*(offer.step for offer in self.offers if offer.credit in cap.credits))
        return Cap(cap.credits, cap.limit // step * step) if step else cap

    def best(self) -> tuple[Found, bool]:
        """The best assignment found, and whether it is proven to be the best."""
        start = _Partial(0, (), tuple(self.available), tuple(self.prices), 0)
        best = max(map(self._complete, self._first_tries(start)), key=_score)
        effort = 0
        waiting = [start]
        while waiting:
            if effort >= self.effort_limit:
                return best, False
            partial = waiting.pop()
            effort += self.effort_of_a_look
            if self._hoped(partial) <= best.score:
                continue
            if partial.place < len(self.offers):
                waiting.extend(self._decide(partial, n) for n in self._choices(partial))
            else:
                effort += LEAF_EFFORT * self.effort_of_a_look
                best = max(best, self._complete(partial), key=_score)
        return best, True

    def _first_tries(self, start: _Partial) -> Iterator[_Partial]:
        """No units at all, and every offer in order taking all it can."""
        yield replace(start, place=len(self.offers), taken=(0,) * len(self.offers))
        while start.place < len(self.offers):
            choices = self._choices(start)
            if not choices:
                return
            start = self._decide(start, choices[-1])
        yield start

    def _decide(self, partial: _Partial, units: int) -> _Partial:
        """The next offer takes so many units."""
        offer = self.offers[partial.place]
        covered = units * self.worth[partial.place]
        left, open_ = list(partial.left), list(partial.open)
        left[offer.credit] -= units
        open_[offer.source] = max(0, open_[offer.source] - covered)
        return _Partial(
            partial.place + 1,
            (*partial.taken, units),
            tuple(left),
            tuple(open_),
            partial.twice + max(0, covered - partial.open[offer.source]),
        )

    def _choices(self, partial: _Partial) -> Sequence[int]:
        """How many units the next offer may take, the most of them last."""
        offer = self.offers[partial.place]
        most = min(
            self._left(partial, offer.credit) // offer.step * offer.step,
            self._needed(partial.place, partial.open[offer.source]),
        )
        if not offer.all_or_nothing:
            return range(0, most + 1, offer.step)
        earlier = zip(self.offers, partial.taken, strict=False)
        so_far = sum(units for other, units in earlier if other.source == offer.source)
        later = sum(
            partial.left[other.credit]
            for other in self.offers[partial.place + 1 :]
            if other.source == offer.source
        )
        whole = range(max(0, offer.units - so_far - later), most + 1)
        # Nothing at all is always possible; nothing more is not, once a part is promised.
        return whole if so_far or 0 in whole else (0, *whole)

    def _left(self, partial: _Partial, credit: int) -> int:
        """The units a credit can still give, under its cap."""
        cap = self.cap_of.get(credit)
        if cap is None:
            return partial.left[credit]
        return int(min(partial.left[credit], self._room(partial, cap)))

    def _room(self, partial: _Partial, cap: int) -> Exact:
        """What a cap leaves beside the units taken so far; money is handed out after them."""
        together = self.caps[cap].credits
        return self.caps[cap].limit - sum(self.available[c] - partial.left[c] for c in together)

    def _needed(self, place: int, open_: int) -> int:
        """Whole steps that cover what is open, the last of them perhaps only in part."""
        offer = self.offers[place]
        return -(-open_ // (self.worth[place] * offer.step)) * offer.step

    def _complete(self, partial: _Partial) -> Found:
        """All units decided: the money flows to what they left open."""
        paid = pay(partial.open, self.money, self.gains, self.money_caps)
        given: dict[int, Exact] = dict.fromkeys(self.credits, 0)
        covered: dict[Arc, Exact] = {}
        for arc, amount in paid.items():
            given[arc[0]] += ratio(amount, self.gains[arc])
            covered[arc] = ratio(amount, self.scale)
        taken: dict[Arc, int] = {}
        for offer, units, worth in zip(self.offers, partial.taken, self.worth, strict=True):
            if units:
                arc = (offer.credit, offer.source)
                taken[arc] = units
                given[offer.credit] += units
                covered[arc] = ratio(units * worth, self.scale)
        value = self._covered(partial) + sum(paid.values())
        return Found((value, -partial.twice, tuple(given.values())), taken, covered)

    def _covered(self, partial: _Partial) -> int:
        return sum(self.prices[source] - partial.open[source] for source in self.sources)

    def _hoped(self, partial: _Partial) -> Score:
        """No way of deciding the remaining offers scores higher than this."""
        room: list[Exact] = list(partial.left)
        wanted = dict.fromkeys(self.credits, 0)
        reachable = {source for _, source in self.gains}
        by_units: dict[int, Exact] = {}
        dearest: dict[int, int] = {}
        for place in range(partial.place, len(self.offers)):
            credit, source = self.offers[place].credit, self.offers[place].source
            open_ = partial.open[source]
            if open_ and room[credit]:
                covered = min(open_, room[credit] * self.worth[place])
                by_units[credit] = by_units.get(credit, 0) + covered
                dearest[credit] = max(dearest.get(credit, 0), self.worth[place])
                room[credit] -= ratio(covered, self.worth[place])
            wanted[credit] += self._needed(place, open_)
            reachable.add(source)
        payable = {
            credit: sum(partial.open[source] for source in sources)
            for credit, sources in self.payable.items()
        }
        by_money: dict[int, Exact] = {
            credit: min(open_, self.money[credit] * self.best_gain[credit])
            for credit, open_ in payable.items()
        }
        unit_room = [self._room(partial, cap) for cap in range(len(self.caps))]
        money_room = [cap.limit for cap in self.money_caps]
        more = min(
            sum(partial.open[source] for source in reachable),
            self._under_caps(by_units, dearest, unit_room)
            + self._under_caps(by_money, self.best_gain, money_room),
        )
        given: list[Exact] = []
        unspent = more
        for credit in self.credits:
            cap = self.cap_of.get(credit)
            if credit not in payable:
                # Units that overlap nothing each cover their worth of what is still to cover.
                room_left = ratio(unspent, self.least_worth[credit])
                units = min(partial.left[credit], wanted[credit], room_left)
                if cap is not None:
                    units = min(units, unit_room[cap])
                    unit_room[cap] -= units
                given.append(self.available[credit] - partial.left[credit] + units)
                unspent -= units * self.least_worth[credit]
                continue
            amount: Exact = self.money[credit]
            if credit not in self.at_credit_price:
                amount = min(amount, payable[credit], unspent)
            if cap is not None:
                amount = min(amount, money_room[cap])
                money_room[cap] -= amount
            if credit not in self.at_credit_price:
                unspent -= amount
            given.append(amount)
        return self._covered(partial) + more, -partial.twice, tuple(given)

    def _under_caps(
        self,
        covered: Mapping[int, Exact],
        worth: Mapping[int, Exact],
        room: Sequence[Exact],
    ) -> Exact:
        """What the credits cover at most, when each step is worth so much and caps leave so many."""
        total: Exact = 0
        capped: dict[int, Exact] = {}
        dearest: dict[int, Exact] = {}
        for credit, amount in covered.items():
            cap = self.cap_of.get(credit)
            if cap is None:
                total += amount
            else:
                capped[cap] = capped.get(cap, 0) + amount
                dearest[cap] = max(dearest.get(cap, 0), worth[credit])
        return total + sum(min(n, room[cap] * dearest[cap]) for cap, n in capped.items())


def _score(found: Found) -> Score:
    return found.score
