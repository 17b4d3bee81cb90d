"""What a create, update or delete on the wire means for credits, uses and bookings.

Implements the promise `Writer`. This module must not know requests or how answers look.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.ledger.journal.entry import CreditKind, LineKind
from creditdesk.ledger.journal.mapping import BY_CREDIT, BY_HISTORY, Side, new_record
from creditdesk.ledger.journal.transaction import Book, Desk, Why, is_charge, open_book
from creditdesk.ledger.operations.bookings import charge_bookings, recalculate_booking
from creditdesk.ledger.operations.corrections import grant, refuse_below_used
from creditdesk.ledger.operations.spends import posted, spend_batch
from creditdesk.ledger.rules.amounts import Amount, round_amount
from creditdesk.ledger.rules.renewal import has_lapsed, reopens
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Blocked, invalid
from creditdesk.schema.repository import Unit
from creditdesk.schema.service import Call, Writer

MINUTES_PER_HOUR: Final = 60
CHARGED: Final = "This booking has already been charged to this customer."
EDITABLE: Final = frozenset({"Description", "SystemId", "CustomFields"})
"""What a PUT on a use may change (rule 11)."""


class CreditWriter:
    """Creates, changes and removes grants of either kind (rules 2, 5, 6, 28)."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def create(self, unit: Unit, entity: type[Entity], record: Record, call: Call) -> int:
        side = BY_CREDIT[entity]
        _refuse_values(side, record)
        if side.kind is CreditKind.TIME and record.get("Price") is None:
            record = {**record, "Price": await _price(unit, record)}
        if is_charge(side, _seen_as_charge(record)):
            charge = {**record, side.remaining: 0}
            (charge_id,) = await unit.insert(
                entity, [new_record(entity, charge, call.now, call.caller.email)]
            )
            return charge_id
        (credit_id,) = await grant(unit, side, [record], call, self.desk)
        return credit_id

    async def update(
        self, unit: Unit, entity: type[Entity], before: Record, record: Record, call: Call
    ) -> None:
        side = BY_CREDIT[entity]
        after = {**before, **record}
        _refuse_values(side, after)
        _refuse_moves(side, before, after)
        values = {
            name: value
            for name, value in record.items()
            if name not in (side.remaining, side.total, "Id")
        }
        if side.kind is CreditKind.TIME and after.get("Price") is None:
            values["Price"] = await _price(unit, after)
        stamp = {"UpdatedOn": call.now.replace(microsecond=0), "UpdatedBy": call.caller.email}
        if is_charge(side, before):
            changed = {**values, side.total: after[side.total], **stamp}
            await unit.update(entity, [(before["Id"], changed)])
            return
        book = await open_book(unit, [(side.kind, before["Id"])], self.desk.clock)
        self._change_total(book, side, before["Id"], after[side.total], call)
        self._change_expiry(book, side, before, after, call)
        await unit.update(entity, [(before["Id"], {**values, **stamp})])
        await book.put_on_record(unit)

    async def delete(self, unit: Unit, entity: type[Entity], before: Record, call: Call) -> None:
        side = BY_CREDIT[entity]
        account = (side.kind, before["Id"])
        if not is_charge(side, before):
            book = await open_book(unit, [account], self.desk.clock)
            credit = book.credits[account]
            if credit.sequence > 1 or credit.remaining != credit.total:
                raise Blocked(
                    f"This credit has {credit.sequence} journal lines and cannot be deleted: "
                    "void it instead."
                )
            # The journal outlives the credit, so it must end at nothing.
            book.write(account, LineKind.VOID, credit.total, Why(call.caller.email, "deleted"))
            await book.put_on_record(unit)
        await unit.delete(entity, [before["Id"]])

    def _change_total(
        self, book: Book, side: Side, credit_id: int, total: Amount, call: Call
    ) -> None:
        account = (side.kind, credit_id)
        credit = book.credits[account]
        refuse_below_used(side, credit, total)
        why = Why(call.caller.email, "total changed", idempotency_key=call.key)
        if total > credit.total:
            book.write(account, LineKind.GRANT, total - credit.total, why)
        elif total < credit.total:
            book.write(account, LineKind.VOID, credit.total - total, why)

    def _change_expiry(
        self, book: Book, side: Side, before: Record, after: Record, call: Call
    ) -> None:
        """Bringing a lapsed credit back is a line of its own (rule 28)."""
        account = (side.kind, before["Id"])
        if reopens(before["ExpireDate"], after["ExpireDate"], book.now):
            why = Why(call.caller.email, "expiry extended", idempotency_key=call.key)
            again = max(0, book.credits[account].available)
            book.write(account, LineKind.REOPENING, again, why)
        if before["ExpireDate"] != after["ExpireDate"] and not has_lapsed(
            after["ExpireDate"], book.now
        ):
            book.note(account, ExpirySwept=None)


