"""Charging a booking, cancelling it, and deciding it again (rules 23 to 26).

This module must not know commands or the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import (
    MAPPINGS_BY_HISTORY,
    AccountKey,
    account_key,
    entry_from_record,
    where,
)
from creditdesk.ledger.journal.transaction import LedgerContext, lock_accounts
from creditdesk.ledger.loaders.sources import BasketRequest, Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import Basket, load_baskets_for_update
from creditdesk.ledger.operations.charges import UncoveredPrice, add_charges, booking_charge_values
from creditdesk.ledger.operations.corrections import ReversalResult, reverse
from creditdesk.ledger.operations.draw import (
    SpendPlan,
    execute_spends,
    hold_account,
    lock_holds_of,
    lock_source_holds,
    preview,
    write_releases,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.ledger.rules.credit import Credit, SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import StateConflict, raise_first_error
from creditdesk.schema.records import update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import RequestContext

UNCHARGED_VALUES: dict[str, object] = {
    "Invoiced": False,
    "InvoiceDate": None,
    "CoworkerExtraServiceIds": None,
    "CoworkerExtraServicePrice": None,
    "CoworkerExtraServiceCurrencyCode": None,
    "CoworkerExtraServiceChargePeriod": None,
    "CoworkerExtraServiceTotalUses": None,
}


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """A booking's charge: the decision and its group, and the charge for what credit left open.

    `allocation` is None for a booking that was charged before: nothing changed.
    """

    booking_id: int
    allocation: Allocation | None = None
    allocation_group: int | None = None
    charge_id: int | None = None


async def charge_bookings(
    session: WriteSession,
    booking_ids: Sequence[int],
    context: RequestContext,
    ledger: LedgerContext,
) -> list[ChargeResult]:
    """Charges bookings: time credit, then money credit, then a charge for the rest (rule 23).

    One that is charged already stays as it is. Raises Blocked for a tentative booking or one
    without a customer.
    """
    bookings = await session.lock(Booking, booking_ids)
    charged = {booking_id: ChargeResult(booking_id) for booking_id in sorted(bookings)}
    fresh = [bookings[booking_id] for booking_id in charged if not bookings[booking_id]["Invoiced"]]
    holds = await lock_holds_of(session, [_source_key(booking) for booking in fresh])
    for together in _rounds_by_customer(fresh):
        for done in await _charge_round(session, together, holds, context, ledger):
            charged[done.booking_id] = done
    return list(charged.values())


def _rounds_by_customer(bookings: Sequence[Record]) -> list[list[Record]]:
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


async def _charge_round(
    session: WriteSession,
    bookings: Sequence[Record],
    holds: Mapping[SourceKey, Sequence[Record]],
    context: RequestContext,
    ledger: LedgerContext,
    preferred: Sequence[Credit] = (),
) -> list[ChargeResult]:
    """Charges bookings of different customers, and gives one value for each, in their order."""
    for booking in bookings:
        _require_chargeable(booking)
    drawings = [
        SpendPlan(
            basket,
            context,
            ledger,
            holds.get(basket.sources[0].key, ()),
            [credit.key for credit in preferred],
            f"Booking #{basket.sources[0].id}",
        )
        for basket in await _load_booking_baskets(session, bookings, context)
    ]
    drawn = raise_first_error(await execute_spends(session, drawings, ledger))
    open_prices = [
        UncoveredPrice(booking, drawing.basket.sources[0], done.allocation.sources[0].uncovered)
        for booking, drawing, done in zip(bookings, drawings, drawn, strict=True)
    ]
    charges = await add_charges(session, open_prices, context)
    invoiced = {
        **UNCHARGED_VALUES,
        "Invoiced": True,
        "InvoiceDate": context.now.replace(microsecond=0),
    }
    changes, charged = [], list[ChargeResult]()
    for price, done, charge in zip(open_prices, drawn, charges, strict=True):
        booking_id = price.booking["Id"]
        said = booking_charge_values(charge, price.source) if charge else {}
        changes.append(
            (booking_id, invoiced | said | update_stamp(context.now, context.principal.email))
        )
        charge_id = charge["Id"] if charge else None
        charged.append(
            ChargeResult(booking_id, done.allocation, done.stored.allocation_group, charge_id)
        )
    await session.update(Booking, changes)
    return charged


def _require_chargeable(booking: Record) -> None:
    if booking["Tentative"]:
        raise StateConflict(f"Booking #{booking['Id']} is tentative and cannot be charged.")
    if not booking["CoworkerId"]:
        raise StateConflict(f"Booking #{booking['Id']} has no customer to charge.")


async def _load_booking_baskets(
    session: WriteSession,
    bookings: Sequence[Record],
    context: RequestContext,
    *,
    as_unpaid: bool = False,
) -> list[Basket]:
    asked = [
        BasketRequest(
            Buyer(booking["CoworkerId"]),
            (ItemRequest(SourceKind.BOOKING, booking["Id"]),),
            context,
            as_unpaid,
        )
        for booking in bookings
    ]
    return raise_first_error(await load_baskets_for_update(session, asked))


@dataclass(frozen=True, slots=True)
class CancelResult:
    """What came back when a booking was cancelled, and whether its record went too."""

    booking_id: int
    reversals: tuple[ReversalResult, ...]
    removed: bool


async def cancel_bookings(
    session: WriteSession,
    booking_ids: Sequence[int],
    context: RequestContext,
    ledger: LedgerContext,
    reason: str = "",
) -> list[CancelResult]:
    """Gives every use back to its credit and takes the open charge away (rules 24, 26, 30).

    The record itself goes when nothing tells of it; uses that were reversed keep it. Raises
    Blocked when a charge of it is invoiced.
    """
    bookings = await session.lock(Booking, booking_ids)
    done = []
    for booking_id in sorted(bookings):
        back = await revert_charge(
            session, bookings[booking_id], context, ledger, reason or "booking cancelled"
        )
        try:
            await session.delete(Booking, [booking_id])
            removed = True
        except StateConflict:
            removed = False
        done.append(CancelResult(booking_id, tuple(back), removed))
    return done


async def revert_charge(
    session: WriteSession,
    booking: Record,
    context: RequestContext,
    ledger: LedgerContext,
    reason: str,
) -> list[ReversalResult]:
    """Takes a booking's charge back: uses, holds and the charge itself (rule 24)."""
    booking_id = booking["Id"]
    named = where(CoworkerExtraService, BookingId=booking_id)
    charges = await session.find(CoworkerExtraService, named)
    if booking["Billed"] or booking["CoworkerInvoiceId"] or any(c["Invoiced"] for c in charges):
        raise StateConflict(
            f"The charge of booking #{booking_id} is invoiced and is not reverted: "
            "credit the invoice first (rule 24)."
        )
    holds = await lock_source_holds(session, _source_key(booking))
    back: list[ReversalResult] = []
    for history, side in MAPPINGS_BY_HISTORY.items():
        rows = await session.find(history, where(history, BookingId=booking_id))
        used = [row["Id"] for row in rows if (row["CreditUsed"] or 0) > 0]
        if used:
            # The last allocated comes back first (rule 25).
            back += await reverse(session, side, used[::-1], context, ledger, reason=reason)
    if holds:
        journal = await lock_accounts(session, [hold_account(hold) for hold in holds], ledger.clock)
        write_releases(journal, holds, context, reason)
        await journal.flush(session)
        await session.update(Hold, [(hold["Id"], {"State": "released"}) for hold in holds])
    if charges:
        await session.delete(CoworkerExtraService, [charge["Id"] for charge in charges])
    await session.update(
        Booking,
        [(booking_id, UNCHARGED_VALUES | update_stamp(context.now, context.principal.email))],
    )
    return [each for each in back if each.amount]


