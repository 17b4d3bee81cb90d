"""Creates, updates and deletes of credits, uses and bookings over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from creditdesk.ledger.journal.accounts import EntryMetadata, LockedAccount
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import (
    MAPPINGS_BY_CREDIT,
    MAPPINGS_BY_HISTORY,
    CreditTypeMapping,
    credit_terms,
    stored_credit,
    stored_use,
)
from creditdesk.ledger.journal.transaction import JournalTransaction, LedgerContext
from creditdesk.ledger.journal.values import CreditTerms, StoredCredit
from creditdesk.ledger.loaders.bookings import BookingWrite, LockedBooking
from creditdesk.ledger.loaders.rates import load_rates, total_price
from creditdesk.ledger.loaders.rows import to_row
from creditdesk.ledger.operations.booking_numbers import next_booking_number
from creditdesk.ledger.operations.bookings import charge_bookings, decide_again
from creditdesk.ledger.operations.corrections import NewCredit, grant, require_total_covers_used
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.operations.reassignment import require_reassignable
from creditdesk.ledger.operations.term_changes import change_expiry, require_window, write_changes
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import FieldError, StateConflict, ValidationError, invalid_field
from creditdesk.schema.fields import MAX_INTEGER
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import EntityService, Principal, RequestContext

ALREADY_CHARGED: Final = "This booking has already been charged to this customer."
MUTABLE_USE_FIELDS: Final = frozenset({"Description", "SystemId", "CustomFields"})
"""What a PUT may change on a use (rule 11)."""
_DECIDING_FIELDS: Final = (
    *("FromTime", "ToTime", "ResourceId", "ExtraServiceId", "OverridePrice"),
    *("CoworkerId", "Tentative", "DoNotUseBookingCredit"),
)
"""The fields of a booking that decide who pays and how much (rules 15, 25)."""
MIN_YEAR: Final = 1900
MAX_YEAR: Final = 9998


class CreditService:
    """Creates, changes and removes credits of either type (rules 2, 5, 6, 28)."""

    def __init__(self, ledger: LedgerContext) -> None:
        self.ledger = ledger

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        mapping = MAPPINGS_BY_CREDIT[entity]
        record = await self.prepare(session, mapping, record)
        terms = credit_terms(mapping, record)
        if terms.is_booking_charge:
            charge = {**record, mapping.remaining_field: 0}
            (charge_id,) = await session.insert(
                entity, [new_record(entity, charge, context.now, context.principal.email)]
            )
            return charge_id
        (credit_id,) = await grant(session, mapping, [NewCredit(terms.total, record)], context, self.ledger)
        return credit_id

    async def prepare(self, session: WriteSession, mapping: CreditTypeMapping, record: Record) -> Record:
        """The record of a credit to grant, its price filled in. Raises ValidationError."""
        terms = credit_terms(mapping, record)
        _validate_terms(mapping, terms)
        if mapping.account_type is AccountType.TIME and terms.price is None:
            return {**record, "Price": await _default_price(session, terms)}
        return record

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        mapping = MAPPINGS_BY_CREDIT[entity]
        credit = stored_credit(mapping, before)
        terms = credit_terms(mapping, {**before, **record})
        _validate_terms(mapping, terms)
        _validate_changes(credit, terms)
        set_by_ledger = (mapping.remaining_field, mapping.total_field, "Id")
        values = {name: value for name, value in record.items() if name not in set_by_ledger}
        values |= update_stamp(context.now, context.principal.email)
        was_priced = credit_terms(mapping, before).price is not None
        if mapping.account_type is AccountType.TIME and was_priced and terms.price is None:
            values |= {"Price": await _default_price(session, terms)}
        if credit.is_booking_charge:
            values |= {name: record[name] for name in (mapping.total_field,) if name in record}
            await session.update(entity, [(credit.id, values)])
            return
        account = (mapping.account_type, credit.id)
        journal = await lock_accounts(session, [account], self.ledger.clock)
        await require_reassignable(session, journal.accounts[account], terms)
        write_changes(journal, journal.accounts[account], before, values, context)
        _change_total(journal, journal.accounts[account], terms.total, context)
        change_expiry(journal, journal.accounts[account], terms.expires, context)
        await session.update(entity, [(credit.id, values)])
        await journal.flush(session)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        mapping = MAPPINGS_BY_CREDIT[entity]
        credit = stored_credit(mapping, before)
        if not credit.is_booking_charge:
            account = (mapping.account_type, credit.id)
            journal = await lock_accounts(session, [account], self.ledger.clock)
            locked = journal.accounts[account]
            if locked.sequence > 1 or locked.remaining != locked.total:
                raise StateConflict(
                    f"This credit has {locked.sequence} journal lines and cannot be deleted: void it instead."
                )
            # The journal outlives the credit, so its balance must end at zero.
            metadata = EntryMetadata(context.principal.email, Cause.DELETED, "deleted")
            journal.append(account, EntryType.VOID, locked.total, metadata)
            await journal.flush(session)
        await session.delete(entity, [credit.id])


class UseService:
    """Changes the description of a money use; uses are posted through the spend queue (rule 11)."""

    def __init__(self, ledger: LedgerContext) -> None:
        self.ledger = ledger

    async def create(
        self,
        session: WriteSession,  # noqa: ARG002 - the protocol `EntityService` names them
        entity: type[Entity],  # noqa: ARG002
        record: Record,  # noqa: ARG002
        context: RequestContext,  # noqa: ARG002
    ) -> int:
        raise TypeError("A use is posted through the queue of spends.")

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        mapping = MAPPINGS_BY_HISTORY[entity]
        _validate_use_changes(entity, before, record)
        changed = {name: record[name] for name in MUTABLE_USE_FIELDS if name in record}
        use = stored_use(mapping, before)
        if changed.get("Description") != use.description:
            account = (mapping.account_type, use.credit_id or 0)
            journal = await lock_accounts(session, [account], self.ledger.clock)
            metadata = EntryMetadata(
                context.principal.email,
                Cause.DESCRIPTION_CHANGED,
                f"description of use #{use.id} was: {use.description or ''}",
                "use_history",
                use.id,
                context.idempotency_key,
            )
            journal.append(account, EntryType.ADJUSTMENT, 0, metadata)
            await journal.flush(session)
        await session.update(entity, [(use.id, {**changed, **update_stamp(context.now, context.principal.email)})])

    async def delete(
        self,
        session: WriteSession,  # noqa: ARG002 - the protocol `EntityService` names them
        entity: type[Entity],  # noqa: ARG002
        before: Record,  # noqa: ARG002
        context: RequestContext,  # noqa: ARG002
    ) -> None:
        raise StateConflict(
            "A use cannot be deleted, as it is part of the journal. Reverse it with the command REVERSE_USE."
        )


class BookingService:
    """Writes bookings as `default_service` does, and charges or recalculates them (rules 23 to 25).

    `authorize_charge` raises PermissionDenied for a principal that may not charge a booking.
    """

    def __init__(
        self,
        ledger: LedgerContext,
        default_service: EntityService,
        authorize_charge: Callable[[Principal], None] = lambda _principal: None,
    ) -> None:
        self.ledger = ledger
        self.default_service = default_service
        self._authorize_charge = authorize_charge

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        _validate_times(BookingWrite.of(record))
        write = BookingWrite.of(record)
        number = await next_booking_number(session, write.resource_id, context.now)
        numbered = {**record, "BookingNumber": number}
        booking_id = await self.default_service.create(session, entity, numbered, context)
        if write.is_charged_now:
            self._authorize_charge(context.principal)
            await charge_bookings(session, [booking_id], context, self.ledger)
        return booking_id

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        booking, write = to_row(LockedBooking, before), BookingWrite.of(record)
        if (write.from_time, write.to_time) != (booking.from_time, booking.to_time):
            _validate_times(write)
        await self.default_service.update(session, entity, before, record, context)
        if not booking.invoiced:
            if BookingWrite.of(record).is_charged_now:
                self._authorize_charge(context.principal)
                await charge_bookings(session, [booking.id], context, self.ledger)
        elif any(_differs(record.get(name, before[name]), before[name]) for name in _DECIDING_FIELDS):
            await decide_again(session, booking.id, context, self.ledger)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        if to_row(LockedBooking, before).invoiced:
            raise StateConflict(ALREADY_CHARGED)
        await self.default_service.delete(session, entity, before, context)


def _differs(value: object, before: object) -> bool:
    """Whether a field changes; an unset flag counts as false."""
    return (None if value is False else value) != (None if before is False else before)


def _validate_times(booking: BookingWrite) -> None:
    """A booking ends after it starts, in years whose local dates the calendar has (rule 20)."""
    errors = [
        FieldError(name, f"must be in the years {MIN_YEAR} to {MAX_YEAR}", format_datetime(instant))
        for name, instant in (("FromTime", booking.from_time), ("ToTime", booking.to_time))
        if instant is not None and not MIN_YEAR <= instant.year <= MAX_YEAR
    ]
    if booking.from_time and booking.to_time and booking.to_time <= booking.from_time:
        sent = format_datetime(booking.to_time)
        errors.append(FieldError("ToTime", "must be later than FromTime", sent))
    if errors:
        raise ValidationError(*errors)


def _change_total(journal: JournalTransaction, locked: LockedAccount, total: Amount, context: RequestContext) -> None:
    require_total_covers_used(locked.mapping, locked, total)
    metadata = EntryMetadata(
        context.principal.email, Cause.TOTAL_CHANGED, "total changed", idempotency_key=context.idempotency_key
    )
    if total > locked.total:
        journal.append(locked.account, EntryType.GRANT, total - locked.total, metadata)
    elif total < locked.total:
        journal.append(locked.account, EntryType.VOID, locked.total - total, metadata)


def _validate_terms(mapping: CreditTypeMapping, terms: CreditTerms) -> None:
    if terms.total < 0:
        raise invalid_field(mapping.total_field, "must not be negative", mapping.format_amount(terms.total))
    require_window(terms.valid_from, terms.expires)


def _validate_changes(credit: StoredCredit, terms: CreditTerms) -> None:
    if terms.business_id != credit.business_id:
        raise invalid_field("Business", "cannot be changed", terms.business_id)
    if credit.overdraft and terms.rate_id != credit.rate_id:
        raise invalid_field(
            "ExtraService",
            "cannot be changed while the credit has an overdraft: set the overdraft to 0 first",
        )
    if credit.is_booking_charge != terms.is_booking_charge:
        raise invalid_field("BookingId", "cannot turn a credit into a booking charge, or a charge into a credit")


def _validate_use_changes(entity: type[Entity], before: Record, record: Record) -> None:
    """Only a value that was sent can differ: references that were left out stay as they are."""
    unchecked = {*MUTABLE_USE_FIELDS, "UpdatedOn", "UpdatedBy"}
    for column in entity.meta().stored_columns:
        name = column.name
        if name in unchecked or record.get(name) is None:
            continue
        if record[name] != before[name]:
            raise invalid_field(column.leaf, "cannot be changed; reverse the use with the command REVERSE_USE")


async def _default_price(session: WriteSession, terms: CreditTerms) -> Amount:
    """The price of time credit without a price: its rate's price for all of its uses.

    Raises ValidationError if the price exceeds the largest amount.
    """
    if terms.is_free or terms.rate_id is None:
        return 0
    rate = (await load_rates(session, [terms.rate_id])).get(terms.rate_id)
    price = 0 if rate is None else total_price(rate.price, rate, terms.total, rate.currency_code or "") or 0
    if abs(price) > MAX_INTEGER:
        raise invalid_field("TotalUses", "is too much at the price of its rate", terms.total)
    return price
