"""Invariants of a credit's balances, checked before every write and by `verify`.

Each check returns a message about what is wrong, or None. Nothing is repaired (rule 34).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from creditdesk.ledger.journal.entry import RAISES_TOTAL, EntryType, JournalEntry
from creditdesk.ledger.rules.amounts import Amount


class AccountBalances(Struct, frozen=True, gc=False):
    """A credit's balances in its smallest unit, and the number of its journal entries.

    `overdraft` is how far below zero it may go; only printing credit may have one (rule 33).
    """

    remaining: Amount
    held: Amount
    total: Amount
    sequence: int
    overdraft: Amount = 0


Invariant = Callable[[AccountBalances], str | None]


def remaining_within_overdraft(balances: AccountBalances) -> str | None:
    """Nothing is drawn beyond the credit and its overdraft (rules 2 and 33)."""
    if balances.remaining >= -balances.overdraft:
        return None
    return "less remains than its overdraft allows" if balances.overdraft else "less than nothing remains"


def remaining_within_total(balances: AccountBalances) -> str | None:
    """No more remains than was granted (rule 2)."""
    return "more remains than was granted" if balances.remaining > balances.total else None


def holds_within_remaining(balances: AccountBalances) -> str | None:
    """Holds reserve only what remains, and none is released twice (rule 26)."""
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
    """An operation would violate an invariant; its transaction is rolled back."""


def check_invariants(balances: AccountBalances, credit: object) -> None:
    """Raises InvariantViolation with the credit as text and a message for each invariant that does not hold."""
    if violations := [message for check in INVARIANTS if (message := check(balances))]:
        raise InvariantViolation(f"{credit}: {'; '.join(violations)}")


def replay_steps(
    entries: Iterable[JournalEntry],
) -> Iterator[tuple[JournalEntry, AccountBalances]]:
    """Each entry with the balances after it, from kinds and amounts alone (rule 34)."""
    remaining = held = total = 0
    for count, entry in enumerate(entries, 1):
        remaining += entry.balance_change
        held += entry.held_change
        if entry.kind is EntryType.GRANT:
            total += entry.amount
        elif entry.kind is EntryType.VOID:
            total -= entry.amount
        elif entry.kind in RAISES_TOTAL:
            total = max(total, remaining)
        yield entry, AccountBalances(remaining, held, total, count)


def replay(entries: Iterable[JournalEntry]) -> AccountBalances:
    """The balances after these entries, from their kinds and amounts alone (rule 34)."""
    balances = AccountBalances(0, 0, 0, 0)
    for _, balances in replay_steps(entries):  # noqa: B007 - the last one counts
        pass
    return balances
