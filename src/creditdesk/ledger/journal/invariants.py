"""What always holds of a credit: run by every operation before it writes, by tests, by `verify`.

Each check gives a sentence about what is wrong, or None. This module must not know how a balance
came to be, nor repair one (rule 34).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from creditdesk.ledger.journal.entry import RAISES_TOTAL, EntryType, JournalEntry
from creditdesk.ledger.rules.amounts import Amount


@dataclass(frozen=True, slots=True)
class AccountBalances:
    """What a credit says of itself, in its smallest step, and how many lines it has.

    `overdraft` is how far below zero it may go, 0 for all but some printing credit (rule 33).
    """

    remaining: Amount
    held: Amount
    total: Amount
    sequence: int
    overdraft: Amount = 0


Invariant = Callable[[AccountBalances], str | None]


def remaining_within_overdraft(balances: AccountBalances) -> str | None:
    """Rules 2 and 33."""
    if balances.remaining >= -balances.overdraft:
        return None
    return (
        "less remains than its overdraft allows"
        if balances.overdraft
        else "less than nothing remains"
    )


def remaining_within_total(balances: AccountBalances) -> str | None:
    """Rule 2."""
    return "more remains than was granted" if balances.remaining > balances.total else None


def holds_within_remaining(balances: AccountBalances) -> str | None:
    """Rule 26: a hold reserves what is there, and no hold is undone twice."""
    if balances.held < 0:
        return "more was released than was held"
    at_most = balances.remaining + balances.overdraft
    return "more is held than remains" if balances.held > at_most else None


INVARIANTS: Final[tuple[Invariant, ...]] = (
    remaining_within_overdraft,
    remaining_within_total,
    holds_within_remaining,
)


class InvariantViolation(Exception):
    """An operation came to a state that must not be; its transaction ends without a trace."""


def check_invariants(balances: AccountBalances, credit_name: str) -> None:
    """Raises Broken with every sentence that applies; run before anything is written."""
    if wrong := [sentence for check in INVARIANTS if (sentence := check(balances))]:
        raise InvariantViolation(f"{credit_name}: {'; '.join(wrong)}")


def replay(entries: Sequence[JournalEntry]) -> AccountBalances:
    """The balances that a credit's lines lead to, from their kinds and amounts alone (rule 34)."""
    remaining = held = total = 0
    for entry in entries:
        remaining += entry.balance_change
        held += entry.held_change
        if entry.kind is EntryType.GRANT:
            total += entry.amount
        elif entry.kind is EntryType.VOID:
            total -= entry.amount
        elif entry.kind in RAISES_TOTAL:
            total = max(total, remaining)
    return AccountBalances(remaining, held, total, len(entries))


def balance_differences(
    stored: AccountBalances, entries: Sequence[JournalEntry], history_used: Amount
) -> list[str]:
    """Where a credit, its journal and its use history do not agree (rules 2 and 34).

    `history_used` is the sum of `CreditUsed` over the credit's history rows.
    """
    found = replace(replay(entries), overdraft=stored.overdraft)
    wrong = [
        f"{name} is {says} and the journal says {counted}"
        for name, says, counted in (
            ("remaining", stored.remaining, found.remaining),
            ("held", stored.held, found.held),
            ("total", stored.total, found.total),
            ("the number of lines", stored.sequence, found.sequence),
            ("used by the history", history_used, found.total - found.remaining),
        )
        if says != counted
    ]
    return [*wrong, *(sentence for check in INVARIANTS if (sentence := check(found)))]
