"""What a create, update or delete on the wire means for credits, uses and bookings.

Implements the promise `Writer`. This module must not know requests or how answers look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import (
    MAPPINGS_BY_CREDIT,
    MAPPINGS_BY_HISTORY,
    CreditTypeMapping,
    is_booking_charge,
)
from creditdesk.ledger.journal.transaction import (
    EntryMetadata,
    JournalTransaction,
    LedgerContext,
    lock_accounts,
)
from creditdesk.ledger.loaders.rates import load_rates, total_price
from creditdesk.ledger.operations.bookings import charge_bookings, recalculate_booking
from creditdesk.ledger.operations.corrections import NewCredit, grant, require_total_covers_used
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.renewal import has_expired, reopens_credit
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import EntityService, RequestContext

ALREADY_CHARGED: Final = "This booking has already been charged to this customer."
MUTABLE_USE_FIELDS: Final = frozenset({"Description", "SystemId", "CustomFields"})
"""What a PUT on a use may change (rule 11)."""


class CreditService:
    """Creates, changes and removes grants of either kind (rules 2, 5, 6, 28)."""

    def __init__(self, ledger: LedgerContext) -> None:
        self.ledger = ledger

    async def create(
        self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext
    ) -> int:
        mapping = MAPPINGS_BY_CREDIT[entity]
        _validate_values(mapping, record)
        if mapping.account_type is AccountType.TIME and record.get("Price") is None:
            record = {**record, "Price": await _default_price(session, record)}
        if is_booking_charge(mapping, _charge_links(record)):
            charge = {**record, mapping.remaining_field: 0}
            (charge_id,) = await session.insert(
                entity, [new_record(entity, charge, context.now, context.principal.email)]
            )
            return charge_id
        (credit_id,) = await grant(
            session, mapping, [NewCredit(record[mapping.total_field], record)], context, self.ledger
        )
        return credit_id

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        mapping = MAPPINGS_BY_CREDIT[entity]
        after = {**before, **record}
        _validate_values(mapping, after)
        _validate_changes(mapping, before, after)
        values = {
            name: value
            for name, value in record.items()
            if name not in (mapping.remaining_field, mapping.total_field, "Id")
        }
        if mapping.account_type is AccountType.TIME and after.get("Price") is None:
            values["Price"] = await _default_price(session, after)
        stamp = update_stamp(context.now, context.principal.email)
        if is_booking_charge(mapping, before):
            changed = {**values, mapping.total_field: after[mapping.total_field], **stamp}
            await session.update(entity, [(before["Id"], changed)])
            return
        journal = await lock_accounts(
            session, [(mapping.account_type, before["Id"])], self.ledger.clock
        )
        self._change_total(journal, mapping, before["Id"], after[mapping.total_field], context)
        self._change_expiry(journal, mapping, before, after, context)
        await session.update(entity, [(before["Id"], {**values, **stamp})])
        await journal.flush(session)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        mapping = MAPPINGS_BY_CREDIT[entity]
        account = (mapping.account_type, before["Id"])
        if not is_booking_charge(mapping, before):
            journal = await lock_accounts(session, [account], self.ledger.clock)
            credit = journal.accounts[account]
            if credit.sequence > 1 or credit.remaining != credit.total:
                raise StateConflict(
                    f"This credit has {credit.sequence} journal lines and cannot be deleted: "
                    "void it instead."
                )
            # The journal outlives the credit, so it must end at nothing.
            journal.append(
                account,
                EntryType.VOID,
                credit.total,
                EntryMetadata(context.principal.email, "deleted"),
            )
            await journal.flush(session)
        await session.delete(entity, [before["Id"]])

    def _change_total(
        self,
        journal: JournalTransaction,
        mapping: CreditTypeMapping,
        credit_id: int,
        total: Amount,
        context: RequestContext,
    ) -> None:
        account = (mapping.account_type, credit_id)
        credit = journal.accounts[account]
        require_total_covers_used(mapping, credit, total)
        metadata = EntryMetadata(
            context.principal.email, "total changed", idempotency_key=context.idempotency_key
        )
        if total > credit.total:
            journal.append(account, EntryType.GRANT, total - credit.total, metadata)
        elif total < credit.total:
            journal.append(account, EntryType.VOID, credit.total - total, metadata)

    def _change_expiry(
        self,
        journal: JournalTransaction,
        mapping: CreditTypeMapping,
        before: Record,
        after: Record,
        context: RequestContext,
    ) -> None:
        """Bringing a lapsed credit back is a line of its own (rule 28)."""
        account = (mapping.account_type, before["Id"])
        if reopens_credit(before["ExpireDate"], after["ExpireDate"], journal.now):
            metadata = EntryMetadata(
                context.principal.email, "expiry extended", idempotency_key=context.idempotency_key
            )
            again = max(0, journal.accounts[account].unreserved)
            journal.append(account, EntryType.REOPENING, again, metadata)
        if before["ExpireDate"] != after["ExpireDate"] and not has_expired(
            after["ExpireDate"], journal.now
        ):
            journal.set_state(account, expiry_recorded=None)


class UseService:
    """Takes changes of a money use's description; uses are posted through the queue (rule 11)."""

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
        account = (mapping.account_type, before[mapping.credit_reference])
        if changed.get("Description") != before.get("Description"):
            journal = await lock_accounts(session, [account], self.ledger.clock)
            metadata = EntryMetadata(
                context.principal.email,
                f"description of use #{before['Id']} was: {before.get('Description') or ''}",
                "use_history",
                before["Id"],
                context.idempotency_key,
            )
            journal.append(account, EntryType.ADJUSTMENT, 0, metadata)
            await journal.flush(session)
        stamp = update_stamp(context.now, context.principal.email)
        await session.update(entity, [(before["Id"], {**changed, **stamp})])

    async def delete(
        self,
        session: WriteSession,  # noqa: ARG002 - the promise `Writer` names them
        entity: type[Entity],  # noqa: ARG002
        before: Record,  # noqa: ARG002
        context: RequestContext,  # noqa: ARG002
    ) -> None:
        raise StateConflict(
            "A use is not deleted. Reverse it with the command REVERSE_USE (rule 11)."
        )


