"""Reversal of a use: how much can be returned, and whether it is re-issued (rule 30).

Amounts are those of a use: positive when credit was taken.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from creditdesk.ledger.rules.amounts import Amount, format_money
from creditdesk.ledger.rules.credit import CreditKey, CreditType
from creditdesk.ledger.rules.renewal import has_expired


@dataclass(frozen=True, slots=True)
class ReversibleUse:
    """What one use took from its credit, and how much of that was reversed already."""

    id: int
    credit: CreditKey
    taken: Amount
    reversed: Amount = 0

    @property
    def reversible(self) -> Amount:
        """The most that can still be reversed."""
        return self.taken - self.reversed


class ReversalExceedsUse(ValueError):
    """The requested reversal is more than what a use has left to reverse (rule 30)."""


def reversal_amount(use: ReversibleUse, requested: Amount | None = None) -> Amount:
    """How much of `use` to reverse: the requested amount, else all that is left (rule 30).

    A use that is fully reversed gives 0, so repeating a reversal changes nothing. Raises
    ReversalExceedsUse for more than is left, ValueError for a negative amount.
    """
    if requested is None:
        return use.reversible
    if requested < 0:
        raise ValueError("must not be negative")
    if requested > use.reversible:
        is_money = use.credit.kind is CreditType.MONEY
        left = format_money(use.reversible) if is_money else str(use.reversible)
        raise ReversalExceedsUse(f"exceeds the {left} of use #{use.id} that can still be reversed")
    return requested


@dataclass(frozen=True, slots=True)
class ReturnPlan:
    """The return of an amount to its credit, and then to a linked new grant when `reissued`.

    `expires` is when the returned amount expires; None means never.
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
    """Returns an amount to its credit; re-issues it when the credit expired and grace is set.

    The days of grace run from `now` (rule 30). An amount of zero is never re-issued.
    """
    if amount > 0 and return_grace_days > 0 and has_expired(expires, now):
        return ReturnPlan(credit, amount, True, now + timedelta(days=return_grace_days))
    return ReturnPlan(credit, amount, False, expires)
