"""Charging a booking, cancelling it, and recalculating its charge (rules 23 to 26)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from msgspec.structs import replace

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.states import HoldState, Operation
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.mapping import MAPPINGS, account_key
from creditdesk.ledger.journal.reasons import BOOKING_CANCELLATION_REASON
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.bookings import (
    LockedBooking,
    load_booking_charges,
    lock_bookings,
)
from creditdesk.ledger.loaders.entries import load_booking_amounts
from creditdesk.ledger.loaders.holds import HoldRow, lock_holds_of
from creditdesk.ledger.loaders.items import BasketRequest, Buyer, ItemRequest
from creditdesk.ledger.loaders.quotes import load_charged_quotes
from creditdesk.ledger.loaders.uses import load_booking_uses
from creditdesk.ledger.operations.baskets import Basket, load_baskets_for_update
from creditdesk.ledger.operations.charges import UncoveredPrice, add_charges, booking_charge_values
from creditdesk.ledger.operations.corrections import ReversalResult, reverse
from creditdesk.ledger.operations.draw import (
    SpendPlan,
    execute_spends,
    preview,
    write_releases,
)
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.ledger.rules.credit import BookingQuote, CreditKey, SourceKey, SourceKind
from creditdesk.schema.errors import StateConflict, raise_first_error
from creditdesk.schema.records import update_stamp
from creditdesk.schema.repository import WriteSession
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
"""The columns of a booking that show its charge, with their values for an uncharged booking."""


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """A booking's charge: the allocation and its group, and the charge for the uncovered rest.

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

    Bookings that are charged already stay as they are. Raises StateConflict for a tentative
    booking or one without a customer.
    """
    bookings = await lock_bookings(session, booking_ids)
    results = {booking_id: ChargeResult(booking_id) for booking_id in bookings}
    uncharged = [booking for booking in bookings.values() if not booking.invoiced]
    holds = await lock_holds_of(session, [booking.key for booking in uncharged])
    for round_ in _rounds_by_customer(uncharged):
        for result in await _charge_round(session, round_, holds, context, ledger):
            results[result.booking_id] = result
    return list(results.values())


def _rounds_by_customer(bookings: Sequence[LockedBooking]) -> list[list[LockedBooking]]:
    """Each round has the next booking of each customer.

    What a customer's booking may use depends on what the one before used. The first round locks
    the caps and accounts of all customers, in the one order of locks (rule 31).
    """
    rounds: list[list[LockedBooking]] = []
    counts: dict[int | None, int] = {}
    for booking in bookings:
        position = counts.get(booking.coworker_id, 0)
        counts[booking.coworker_id] = position + 1
        if position == len(rounds):
            rounds.append([])
        rounds[position].append(booking)
    return rounds


async def _charge_round(
    session: WriteSession,
    bookings: Sequence[LockedBooking],
    holds: Mapping[SourceKey, Sequence[HoldRow]],
    context: RequestContext,
    ledger: LedgerContext,
    kept: Mapping[CreditKey, Amount] = MappingProxyType({}),
    quotes: Mapping[int, BookingQuote] = MappingProxyType({}),
) -> list[ChargeResult]:
    """Charges bookings of different customers and returns a result for each, in their order."""
    for booking in bookings:
        _require_chargeable(booking)
    baskets = await _load_booking_baskets(session, bookings, context, quotes)
    plans = [
        SpendPlan(
            basket,
            context,
            ledger,
            holds.get(booking.key, ()),
            kept,
            f"Booking #{booking.id}",
            Operation.CHARGE,
        )
        for booking, basket in zip(bookings, baskets, strict=True)
    ]
    spent = raise_first_error(await execute_spends(session, plans, ledger))
    uncovered = [
        UncoveredPrice(booking, plan.basket.sources[0], result.allocation.sources[0].uncovered)
        for booking, plan, result in zip(bookings, plans, spent, strict=True)
    ]
    charges = await add_charges(session, uncovered, context)
    charged_values = {
        **UNCHARGED_VALUES,
        "Invoiced": True,
        "InvoiceDate": context.now.replace(microsecond=0),
        **update_stamp(context.now, context.principal.email),
    }
    changes = [
        (
            price.booking.id,
            charged_values | (booking_charge_values(charge, price.source) if charge else {}),
        )
        for price, charge in zip(uncovered, charges, strict=True)
    ]
    await session.update(Booking, changes)
    return [
        ChargeResult(
            booking.id,
            result.allocation,
            result.stored.allocation_group,
            charge.id if charge else None,
        )
        for booking, result, charge in zip(bookings, spent, charges, strict=True)
    ]


async def _load_booking_baskets(
    session: WriteSession,
    bookings: Sequence[LockedBooking],
    context: RequestContext,
    quotes: Mapping[int, BookingQuote] = MappingProxyType({}),
    *,
    ignore_covered: bool = False,
) -> list[Basket]:
    """The basket of each booking, at the price of its quote while that stands."""
    requests = [
        BasketRequest(
            Buyer(booking.coworker_id or 0),
            (ItemRequest(SourceKind.BOOKING, booking.id, quote=quotes.get(booking.id)),),
            context,
            ignore_covered,
        )
        for booking in bookings
    ]
    return raise_first_error(await load_baskets_for_update(session, requests))


def _require_chargeable(booking: LockedBooking) -> None:
    if booking.tentative:
        raise StateConflict(f"Booking #{booking.id} is tentative and cannot be charged.")
    if not booking.coworker_id:
        raise StateConflict(f"Booking #{booking.id} has no customer to charge.")
    if booking.from_time is None or booking.to_time is None:
        raise StateConflict(f"Booking #{booking.id} has no times to charge.")


@dataclass(frozen=True, slots=True)
class CancelResult:
    """What was reversed when a booking was cancelled, and whether its record was deleted."""

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
    """Reverses every use of bookings and deletes their open charges (rules 24, 26, 30).

    A booking that other records refer to, such as reversed uses, is kept. Raises StateConflict
    when its charge is invoiced.
    """
    bookings = await lock_bookings(session, booking_ids)
    results = []
    for booking_id, booking in bookings.items():
        reversals = await revert_charge(
            session, booking, context, ledger, Cause.CANCELLED, reason or BOOKING_CANCELLATION_REASON
        )
        try:
            await session.delete(Booking, [booking_id])
            removed = True
        except StateConflict:
            removed = False
        results.append(CancelResult(booking_id, tuple(reversals), removed))
    return results


async def revert_charge(
    session: WriteSession,
    booking: LockedBooking,
    context: RequestContext,
    ledger: LedgerContext,
    cause: Cause,
    reason: str,
) -> list[ReversalResult]:
    """Reverses a booking's uses, releases its holds and deletes its charge (rule 24)."""
    charges = await load_booking_charges(session, booking.id)
    is_invoiced = booking.billed or booking.coworker_invoice_id
    if is_invoiced or any(charge.invoiced for charge in charges):
        raise StateConflict(f"The charge of booking #{booking.id} is invoiced. Credit the invoice first.")
    [holds] = (await lock_holds_of(session, [booking.key])).values()
    reversals: list[ReversalResult] = []
    for mapping in MAPPINGS.values():
        uses = await load_booking_uses(session, mapping, booking.id)
        used = [use.id for use in uses.values() if use.amount > 0]
        if used:
            # The last use is reversed first (rule 25).
            newest_first = used[::-1]
            reversals += await reverse(session, mapping, newest_first, context, ledger, cause=cause, reason=reason)
    if holds:
        journal = await lock_accounts(session, [hold.account for hold in holds], ledger.clock)
        write_releases(journal, holds, context, cause, reason)
        await journal.flush(session)
        released = {"State": HoldState.RELEASED.value}
        await session.update(Hold, [(hold.id, released) for hold in holds])
    if charges:
        await session.delete(CoworkerExtraService, [charge.id for charge in charges])
    await session.update(
        Booking,
        [(booking.id, UNCHARGED_VALUES | update_stamp(context.now, context.principal.email))],
    )
    return [reversal for reversal in reversals if reversal.amount]