@dataclass(frozen=True, slots=True)
class RecalculationResult:
    """What deciding a booking again changes: by credit taken before and after, and the open rest.

    Amounts of uses are whole; `charged` is None when it was only shown.
    """

    booking_id: int
    before: dict[str, Amount]
    after: dict[str, Amount]
    uncovered: Amount
    charged: ChargeResult | None = None


async def recalculate_booking(
    session: WriteSession,
    booking_id: int,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    dry_run: bool = False,
) -> RecalculationResult:
    """Decides a charged booking again, preferring the credits it already used (rule 25).

    One transaction: either the booking is charged anew as a whole, or nothing changed. Raises
    Blocked for a booking that is not charged.
    """
    booking = (await session.lock(Booking, [booking_id]))[booking_id]
    if not booking["Invoiced"]:
        raise StateConflict(
            f"Booking #{booking_id} is not charged, so there is nothing to decide again."
        )
    await lock_holds_of(session, [_source_key(booking)])
    (basket,) = await _load_booking_baskets(session, [booking], context, as_unpaid=True)
    taken = await _load_net_uses(session, booking_id)
    used = [credit for credit in basket.credits if account_key(credit.key) in taken]
    # Holds, caps and every credit are locked before the first goes back, in the one order all keep
    # (rule 31).
    journal = await lock_accounts(session, {*basket.accounts, *taken}, ledger.clock)
    open_again = Basket(
        basket.owner,
        basket.sources,
        tuple(
            replace(c, remaining=c.remaining + taken.get(account_key(c.key), 0))
            for c in basket.with_locked_balances(journal)
        ),
    )
    decided = preview(open_again, ledger, journal.now, [credit.key for credit in used])
    before = {f"{kind.value}/{credit_id}": n for (kind, credit_id), n in taken.items()}
    after = {str(key): amount for key, amount in decided.taken_by_credit().items()}
    rest = decided.sources[0].uncovered
    if dry_run:
        return RecalculationResult(booking_id, before, after, rest)
    await revert_charge(session, booking, context, ledger, "booking decided again")
    again = {**booking, **UNCHARGED_VALUES}
    (charged,) = await _charge_round(session, [again], {}, context, ledger, used)
    return RecalculationResult(booking_id, before, after, rest, charged)


async def _load_net_uses(session: ReadSession, booking_id: int) -> dict[AccountKey, Amount]:
    """What a booking has of each credit, reversals taken off."""
    records: list[Record] = []
    for history, side in MAPPINGS_BY_HISTORY.items():
        # The rows tell which credits' lines to read; the journal has no other way to a booking.
        rows = await session.find(
            history, where(history, BookingId=booking_id), columns=(side.credit_reference,)
        )
        if not rows:
            continue
        ids = {row[side.credit_reference] for row in rows}
        named = where(
            JournalLine, CreditKind=side.account_type.value, CreditId=ids,
            SourceKind=SourceKind.BOOKING.value, SourceId=booking_id,
        )  # fmt: skip
        records += await session.find(JournalLine, named)
    taken: dict[AccountKey, Amount] = {}
    for record in sorted(records, key=lambda record: record["Id"]):
        line = entry_from_record(record)
        if line.kind in (EntryType.USE, EntryType.REVERSAL):
            account = (line.credit_kind, line.credit_id)
            taken[account] = taken.get(account, 0) - line.balance_change
    return {account: amount for account, amount in taken.items() if amount}


def _source_key(booking: Record) -> SourceKey:
    return SourceKey(SourceKind.BOOKING, booking["Id"])
