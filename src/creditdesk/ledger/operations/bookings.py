"""Charging a booking, cancelling it, and deciding it again (rules 23 to 26).

This module must not know commands or the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.entry import LineKind
from creditdesk.ledger.journal.mapping import BY_HISTORY, Account, account_of, line_of, where
from creditdesk.ledger.journal.transaction import Desk, open_book
from creditdesk.ledger.loaders.sources import Asked, AskedBasket, Whose
from creditdesk.ledger.operations.baskets import Basket, baskets_to_draw
from creditdesk.ledger.operations.charges import OpenPrice, add_charges, shown_on_booking
from creditdesk.ledger.operations.corrections import Reversed, reverse
from creditdesk.ledger.operations.draw import (
    Drawing,
    account_of_hold,
    held_for,
    held_of,
    preview,
    release_in,
    spend_all,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.ledger.rules.credit import Credit, SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import Blocked, none_refused
from creditdesk.schema.repository import Reading, Unit
from creditdesk.schema.service import Call

NOT_CHARGED: dict[str, object] = {
    "Invoiced": False,
    "InvoiceDate": None,
    "CoworkerExtraServiceIds": None,
    "CoworkerExtraServicePrice": None,
    "CoworkerExtraServiceCurrencyCode": None,
    "CoworkerExtraServiceChargePeriod": None,
    "CoworkerExtraServiceTotalUses": None,
}


@dataclass(frozen=True, slots=True)
class Charged:
    """A booking's charge: the decision and its group, and the charge for what credit left open.

    `allocation` is None for a booking that was charged before: nothing changed.
    """

    booking_id: int
    allocation: Allocation | None = None
    group: int | None = None
    charge_id: int | None = None


async def charge_bookings(
    unit: Unit, booking_ids: Sequence[int], call: Call, desk: Desk
) -> list[Charged]:
    """Charges bookings: time credit, then money credit, then a charge for the rest (rule 23).

    One that is charged already stays as it is. Raises Blocked for a tentative booking or one
    without a customer.
    """
    bookings = await unit.lock(Booking, booking_ids)
    charged = {booking_id: Charged(booking_id) for booking_id in sorted(bookings)}
    fresh = [bookings[booking_id] for booking_id in charged if not bookings[booking_id]["Invoiced"]]
    holds = await held_of(unit, [_key(booking) for booking in fresh])
    for together in _rounds(fresh):
        for done in await _charge(unit, together, holds, call, desk):
            charged[done.booking_id] = done
    return list(charged.values())


def _rounds(bookings: Sequence[Record]) -> list[list[Record]]:
    """In each round the next booking of each customer: what a basket may draw depends on what its
    customer's last one drew.

    So the first round locks everybody's caps and credits, in the one order all keep (rule 31).
    """
    rounds: list[list[Record]] = []
    of_customer: dict[int | None, int] = {}
    for booking in bookings:
        place = of_customer.get(booking["CoworkerId"], 0)
        of_customer[booking["CoworkerId"]] = place + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(booking)
    return rounds


async def _charge(
    unit: Unit,
    bookings: Sequence[Record],
    holds: Mapping[SourceKey, Sequence[Record]],
    call: Call,
    desk: Desk,
    preferred: Sequence[Credit] = (),
) -> list[Charged]:
    """Charges bookings of different customers, and gives one value for each, in their order."""
    for booking in bookings:
        _refuse_charge(booking)
    drawings = [
        Drawing(
            basket,
            call,
            desk.policy,
            holds.get(basket.sources[0].key, ()),
            [credit.key for credit in preferred],
            f"Booking #{basket.sources[0].id}",
        )
        for basket in await _baskets(unit, bookings, call)
    ]
    drawn = none_refused(await spend_all(unit, drawings, desk))
    open_prices = [
        OpenPrice(booking, drawing.basket.sources[0], done.allocation.sources[0].uncovered)
        for booking, drawing, done in zip(bookings, drawings, drawn, strict=True)
    ]
    charges = await add_charges(unit, open_prices, call)
    invoiced = {**NOT_CHARGED, "Invoiced": True, "InvoiceDate": call.now.replace(microsecond=0)}
    changes, charged = [], list[Charged]()
    for price, done, charge in zip(open_prices, drawn, charges, strict=True):
        booking_id = price.booking["Id"]
        said = shown_on_booking(charge, price.source) if charge else {}
        changes.append((booking_id, invoiced | said | _touched(call)))
        charge_id = charge["Id"] if charge else None
        charged.append(Charged(booking_id, done.allocation, done.kept.group, charge_id))
    await unit.update(Booking, changes)
    return charged


def _refuse_charge(booking: Record) -> None:
    if booking["Tentative"]:
        raise Blocked(f"Booking #{booking['Id']} is tentative and cannot be charged.")
    if not booking["CoworkerId"]:
        raise Blocked(f"Booking #{booking['Id']} has no customer to charge.")


async def _baskets(
    unit: Unit, bookings: Sequence[Record], call: Call, *, as_unpaid: bool = False
) -> list[Basket]:
    asked = [
        AskedBasket(
            Whose(booking["CoworkerId"]),
            (Asked(SourceKind.BOOKING, booking["Id"]),),
            call,
            as_unpaid,
        )
        for booking in bookings
    ]
    return none_refused(await baskets_to_draw(unit, asked))


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What came back when a booking was cancelled, and whether its record went too."""

    booking_id: int
    back: tuple[Reversed, ...]
    removed: bool


