"""Finds bookings whose credit or charge is not what the rules lead to (rules 23, 24)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import structs

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import epoch_microseconds
from creditdesk.ledger.journal.mapping import AccountKey, account_key
from creditdesk.ledger.loaders.items import BasketRequest, Buyer, ItemRequest
from creditdesk.ledger.loaders.rows import Flag, TypedRow, find_by_id, find_filtered, find_rows, have_values
from creditdesk.ledger.operations.baskets import Basket, load_baskets
from creditdesk.ledger.operations.draw import preview
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.reports.exception_rules import ExceptionCode, LedgerException
from creditdesk.reports.ledger_view import CreditHistory, LedgerView
from creditdesk.reports.open_uses import open_uses
from creditdesk.reports.statement import credit_number
from creditdesk.reports.values import Cut, Microseconds, Position
from creditdesk.schema.errors import StateConflict, ValidationError
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

CHARGE_AGE: Final = timedelta(days=92)
"""How old a charge may be to be looked at; older ones are settled with their invoices."""
_CHARGES_PER_LOAD: Final = 200
_SECOND: Final[Microseconds] = 1_000_000


class _BookingRow(TypedRow, frozen=True, gc=False):
    entity = Booking

    invoiced: Flag


class _ChargeRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerExtraService

    created_on: datetime
    coworker_id: int | None
    business_id: int | None
    booking_id: int
    price: Amount | None
    free: Flag


class _DecidedRow(TypedRow, frozen=True, gc=False):
    entity = AllocationDocument

    source_id: int


async def find_unreturned_uses(session: ReadSession, view: LedgerView) -> Iterator[LedgerException]:
    """The uses for bookings that were cancelled and not charged again."""
    cancelled = {
        entry.source_id
        for history in view.histories
        for entry in history.entries
        if entry.cause is Cause.CANCELLED and entry.source_kind == SourceKind.BOOKING.value
    }
    charged = {row.id for row in (await find_by_id(session, _BookingRow, cancelled)).values() if row.invoiced}
    return (
        LedgerException(
            ExceptionCode.NOT_RETURNED,
            history.credit.business_id,
            f"{history.credit.account_type}/{history.credit.id}/{entry.sequence}",
            f"Booking {entry.source_id} was cancelled, and entry {entry.id} by {entry.actor} uses credit for it",
            history.credit,
            history.credit.customer_id,
            left,
            entry.recorded,
        )
        for history, entry, left in open_uses(view)
        if entry.source_kind == SourceKind.BOOKING.value and entry.source_id in cancelled - charged
    )


async def find_needless_charges(session: ReadSession, view: LedgerView) -> list[LedgerException]:
    """Charges that no decision led to, such as imported ones, of which credit could have paid a part.

    Judged by the rules as of now, over the balances at the time of the charge.
    """
    charges = await _load_charges(session, view)
    histories = {history.credit.account: history for history in view.histories}
    found = []
    for start in range(0, len(charges), _CHARGES_PER_LOAD):
        part = charges[start : start + _CHARGES_PER_LOAD]
        for charge, basket in zip(part, await _load_baskets(session, view, part), strict=True):
            if basket is not None and (exception := _needless(charge, basket, histories, view)):
                found.append(exception)
    return found


async def _load_charges(session: ReadSession, view: LedgerView) -> list[_ChargeRow]:
    request = view.request
    if request.account is not None or request.team is not None:
        return []
    values: dict[str, object] = {"BusinessId": tuple(view.locations) or (0,)}
    if request.customer is not None:
        values["CoworkerId"] = request.customer
    created = CoworkerExtraService.meta().columns["CreatedOn"]
    recent = Filter(created, Comparison.AT_LEAST, request.now - CHARGE_AGE)
    filters = (*where(CoworkerExtraService, **values), *have_values(CoworkerExtraService, "BookingId"), recent)
    charges = [row for row in await find_filtered(session, _ChargeRow, filters) if row.price and not row.free]
    bookings = {charge.booking_id for charge in charges}
    decided = await find_rows(session, _DecidedRow, SourceKind=SourceKind.BOOKING.value, SourceId=bookings or {0})
    return [charge for charge in charges if charge.booking_id not in {row.source_id for row in decided}]


async def _load_baskets(
    session: ReadSession, view: LedgerView, charges: Sequence[_ChargeRow]
) -> Sequence[Basket | None]:
    """The basket of each charge's booking; None where a record lacks what its price depends on."""
    requests = [
        BasketRequest(
            Buyer(charge.coworker_id or 0),
            (ItemRequest(SourceKind.BOOKING, charge.booking_id),),
            RequestContext(view.request.principal, charge.created_on),
            ignore_covered=True,
        )
        for charge in charges
    ]
    try:
        found = await load_baskets(session, requests)
    except StateConflict:
        if len(charges) == 1:
            return [None]
        # One incomplete record fails them all.
        half = len(charges) // 2
        first = await _load_baskets(session, view, charges[:half])
        return [*first, *await _load_baskets(session, view, charges[half:])]
    return [None if isinstance(each, ValidationError) else each for each in found]


def _least_position(view: LedgerView, history: CreditHistory, at: Microseconds) -> Position:
    """What the credit held at least in the second of the charge: times of records have whole seconds."""
    cuts = (Cut(at, at), Cut(at + _SECOND, at))
    return min((view.position(history, cut) for cut in cuts), key=lambda each: each.remaining - each.held)


def _needless(
    charge: _ChargeRow, basket: Basket, histories: Mapping[AccountKey, CreditHistory], view: LedgerView
) -> LedgerException | None:
    at = epoch_microseconds(charge.created_on)
    positions = {
        account: _least_position(view, histories[account], at) for account in basket.accounts if account in histories
    }
    then = tuple(
        structs.replace(credit, remaining=positions[account].remaining, held=positions[account].held)
        for credit in basket.credits
        if (account := account_key(credit.key)) in positions
    )
    taken = preview(replace(basket, credits=then), view.request.ledger, charge.created_on).taken_by_credit()
    if not taken:
        return None
    key, amount = next(iter(taken.items()))
    credit = histories[account_key(key)].credit
    at_stake = min(amount, charge.price or 0) if credit.is_money else amount
    left = credit_number(credit, positions[credit.account].remaining)
    return LedgerException(
        ExceptionCode.CHARGED,
        credit.business_id,
        f"charge/{charge.id}",
        f"Charge {charge.id} of booking {charge.booking_id} names no decision, and this credit had {left} left",
        credit,
        charge.coworker_id,
        at_stake,
        at,
    )
