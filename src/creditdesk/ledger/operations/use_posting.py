"""What a posted use takes from its credit, or why it is rejected (rules 7 to 10). Pure.

Only the amount decides, as in the imitated system; what eligibility would have rejected is marked
on the entry.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from creditdesk.ledger.journal.accounts import EntryMetadata, LockedAccount, PendingEntry
from creditdesk.ledger.journal.causes import SOURCE_CAUSES
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.journal.transaction import JournalTransaction
from creditdesk.ledger.loaders.use_references import UseReferences
from creditdesk.ledger.loaders.uses import HISTORY_REFERENCES, PostedUse
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKey
from creditdesk.ledger.rules.units import ChargePeriod, units
from creditdesk.schema.conversions import format_decimal
from creditdesk.schema.errors import FieldError, ValidationError, invalid_field
from creditdesk.schema.fields import Money
from creditdesk.schema.service import RequestContext
from creditdesk.schema.validation import NOT_FOUND_MESSAGE
from creditdesk.settings import LedgerSettings, ValidityInstant


def post_use(
    journal: JournalTransaction,
    references: UseReferences,
    mapping: CreditTypeMapping,
    use: PostedUse,
    context: RequestContext,
    settings: LedgerSettings,
) -> PendingEntry:
    """Writes the use on its credit. Raises ValidationError and leaves the journal as it was."""
    credit = _require_references(journal, references, mapping, use, context)
    if credit.stored.is_booking_charge:
        raise invalid_field(mapping.credit_relation, "is a booking charge and has no balance")
    source = _named_source(use)
    amount = use.amount if mapping.account_type is AccountType.MONEY else _units_used(credit, source, references)
    _require_available(mapping, credit, amount)
    out_of_window = amount is None or _is_out_of_window(credit, source, references, settings, journal.now)
    if out_of_window and settings.strict_posts:
        raise invalid_field(mapping.credit_relation, _out_of_window_message(amount))
    metadata = EntryMetadata(
        actor=context.principal.email,
        cause=SOURCE_CAUSES[source.kind.value if source else None],
        reason=use.description,
        source_kind=source.kind.value if source else None,
        source_id=source.id if source else None,
        idempotency_key=context.idempotency_key,
        override=out_of_window,
        # A posted use is not capped, but it counts toward its customer's caps (rules 8, 16).
        customer_id=references.items.customer_id(source) if source else None,
    )
    history = {**use.values, "CreditUsed": amount}
    return journal.append(credit.account, EntryType.USE, amount or 0, metadata, history)


def _require_references(
    journal: JournalTransaction,
    references: UseReferences,
    mapping: CreditTypeMapping,
    use: PostedUse,
    context: RequestContext,
) -> LockedAccount:
    """The credit of the use. Raises ValidationError for every reference out of the caller's sight."""
    sees = context.principal.sees_location
    errors: list[FieldError] = []
    credit = journal.accounts.get((mapping.account_type, use.credit_id or 0))
    if credit is None or not sees(credit.stored.business_id):
        errors.append(FieldError(mapping.credit_relation, NOT_FOUND_MESSAGE, use.credit_id))
    for key in use.named:
        items = references.items
        if key not in items.rows or not sees(items.business_id(key)):
            errors.append(FieldError(_relation(key), NOT_FOUND_MESSAGE, key.id))
    if errors or credit is None:
        raise ValidationError(*errors)
    return credit


def _named_source(use: PostedUse) -> SourceKey | None:
    """The one item that the use says it paid. Raises ValidationError for several."""
    if len(use.named) > 1:
        raise invalid_field(_relation(use.named[1]), "a use names one booking, invoice line or event attendance")
    return use.named[0] if use.named else None


def _relation(key: SourceKey) -> str:
    return HISTORY_REFERENCES[key.kind].removesuffix("Id")


def _units_used(credit: LockedAccount, source: SourceKey | None, references: UseReferences) -> Amount | None:
    """The uses that a booking takes (rules 9, 20); None where no length is known."""
    rate = references.rates.get(credit.stored.rate_id or 0)
    period = rate.charge_period if rate else ChargePeriod.USES
    booking = references.booking(source) if source else None
    if source is None or booking is None:
        return 1 if period is ChargePeriod.USES else None
    if booking.from_time is None or booking.to_time is None:
        raise invalid_field("Booking", "has no times")
    if booking.to_time <= booking.from_time:
        raise invalid_field("Booking", "does not end after it starts")
    clock = references.clock_of(source)
    return units(
        period,
        booking.from_time,
        booking.to_time,
        clock.zone,
        interval_minutes=clock.interval_minutes,
        per_night=bool(rate and rate.use_per_night_pricing),
    )


def _require_available(mapping: CreditTypeMapping, credit: LockedAccount, amount: Amount | None) -> None:
    if amount is None:
        return
    if amount < 0:
        raise _amount_error(mapping, amount, "must not be negative; a use is undone by REVERSE_USE")
    if amount > credit.remaining + credit.overdraft:
        left = mapping.format_amount(credit.remaining + credit.overdraft)
        raise _amount_error(mapping, amount, f"exceeds the remaining credit of {left}")
    if amount > credit.unreserved + credit.overdraft:
        left = mapping.format_amount(credit.unreserved + credit.overdraft)
        raise _amount_error(mapping, amount, f"exceeds the credit of {left} that is not held")


def _amount_error(mapping: CreditTypeMapping, amount: Amount, message: str) -> ValidationError:
    attempted = Decimal(format_decimal(amount, Money.places)) if mapping.account_type is AccountType.MONEY else amount
    return ValidationError(FieldError("CreditUsed", message, attempted))


def _is_out_of_window(
    credit: LockedAccount,
    source: SourceKey | None,
    references: UseReferences,
    settings: LedgerSettings,
    now: datetime,
) -> bool:
    """Whether eligibility would have rejected the credit for its dates (rules 8, 12)."""
    instant = now
    if source is not None and settings.validity_instant is ValidityInstant.SERVICE_START:
        instant = references.starts(source) or now
    starts, ends = credit.stored.valid_from, credit.stored.expires
    return (starts is not None and starts > instant) or (ends is not None and ends <= instant)


def _out_of_window_message(amount: Amount | None) -> str:
    if amount is None:
        return "needs a booking: the length of the use is unknown"
    return "is not valid at this time, and strict posts are on"