class BookingService:
    """Bookings as `plain` writes them, charged and recalculated with it (rules 23 to 25)."""

    def __init__(self, ledger: LedgerContext, default_service: EntityService) -> None:
        self.ledger = ledger
        self.default_service = default_service

    async def create(
        self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext
    ) -> int:
        booking_id = await self.default_service.create(session, entity, record, context)
        if record.get("ChargeNow") and record.get("CoworkerId") and not record.get("Tentative"):
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
        await self.default_service.update(session, entity, before, record, context)
        priced = ("FromTime", "ToTime", "ResourceId", "ExtraServiceId", "OverridePrice")
        if not before["Invoiced"]:
            if record.get("ChargeNow") and record.get("CoworkerId") and not record.get("Tentative"):
                await charge_bookings(session, [before["Id"]], context, self.ledger)
        elif any(record.get(name, before[name]) != before[name] for name in priced):
            await recalculate_booking(session, before["Id"], context, self.ledger)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        if before["Invoiced"]:
            raise StateConflict(ALREADY_CHARGED)
        await self.default_service.delete(session, entity, before, context)


def _charge_links(record: Mapping[str, Any]) -> Record:
    return {"BookingId": record.get("BookingId"), "BookingUniqueId": record.get("BookingUniqueId")}


def _validate_values(mapping: CreditTypeMapping, record: Mapping[str, Any]) -> None:
    if record[mapping.total_field] < 0:
        raise invalid_field(
            mapping.total_field,
            "must not be negative",
            mapping.format_amount(record[mapping.total_field]),
        )
    starts, ends = record.get("ValidFrom"), record.get("ExpireDate")
    if starts is not None and ends is not None and ends <= starts:
        # The imitated system's own words, its slip included.
        raise invalid_field("ExpireDate", "Expiration data must be greater than valid from date")


def _validate_changes(mapping: CreditTypeMapping, before: Record, after: Record) -> None:
    if after["BusinessId"] != before["BusinessId"]:
        raise invalid_field("Business", "cannot be changed", after["BusinessId"])
    if before.get("Overdraft") and after["ExtraServiceId"] != before["ExtraServiceId"]:
        raise invalid_field(
            "ExtraService", "cannot be changed while the credit has an overdraft (rule 33)"
        )
    if is_booking_charge(mapping, before) != is_booking_charge(mapping, after):
        raise invalid_field(
            "BookingId", "cannot turn a credit into a booking charge or back (rule 5)"
        )


def _validate_use_changes(entity: type[Entity], before: Record, record: Record) -> None:
    """Only a value that was sent can differ: links that were left out stay as they are."""
    for column in entity.meta().stored_columns:
        name = column.name
        if (
            name in MUTABLE_USE_FIELDS
            or record.get(name) is None
            or name in ("UpdatedOn", "UpdatedBy")
        ):
            continue
        if record[name] != before[name]:
            raise invalid_field(
                column.leaf, "cannot be changed; reverse the use with REVERSE_USE (rule 11)"
            )


async def _default_price(session: WriteSession, record: Mapping[str, Any]) -> Amount:
    """The price of all units at the credit's rate; 0 for free credit."""
    if record.get("Free"):
        return 0
    rate_id = record["ExtraServiceId"]
    rate = (await load_rates(session, [rate_id])).get(rate_id)
    return (total_price(rate.price, rate, record["TotalUses"]) if rate else None) or 0