async def decide_again(session: WriteSession, booking_id: int, context: RequestContext, ledger: LedgerContext) -> None:
    """Allocates a charged booking again after a change of who pays or how much (rules 15, 25).

    The payment of one that can no longer be charged is returned.
    """
    [booking] = (await lock_bookings(session, [booking_id])).values()
    if booking.tentative or not booking.coworker_id:
        reason = "booking can no longer be charged"
        await revert_charge(session, booking, context, ledger, Cause.RECALCULATED, reason)
    else:
        await recalculate_booking(session, booking_id, context, ledger)


@dataclass(frozen=True, slots=True)
class RecalculationResult:
    """What a recalculation changes: the amount taken of each credit, and the uncovered rest.

    Uses are whole numbers. `charged` is None when nothing was changed.
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
    """Allocates a charged booking again, preferring the credits it already used (rule 25).

    Its price stands unless what was priced has changed (rule 22). The booking is charged anew as a
    whole, or nothing changes. Raises StateConflict for a booking that is not charged.
    """
    [booking] = (await lock_bookings(session, [booking_id])).values()
    if not booking.invoiced:
        raise StateConflict(f"Booking #{booking_id} is not charged, so there is nothing to decide again.")
    await lock_holds_of(session, [booking.key])
    keeps_price = not ledger.settings.reprice_on_recalculate
    quotes = await load_charged_quotes(session, [booking_id]) if keeps_price else {}
    (basket,) = await _load_booking_baskets(session, [booking], context, quotes, ignore_covered=True)
    taken = await load_booking_amounts(session, booking_id)
    kept = {credit.key: taken[account_key(credit.key)] for credit in basket.credits if account_key(credit.key) in taken}
    # All accounts are locked here, before the first reversal, to keep the one order of locks
    # (rule 31).
    journal = await lock_accounts(session, {*basket.accounts, *taken}, ledger.clock)
    reversed_basket = Basket(
        basket.owner,
        basket.sources,
        tuple(
            replace(credit, remaining=credit.remaining + taken.get(account_key(credit.key), 0))
            for credit in basket.with_locked_balances(journal)
        ),
    )
    allocation = preview(reversed_basket, ledger, journal.now, kept=kept)
    result = RecalculationResult(
        booking_id,
        {f"{kind.value}/{credit_id}": amount for (kind, credit_id), amount in taken.items()},
        {str(key): amount for key, amount in allocation.taken_by_credit().items()},
        allocation.sources[0].uncovered,
    )
    if dry_run:
        return result
    await revert_charge(session, booking, context, ledger, Cause.RECALCULATED, "booking decided again")
    (charged,) = await _charge_round(session, [booking], {}, context, ledger, kept, quotes)
    return RecalculationResult(booking_id, result.before, result.after, result.uncovered, charged)
