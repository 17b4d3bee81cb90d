"""What a posted use takes from its credit, or why it is refused (rules 7 to 10). Pure.

This path looks at the amount alone, as the imitated system does; what eligibility would have
said against it is only marked on the line. This module must not know how a line is stored.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from creditdesk.ledger.journal.context import NAMED, Facts
from creditdesk.ledger.journal.entry import CreditKind, LineKind
from creditdesk.ledger.journal.mapping import Side, may_see, unknown
from creditdesk.ledger.journal.transaction import Book, Locked, Why, Written, is_charge
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import LedgerPolicy, SourceKind, WindowTest
from creditdesk.ledger.rules.units import ChargePeriod, units
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import FieldError, Invalid, invalid
from creditdesk.schema.fields import Money, show_scaled
from creditdesk.schema.service import Call

_SET_BY_LEDGER = frozenset({"Id", "CreatedOn", "UpdatedOn", "UniqueId", "UpdatedBy", "CreditUsed"})

Named = tuple[SourceKind, Record] | None
"""The one thing a use says it paid."""


def post_use(
    book: Book, facts: Facts, side: Side, use: Record, call: Call, policy: LedgerPolicy
) -> Written:
    """Writes the use on its credit, or raises Invalid and leaves the book as it was."""
    credit = book.credits.get((side.kind, use[side.reference] or 0))
    if credit is None or not may_see(call.caller, credit.record["BusinessId"]):
        raise unknown(side.relation, use[side.reference])
    if is_charge(side, credit.record):
        raise invalid(side.relation, "is a booking charge and has no balance (rule 5)")
    named = _named(use, facts, call)
    amount = use["CreditUsed"] if side.kind is CreditKind.MONEY else _uses(credit, named, facts)
    _refuse_amount(side, credit, amount)
    strays = _outside_window(credit, named, facts, policy, book.now) or amount is None
    if strays and policy.strict_posts:
        raise invalid(side.relation, _stray_sentence(amount))
    why = Why(
        actor=call.caller.email,
        reason=use.get("Description") or "",
        source_kind=named[0].value if named else None,
        source_id=named[1]["Id"] if named else None,
        idempotency_key=call.key,
        override=strays,
        customer_id=_customer(named, facts),
    )
    history = {**_own_values(use), "CreditUsed": amount}
    return book.write(credit.account, LineKind.USE, amount or 0, why, history)


def _named(use: Record, facts: Facts, call: Call) -> Named:
    given = [name for name in NAMED if use.get(name)]
    if len(given) > 1:
        relation = NAMED[given[1]][0]
        raise invalid(
            relation, "a use names one booking, invoice line or event attendance (rule 10)"
        )
    for name in given:
        relation, _, kind = NAMED[name]
        source = facts.source(kind, use[name])
        if source is None or not may_see(call.caller, facts.business_id(kind, source)):
            raise unknown(relation, use[name])
        return kind, source
    return None


def _customer(named: Named, facts: Facts) -> int | None:
    """Whose the named source is: a posted use is not capped, but it counts (rules 8, 16)."""
    if named is None:
        return None
    kind, source = named
    above = (
        facts.invoices.get(source["CoworkerInvoiceId"])
        if kind is SourceKind.INVOICE_LINE
        else source
    )
    return above["CoworkerId"] if above else None


def _uses(credit: Locked, named: Named, facts: Facts) -> Amount | None:
    """The uses that a booking takes (rules 9, 20); None where no length is known."""
    rate = facts.rates.get(credit.record["ExtraServiceId"])
    period = ChargePeriod(rate["ChargePeriod"]) if rate else ChargePeriod.USES
    if named is None:
        return 1 if period is ChargePeriod.USES else None
    _, booking = named
    if booking["ToTime"] <= booking["FromTime"]:
        raise invalid("Booking", "does not end after it starts")
    clock = facts.clock(facts.business_id(SourceKind.BOOKING, booking))
    return units(
        period,
        booking["FromTime"],
        booking["ToTime"],
        clock.zone,
        interval_minutes=clock.interval_minutes,
        per_night=bool(rate and rate["UsePerNightPricing"]),
    )


def _refuse_amount(side: Side, credit: Locked, amount: Amount | None) -> None:
    if amount is None:
        return
    if amount < 0:
        raise _wrong_amount(side, amount, "must not be negative; a use is undone by REVERSE_USE")
    if amount > credit.remaining + credit.overdraft:
        left = side.shown(credit.remaining + credit.overdraft)
        rule = 7 if side.kind is CreditKind.MONEY else 9
        raise _wrong_amount(side, amount, f"is more than the {left} that remains (rule {rule})")
    if amount > credit.available + credit.overdraft:
        left = side.shown(credit.available + credit.overdraft)
        raise _wrong_amount(side, amount, f"is more than the {left} that is not held (rule 26)")


def _wrong_amount(side: Side, amount: Amount, sentence: str) -> Invalid:
    shown = Decimal(show_scaled(amount, Money.places)) if side.kind is CreditKind.MONEY else amount
    return Invalid(FieldError("CreditUsed", sentence, shown))


def _outside_window(
    credit: Locked, named: Named, facts: Facts, policy: LedgerPolicy, now: datetime
) -> bool:
    """Whether eligibility would have refused the credit for its dates (rules 8, 12)."""
    at = now
    if named is not None and policy.window_test is WindowTest.SERVICE_START:
        at = facts.starts(*named) or now
    starts, ends = credit.record["ValidFrom"], credit.record["ExpireDate"]
    return (starts is not None and starts > at) or (ends is not None and ends <= at)


def _stray_sentence(amount: Amount | None) -> str:
    if amount is None:
        return "needs a booking, for no length of the use is known (rule 9)"
    return "is not valid at this time (rule 8, strict posts)"


def _own_values(use: Record) -> dict[str, Any]:
    return {
        name: value
        for name, value in use.items()
        if value is not None and name not in _SET_BY_LEDGER
    }
