"""Compares the balances of a credit with its journal, replayed (rules 2 and 34)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from creditdesk.audit.amount_text import amount_text
from creditdesk.audit.findings import AuditFinding, FindingCode, difference
from creditdesk.ledger.journal.entry import JournalEntry
from creditdesk.ledger.journal.invariants import INVARIANTS, AccountBalances, replay
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.rules.amounts import Amount


def balance_differences(
    mapping: CreditTypeMapping,
    stored: AccountBalances,
    entries: Sequence[JournalEntry],
    history_used: Amount,
    currency: str | None,
) -> Iterator[AuditFinding]:
    """The differences between a credit, its journal and its use history.

    `history_used` is the sum of `CreditUsed` over the credit's history rows.
    """
    found = replace(replay(entries), overdraft=stored.overdraft)
    for code, what, value, expected in (
        (FindingCode.REMAINING, "remaining", stored.remaining, found.remaining),
        (FindingCode.HELD, "held", stored.held, found.held),
        (FindingCode.TOTAL, "total", stored.total, found.total),
        (FindingCode.USED, "used by the history", history_used, found.total - found.remaining),
    ):
        if value != expected:
            texts = (amount_text(mapping, amount, currency) for amount in (value, expected))
            yield difference(code, what, *texts)
    if stored.sequence != found.sequence:
        yield difference(FindingCode.LINE_COUNT, "the number of lines", str(stored.sequence), str(found.sequence))
    for check in INVARIANTS:
        if message := check(found):
            yield AuditFinding(code=FindingCode.IMPOSSIBLE_BALANCE, message=message)
