"""What comes back: how much of a line, to which credit, in which order (rules 25, 30).

Amounts are those of a use: positive when credit was taken. This module must not know why a
use is undone or how a line is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from creditdesk.ledger.rules.amounts import Amount, round_amount, split_proportionally
from creditdesk.ledger.rules.credit import CreditKey
from creditdesk.ledger.rules.renewal import has_expired

WHOLE_STEPS = 4
"""The digits with which uses, and money to its smallest step, are rounded."""


@dataclass(frozen=True, slots=True)
class ReversibleUse:
    """One use of one credit for one source: what it took, what of the price that covered.

    `reversed` is what was given back already, and `step` what moves at once: 1 for money and most
    units, the booking interval for minutes.
    """

    id: int
    credit: CreditKey
    taken: Amount
    covered: Amount = 0
    reversed: Amount = 0
    step: int = 1

    @property
    def reversible(self) -> Amount:
        """The most that may still be given back."""
        return self.taken - self.reversed


class ReversalExceedsUse(ValueError):
    """More was asked back than a use still has unreversed (rule 30)."""


def reversal_amount(use: ReversibleUse, requested: Amount | None = None) -> Amount:
    """How much to give back of `use`: what is asked, or all that is left when nothing is (rule 30).

    All of a use that is reversed already is 0, so repeating a reversal changes nothing.
    Raises NothingLeftToReverse when more is asked than is left, ValueError when less than 0 is.
    """
    if requested is None:
        return use.reversible
    if requested < 0:
        raise ValueError("a reversal gives back, it does not take")
    if requested > use.reversible:
        raise ReversalExceedsUse(f"{use.reversible} of use {use.id} can still be reversed")
    return requested


@dataclass(frozen=True, slots=True)
class ReturnPlan:
    """Where an amount goes back to: always `credit`; then on to a linked grant when `reissued`.

    `expires` is the moment the returned amount can be used until, blank when it never lapses.
    """

    credit: CreditKey
    amount: Amount
    reissued: bool
    expires: datetime | None


def plan_return(
    credit: CreditKey,
    expires: datetime | None,
    amount: Amount,
    now: datetime,
    return_grace_days: int = 0,
) -> ReturnPlan:
    """The same credit with the expiry it has; re-issued when it lapsed and days of grace are set.

    The grace runs from `now` (rule 30). Nothing returned is never re-issued.
    """
    if amount > 0 and return_grace_days > 0 and has_expired(expires, now):
        return ReturnPlan(credit, amount, True, now + timedelta(days=return_grace_days))
    return ReturnPlan(credit, amount, False, expires)


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Part of one use that comes back, and how much of the price it no longer covers."""

    use: ReversibleUse
    amount: Amount
    uncovers: Amount


def shortened(uses: Sequence[ReversibleUse], price_given_back: Amount) -> tuple[GiveBack, ...]:
    """What a shortened booking gives back, the last allocated use first (rule 25).

    `uses` stand in the order of allocation. A use that need not come back whole gives whole
    steps only, and never so many that more than `price_given_back` is uncovered.
    """
    parameters: list[GiveBack] = []
    left = price_given_back
    for use in reversed(uses):
        if left <= 0:
            break
        kept = _still_covered(use)
        if kept <= left:
            amount, uncovers = use.reversible, kept
        else:
            amount = use.reversible * left // kept // use.step * use.step
            uncovers = kept - _share(kept, use.reversible - amount, use.reversible)
        if amount:
            parameters.append(GiveBack(use, amount, uncovers))
            left -= uncovers
    return tuple(parameters)


def refund_up_to(
    amount: Amount, share: Fraction, refunded: Amount, digits: int = WHOLE_STEPS
) -> Amount:
    """What to refund now so that `share` of `amount` has been refunded in all.

    Counting from the whole each time means that refunds which add up to the whole return exactly
    the whole. Never negative. Raises ValueError for a share below 0 or above 1.
    """
    if not 0 <= share <= 1:
        raise ValueError("a share lies between 0 and 1")
    # What is refunded whole goes back to its last step, also below the currency's digits.
    target = amount if share == 1 else min(amount, round_amount(amount * share, digits))
    return max(0, target - refunded)


def spread_refund(
    uses: Sequence[ReversibleUse], total: Amount, digits: int = WHOLE_STEPS
) -> tuple[Amount, ...]:
    """`total` given back over `uses` in proportion to what each has left; the parts sum to it.

    No use gets more than its unreversed amount (rule 30): what rounding would put above it goes
    to the last uses that have room. Raises NothingLeftToReverse when all together have less.
    """
    rooms = [use.reversible for use in uses]
    if total > sum(rooms):
        raise ReversalExceedsUse(f"{sum(rooms)} of these uses can still be reversed")
    if total <= 0:
        return (0,) * len(uses)
    wanted = split_proportionally(total, rooms, digits)
    parts = [min(part, room) for part, room in zip(wanted, rooms, strict=True)]
    left = total - sum(parts)
    for place in reversed(range(len(parts))):
        more = min(left, rooms[place] - parts[place])
        parts[place] += more
        left -= more
    return tuple(parts)


def _still_covered(use: ReversibleUse) -> Amount:
    return _share(use.covered, use.reversible, use.taken)


def _share(amount: Amount, part: Amount, whole: Amount) -> Amount:
    return round_amount(Fraction(amount * part, whole), WHOLE_STEPS) if whole else 0
