"""What a posted use takes from its credit, or why it is refused (rules 7 to 10). Pure.

This path looks at the amount alone, as the imitated system does; what eligibility would have
said against it is only marked on the line. This module must not know how a line is stored.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import CreditTypeMapping, unknown_reference
from creditdesk.ledger.journal.transaction import (
    EntryMetadata,
    JournalTransaction,
    LockedAccount,
    PendingEntry,
)
from creditdesk.ledger.loaders.use_references import SOURCE_LINKS, UseReferences
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.rules.units import ChargePeriod, units
from creditdesk.schema.conversions import format_decimal
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import FieldError, ValidationError, invalid_field
from creditdesk.schema.fields import Money
from creditdesk.schema.service import RequestContext
from creditdesk.settings import LedgerSettings, ValidityInstant

_LEDGER_FIELDS = frozenset({"Id", "CreatedOn", "UpdatedOn", "UniqueId", "UpdatedBy", "CreditUsed"})

NamedSource = tuple[SourceKind, Record] | None
"""The one thing a use says it paid."""


def post_use(
    journal: JournalTransaction,
    facts: UseReferences,
    mapping: CreditTypeMapping,
    use: Record,
    context: RequestContext,
    settings: LedgerSettings,
) -> PendingEntry:
    """Writes the use on its credit, or raises Invalid and leaves the book as it was."""
    credit = journal.accounts.get((mapping.account_type, use[mapping.credit_reference] or 0))
    if credit is None or not context.principal.sees_location(credit.stored.business_id):
        raise unknown_reference(mapping.credit_relation, use[mapping.credit_reference])
    if credit.stored.is_booking_charge:
        raise invalid_field(
            mapping.credit_relation, "is a booking charge and has no balance (rule 5)"
        )
    named = _named_source(use, facts, context)
    amount = (
        use["CreditUsed"]
        if mapping.account_type is AccountType.MONEY
        else _units_used(credit, named, facts)
    )
    _require_available(mapping, credit, amount)
    out_of_window = _is_out_of_window(credit, named, facts, settings, journal.now) or amount is None
    if out_of_window and settings.strict_posts:
        raise invalid_field(mapping.credit_relation, _out_of_window_message(amount))
    metadata = EntryMetadata(
        actor=context.principal.email,
        reason=use.get("Description") or "",
        source_kind=named[0].value if named else None,
        source_id=named[1]["Id"] if named else None,
        idempotency_key=context.idempotency_key,
        override=out_of_window,
        customer_id=_source_customer(named, facts),
    )
    history = {**_own_values(use), "CreditUsed": amount}
    return journal.append(credit.account, EntryType.USE, amount or 0, metadata, history)


def _named_source(use: Record, facts: UseReferences, context: RequestContext) -> NamedSource:
    given = [name for name in SOURCE_LINKS if use.get(name)]
    if len(given) > 1:
        relation = SOURCE_LINKS[given[1]][0]
        raise invalid_field(
            relation, "a use names one booking, invoice line or event attendance (rule 10)"
        )
    for name in given:
        relation, _, kind = SOURCE_LINKS[name]
        source = facts.source_record(kind, use[name])
        if source is None or not context.principal.sees_location(facts.business_id(kind, source)):
            raise unknown_reference(relation, use[name])
        return kind, source
    return None


def _source_customer(named: NamedSource, facts: UseReferences) -> int | None:
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


def _units_used(credit: LockedAccount, named: NamedSource, facts: UseReferences) -> Amount | None:
    """The uses that a booking takes (rules 9, 20); None where no length is known."""
    rate = facts.rates.get(credit.stored.rate_id or 0)
    period = ChargePeriod(rate["ChargePeriod"]) if rate else ChargePeriod.USES
    if named is None:
        return 1 if period is ChargePeriod.USES else None
    _, booking = named
    if booking["ToTime"] <= booking["FromTime"]:
        raise invalid_field("Booking", "does not end after it starts")
    clock = facts.clock(facts.business_id(SourceKind.BOOKING, booking))
    return units(
        period,
        booking["FromTime"],
        booking["ToTime"],
        clock.zone,
        interval_minutes=clock.interval_minutes,
        per_night=bool(rate and rate["UsePerNightPricing"]),
    )


def _require_available(
    mapping: CreditTypeMapping, credit: LockedAccount, amount: Amount | None
) -> None:
    if amount is None:
        return
    if amount < 0:
        raise _amount_error(mapping, amount, "must not be negative; a use is undone by REVERSE_USE")
    if amount > credit.remaining + credit.overdraft:
        left = mapping.format_amount(credit.remaining + credit.overdraft)
        rule = 7 if mapping.account_type is AccountType.MONEY else 9
        raise _amount_error(mapping, amount, f"is more than the {left} that remains (rule {rule})")
    if amount > credit.unreserved + credit.overdraft:
        left = mapping.format_amount(credit.unreserved + credit.overdraft)
        raise _amount_error(mapping, amount, f"is more than the {left} that is not held (rule 26)")


def _amount_error(mapping: CreditTypeMapping, amount: Amount, message: str) -> ValidationError:
    shown = (
        Decimal(format_decimal(amount, Money.places))
        if mapping.account_type is AccountType.MONEY
        else amount
    )
    return ValidationError(FieldError("CreditUsed", message, shown))


def _is_out_of_window(
    credit: LockedAccount,
    named: NamedSource,
    facts: UseReferences,
    settings: LedgerSettings,
    now: datetime,
) -> bool:
    """Whether eligibility would have refused the credit for its dates (rules 8, 12)."""
    at = now
    if named is not None and settings.validity_instant is ValidityInstant.SERVICE_START:
        at = facts.starts(*named) or now
    starts, ends = credit.stored.valid_from, credit.stored.expires
    return (starts is not None and starts > at) or (ends is not None and ends <= at)


def _out_of_window_message(amount: Amount | None) -> str:
    if amount is None:
        return "needs a booking, for no length of the use is known (rule 9)"
    return "is not valid at this time (rule 8, strict posts)"


def _own_values(use: Record) -> dict[str, Any]:
    return {
        name: value
        for name, value in use.items()
        if value is not None and name not in _LEDGER_FIELDS
    }