class UseWriter:
    """Posts uses, and takes changes of a money use's description (rules 7 to 11)."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def create(self, unit: Unit, entity: type[Entity], record: Record, call: Call) -> int:
        request = posted(entity, record, call, self.desk.policy)
        (outcome,) = await spend_batch(unit, [request], self.desk.clock)
        if outcome.refusal is not None:
            raise outcome.refusal
        history_id = outcome.written[0].line.history_id
        assert history_id is not None
        return history_id

    async def update(
        self, unit: Unit, entity: type[Entity], before: Record, record: Record, call: Call
    ) -> None:
        side = BY_HISTORY[entity]
        _refuse_edits(entity, before, record)
        changed = {name: record[name] for name in EDITABLE if name in record}
        account = (side.kind, before[side.reference])
        if changed.get("Description") != before.get("Description"):
            book = await open_book(unit, [account], self.desk.clock)
            why = Why(
                call.caller.email,
                f"description of use #{before['Id']} was: {before.get('Description') or ''}",
                "use_history",
                before["Id"],
                call.key,
            )
            book.write(account, LineKind.ADJUSTMENT, 0, why)
            await book.put_on_record(unit)
        stamp = {"UpdatedOn": call.now.replace(microsecond=0), "UpdatedBy": call.caller.email}
        await unit.update(entity, [(before["Id"], {**changed, **stamp})])

    async def delete(
        self,
        unit: Unit,  # noqa: ARG002 - the promise `Writer` names them
        entity: type[Entity],  # noqa: ARG002
        before: Record,  # noqa: ARG002
        call: Call,  # noqa: ARG002
    ) -> None:
        raise Blocked("A use is not deleted. Reverse it with the command REVERSE_USE (rule 11).")


class BookingWriter:
    """Bookings as `plain` writes them, charged and recalculated with it (rules 23 to 25)."""

    def __init__(self, desk: Desk, plain: Writer) -> None:
        self.desk = desk
        self.plain = plain

    async def create(self, unit: Unit, entity: type[Entity], record: Record, call: Call) -> int:
        booking_id = await self.plain.create(unit, entity, record, call)
        if record.get("ChargeNow") and record.get("CoworkerId") and not record.get("Tentative"):
            await charge_bookings(unit, [booking_id], call, self.desk)
        return booking_id

    async def update(
        self, unit: Unit, entity: type[Entity], before: Record, record: Record, call: Call
    ) -> None:
        await self.plain.update(unit, entity, before, record, call)
        priced = ("FromTime", "ToTime", "ResourceId", "ExtraServiceId", "OverridePrice")
        if not before["Invoiced"]:
            if record.get("ChargeNow") and record.get("CoworkerId") and not record.get("Tentative"):
                await charge_bookings(unit, [before["Id"]], call, self.desk)
        elif any(record.get(name, before[name]) != before[name] for name in priced):
            await recalculate_booking(unit, before["Id"], call, self.desk)

    async def delete(self, unit: Unit, entity: type[Entity], before: Record, call: Call) -> None:
        if before["Invoiced"]:
            raise Blocked(CHARGED)
        await self.plain.delete(unit, entity, before, call)


def _seen_as_charge(record: Mapping[str, Any]) -> Record:
    return {"BookingId": record.get("BookingId"), "BookingUniqueId": record.get("BookingUniqueId")}


def _refuse_values(side: Side, record: Mapping[str, Any]) -> None:
    if record[side.total] < 0:
        raise invalid(side.total, "must not be negative", side.shown(record[side.total]))
    starts, ends = record.get("ValidFrom"), record.get("ExpireDate")
    if starts is not None and ends is not None and ends <= starts:
        # The imitated system's own words, its slip included.
        raise invalid("ExpireDate", "Expiration data must be greater than valid from date")


def _refuse_moves(side: Side, before: Record, after: Record) -> None:
    if after["BusinessId"] != before["BusinessId"]:
        raise invalid("Business", "cannot be changed", after["BusinessId"])
    if before.get("Overdraft") and after["ExtraServiceId"] != before["ExtraServiceId"]:
        raise invalid(
            "ExtraService", "cannot be changed while the credit has an overdraft (rule 33)"
        )
    if is_charge(side, before) != is_charge(side, after):
        raise invalid("BookingId", "cannot turn a credit into a booking charge or back (rule 5)")


def _refuse_edits(entity: type[Entity], before: Record, record: Record) -> None:
    """Only a value that was sent can differ: links that were left out stay as they are."""
    for column in entity.shape().stored:
        name = column.name
        if name in EDITABLE or record.get(name) is None or name in ("UpdatedOn", "UpdatedBy"):
            continue
        if record[name] != before[name]:
            raise invalid(
                column.leaf, "cannot be changed; reverse the use with REVERSE_USE (rule 11)"
            )


async def _price(unit: Unit, record: Mapping[str, Any]) -> Amount:
    """A price that was left out is the rate's for all units; a minutes rate is by the hour."""
    if record.get("Free"):
        return 0
    rate = await unit.get(ExtraService, record["ExtraServiceId"])
    if rate is None:
        return 0
    price: Amount = rate["Price"] * record["TotalUses"]
    if rate["ChargePeriod"] == ChargePeriod.MINUTES:
        return round_amount(Fraction(price, MINUTES_PER_HOUR), 2)
    return price
