"""Finds exceptions in a view of the ledger; each rule is one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from creditdesk.ledger.journal.entry import EntryType, balance_change
from creditdesk.ledger.journal.reasons import OPENING_REASON, VOID_REASON
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.reports.exception_rules import ExceptionCode, LedgerException
from creditdesk.reports.exception_values import ExceptionFacts
from creditdesk.reports.ledger_view import CreditHistory, LedgerView
from creditdesk.reports.open_uses import open_uses
from creditdesk.reports.statement import credit_number, source_text

_UNSTATED: Final = frozenset({"", VOID_REASON})


def find_exceptions(view: LedgerView, facts: ExceptionFacts) -> list[LedgerException]:
    """Every exception of the view, the most severe first, then by location and credit."""
    found = [each for rule in _RULES for each in rule(view, facts)]
    order = ("high", "medium", "low")
    found.sort(key=lambda each: (order.index(each.rule.severity), each.business_id, each.code, each.subject))
    return found


def _of_credit(
    history: CreditHistory, code: ExceptionCode, detail: str, explanation: str, amount: Amount | None, since: int | None
) -> LedgerException:
    credit = history.credit
    subject = f"{credit.account_type}/{credit.id}{detail}"
    return LedgerException(code, credit.business_id, subject, explanation, credit, credit.customer_id, amount, since)


def _balances(view: LedgerView, _facts: ExceptionFacts) -> Iterator[LedgerException]:
    if view.request.ends is not None or view.request.as_known_at is not None:
        # A record has only its current balance.
        return
    for history in view.histories:
        credit = history.credit
        known = history.entries[-1].balance_after if history.entries else 0
        if credit.remaining is not None and credit.remaining != known:
            amount = credit.remaining - known
            difference = credit_number(credit, abs(amount))
            explanation = (
                "No journal entry explains this credit"
                if not history.entries
                else f"The record shows {difference} more than its journal"
                if amount > 0
                else f"The record shows {difference} less than its journal"
            )
            yield _of_credit(history, ExceptionCode.BALANCE, "", explanation, amount, None)


def _overrides(view: LedgerView, _facts: ExceptionFacts) -> Iterator[LedgerException]:
    for history, entry, left in open_uses(view):
        if entry.override:
            explanation = (
                f"Entry {entry.id} by {entry.actor} on {source_text(entry)}"
                if entry.source_kind
                else f"Entry {entry.id} by {entry.actor} on nothing named"
            )
            yield _of_credit(history, ExceptionCode.OVERRIDE, f"/{entry.sequence}", explanation, left, entry.at)


def _uses_without_source(view: LedgerView, _facts: ExceptionFacts) -> Iterator[LedgerException]:
    for history, entry, left in open_uses(view):
        if history.credit.credit_type is CreditType.PRINTING:
            # A posted use of printing credit has no field for the print job.
            continue
        if not entry.source_kind and entry.reason != OPENING_REASON and not entry.override:
            explanation = (
                f"Entry {entry.id} by {entry.actor}: {entry.reason}"
                if entry.reason
                else f"Entry {entry.id} by {entry.actor}: no reason"
            )
            yield _of_credit(history, ExceptionCode.NO_SOURCE, f"/{entry.sequence}", explanation, left, entry.at)


def _unrecorded_expiries(view: LedgerView, _facts: ExceptionFacts) -> Iterator[LedgerException]:
    for history in view.histories:
        credit = history.credit
        end = view.ends(credit, view.request.ends)
        position = view.position(history, end)
        if not position.is_expired or position.remaining - position.held <= 0 or not history.entries:
            continue
        states = [e for e in history.entries if e.kind in (EntryType.EXPIRY, EntryType.REOPENING)]
        if not states or states[-1].kind is EntryType.REOPENING or states[-1].effective != credit.expires:
            explanation = "The expiry job has not run since it expired"
            amount = position.remaining - position.held
            yield _of_credit(history, ExceptionCode.EXPIRY_NOT_RECORDED, "", explanation, amount, credit.expires)


def _overdrawn(view: LedgerView, _facts: ExceptionFacts) -> Iterator[LedgerException]:
    for history in view.histories:
        credit = history.credit
        if credit.credit_type is not CreditType.PRINTING:
            continue
        position = view.position(history, view.ends(credit, view.request.ends))
        if position.remaining < 0:
            explanation = f"Its overdraft is {credit.overdraft} prints"
            last = history.entries[-1].at
            yield _of_credit(history, ExceptionCode.OVERDRAWN, "", explanation, position.remaining, last)


def _without_reason(view: LedgerView, _facts: ExceptionFacts) -> Iterator[LedgerException]:
    for history in view.histories:
        for entry in history.entries:
            by_hand = entry.kind in (EntryType.ADJUSTMENT, EntryType.VOID) and "@" in entry.actor
            if by_hand and entry.amount and entry.reason.strip() in _UNSTATED:
                change = balance_change(entry.kind, entry.amount)
                explanation = f"Entry {entry.id}, a {entry.kind.value} by {entry.actor}"
                yield _of_credit(history, ExceptionCode.NO_REASON, f"/{entry.sequence}", explanation, change, entry.at)


def _granted_twice(view: LedgerView, _facts: ExceptionFacts) -> Iterator[LedgerException]:
    first: dict[str, int] = {}
    for history in view.histories:
        credit = history.credit
        if not credit.benefit_key or credit.continues is not None or not history.entries:
            continue
        known = first.setdefault(f"{credit.account_type}/{credit.benefit_key}", credit.id)
        position = view.position(history, view.ends(credit, view.request.ends))
        if known != credit.id and position.remaining > 0:
            explanation = f"Credit {known} was granted for the same benefit and period"
            granted = history.entries[0].at
            yield _of_credit(history, ExceptionCode.GRANTED_TWICE, "", explanation, position.remaining, granted)


def _others(_view: LedgerView, facts: ExceptionFacts) -> Iterator[LedgerException]:
    yield from facts.found


_RULES: Final[tuple[Callable[[LedgerView, ExceptionFacts], Iterator[LedgerException]], ...]] = (
    _balances, _overrides, _uses_without_source, _unrecorded_expiries, _overdrawn, _without_reason,
    _granted_twice, _others,
)  # fmt: skip