async def cancel_bookings(
    unit: Unit, booking_ids: Sequence[int], call: Call, desk: Desk, reason: str = ""
) -> list[Cancelled]:
    """Gives every use back to its credit and takes the open charge away (rules 24, 26, 30).

    The record itself goes when nothing tells of it; uses that were reversed keep it. Raises
    Blocked when a charge of it is invoiced.
    """
    bookings = await unit.lock(Booking, booking_ids)
    done = []
    for booking_id in sorted(bookings):
        back = await revert(unit, bookings[booking_id], call, desk, reason or "booking cancelled")
        try:
            await unit.delete(Booking, [booking_id])
            removed = True
        except Blocked:
            removed = False
        done.append(Cancelled(booking_id, tuple(back), removed))
    return done


async def revert(
    unit: Unit, booking: Record, call: Call, desk: Desk, reason: str
) -> list[Reversed]:
    """Takes a booking's charge back: uses, holds and the charge itself (rule 24)."""
    booking_id = booking["Id"]
    named = where(CoworkerExtraService, BookingId=booking_id)
    charges = await unit.find(CoworkerExtraService, named)
    if booking["Billed"] or booking["CoworkerInvoiceId"] or any(c["Invoiced"] for c in charges):
        raise Blocked(
            f"The charge of booking #{booking_id} is invoiced and is not reverted: "
            "credit the invoice first (rule 24)."
        )
    holds = await held_for(unit, _key(booking))
    back: list[Reversed] = []
    for history, side in BY_HISTORY.items():
        rows = await unit.find(history, where(history, BookingId=booking_id))
        used = [row["Id"] for row in rows if (row["CreditUsed"] or 0) > 0]
        if used:
            # The last allocated comes back first (rule 25).
            back += await reverse(unit, side, used[::-1], call, desk, reason=reason)
    if holds:
        book = await open_book(unit, [account_of_hold(hold) for hold in holds], desk.clock)
        release_in(book, holds, call, reason)
        await book.put_on_record(unit)
        await unit.update(Hold, [(hold["Id"], {"State": "released"}) for hold in holds])
    if charges:
        await unit.delete(CoworkerExtraService, [charge["Id"] for charge in charges])
    await unit.update(Booking, [(booking_id, NOT_CHARGED | _touched(call))])
    return [each for each in back if each.amount]


@dataclass(frozen=True, slots=True)
class Difference:
    """What deciding a booking again changes: by credit taken before and after, and the open rest.

    Amounts of uses are whole; `charged` is None when it was only shown.
    """

    booking_id: int
    before: dict[str, Amount]
    after: dict[str, Amount]
    uncovered: Amount
    charged: Charged | None = None


async def recalculate_booking(
    unit: Unit, booking_id: int, call: Call, desk: Desk, *, only_show: bool = False
) -> Difference:
    """Decides a charged booking again, preferring the credits it already used (rule 25).

    One transaction: either the booking is charged anew as a whole, or nothing changed. Raises
    Blocked for a booking that is not charged.
    """
    booking = (await unit.lock(Booking, [booking_id]))[booking_id]
    if not booking["Invoiced"]:
        raise Blocked(f"Booking #{booking_id} is not charged, so there is nothing to decide again.")
    await held_of(unit, [_key(booking)])
    (basket,) = await _baskets(unit, [booking], call, as_unpaid=True)
    taken = await _taken(unit, booking_id)
    used = [credit for credit in basket.credits if account_of(credit.key) in taken]
    # Holds, caps and every credit are locked before the first goes back, in the one order all keep
    # (rule 31).
    book = await open_book(unit, {*basket.accounts, *taken}, desk.clock)
    open_again = Basket(
        basket.owner,
        basket.sources,
        tuple(
            replace(c, remaining=c.remaining + taken.get(account_of(c.key), 0))
            for c in basket.as_locked(book)
        ),
    )
    decided = preview(open_again, desk.policy, book.now, [credit.key for credit in used])
    before = {f"{kind.value}/{credit_id}": n for (kind, credit_id), n in taken.items()}
    after = {str(key): amount for key, amount in decided.taken_by_credit().items()}
    rest = decided.sources[0].uncovered
    if only_show:
        return Difference(booking_id, before, after, rest)
    await revert(unit, booking, call, desk, "booking decided again")
    again = {**booking, **NOT_CHARGED}
    (charged,) = await _charge(unit, [again], {}, call, desk, used)
    return Difference(booking_id, before, after, rest, charged)


async def _taken(reading: Reading, booking_id: int) -> dict[Account, Amount]:
    """What a booking has of each credit, reversals taken off."""
    records: list[Record] = []
    for history, side in BY_HISTORY.items():
        # The rows tell which credits' lines to read; the journal has no other way to a booking.
        rows = await reading.find(
            history, where(history, BookingId=booking_id), names=(side.reference,)
        )
        if not rows:
            continue
        ids = {row[side.reference] for row in rows}
        named = where(
            JournalLine, CreditKind=side.kind.value, CreditId=ids,
            SourceKind=SourceKind.BOOKING.value, SourceId=booking_id,
        )  # fmt: skip
        records += await reading.find(JournalLine, named)
    taken: dict[Account, Amount] = {}
    for record in sorted(records, key=lambda record: record["Id"]):
        line = line_of(record)
        if line.kind in (LineKind.USE, LineKind.REVERSAL):
            account = (line.credit_kind, line.credit_id)
            taken[account] = taken.get(account, 0) - line.balance_change
    return {account: amount for account, amount in taken.items() if amount}


def _key(booking: Record) -> SourceKey:
    return SourceKey(SourceKind.BOOKING, booking["Id"])


def _touched(call: Call) -> dict[str, object]:
    now: datetime = call.now.replace(microsecond=0)
    return {"UpdatedOn": now, "UpdatedBy": call.caller.email}
