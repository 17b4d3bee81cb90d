"""Finds bookings that were charged although remaining credit could have paid for them (rule 23)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import structs

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, CreditTypeMapping, account_key
from creditdesk.ledger.loaders.expiry import without_charges
from creditdesk.ledger.loaders.items import BasketRequest, Buyer, ItemRequest
from creditdesk.ledger.loaders.payers import load_payers
from creditdesk.ledger.loaders.rows import Flag, TypedRow, find_by_id, find_filtered, find_rows, have_values
from creditdesk.ledger.operations.baskets import Basket, load_baskets
from creditdesk.ledger.operations.draw import preview
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.reports.credit_loader import load_report_credits
from creditdesk.reports.entry_loader import EntryScope
from creditdesk.reports.exception_candidates import newest_entry
from creditdesk.reports.exception_rules import ExceptionCode
from creditdesk.reports.exception_values import ExceptionFinding
from creditdesk.reports.ledger_view import LocationInfo
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.statement import credit_number
from creditdesk.reports.values import ReportCredit
from creditdesk.schema.errors import StateConflict, ValidationError
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

CHARGE_AGE: Final = timedelta(days=92)
"""The greatest age of a charge that is examined; older ones are settled with their invoices."""
_CHARGES_PER_LOAD: Final = 200
_BUYERS_PER_LOAD: Final = 2000
_SECOND: Final = timedelta(seconds=1)

_Instant = tuple[AccountKey, datetime]


class _ChargeRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerExtraService

    created_on: datetime
    coworker_id: int | None
    business_id: int | None
    booking_id: int
    price: Amount | None
    free: Flag


class _BookingRow(TypedRow, frozen=True, gc=False):
    entity = Booking

    from_time: datetime | None
    do_not_use_booking_credit: Flag
    tentative: Flag


class _DecidedRow(TypedRow, frozen=True, gc=False):
    entity = AllocationDocument

    source_id: int


class _MoneyWindow(TypedRow, frozen=True, gc=False):
    entity = CoworkerBookingCredit

    coworker_id: int | None
    valid_from: datetime | None
    expire_date: datetime | None
    cane_be_used_for_bookings: Flag

    @property
    def pays_bookings(self) -> bool:
        return bool(self.cane_be_used_for_bookings)


class _TimeWindow(TypedRow, frozen=True, gc=False):
    entity = CoworkerExtraService

    coworker_id: int | None
    valid_from: datetime | None
    expire_date: datetime | None
    extra_service_is_printing_credit: Flag

    @property
    def pays_bookings(self) -> bool:
        return not self.extra_service_is_printing_credit


_WINDOWS: Final[Mapping[AccountType, type[_MoneyWindow | _TimeWindow]]] = {
    AccountType.MONEY: _MoneyWindow,
    AccountType.TIME: _TimeWindow,
}


@dataclass(frozen=True, slots=True)
class _Needless:
    """A charge, the credit that would have paid, the amount that it would have paid, and what it had left."""

    charge: _ChargeRow
    account: AccountKey
    amount: Amount
    left: Amount

    def finding(self, credit: ReportCredit) -> ExceptionFinding:
        charge, left = self.charge, credit_number(credit, self.left)
        return ExceptionFinding(
            ExceptionCode.CHARGED,
            f"charge/{charge.id}",
            f"Charge {charge.id} of booking {charge.booking_id} names no decision, and this credit had {left} left",
            self.account,
            customer_id=charge.coworker_id,
            amount=min(self.amount, charge.price or 0) if credit.is_money else self.amount,
            since=epoch_microseconds(charge.created_on),
        )


async def find_needless_charges(
    session: ReadSession, request: ReportRequest, locations: Mapping[int, LocationInfo]
) -> list[ExceptionFinding]:
    """Charges without a decision, such as imported ones, of which credit could have paid a part.

    Applies the current rules to the balances at the time of the charge.
    """
    begins = await _load_charges(session, request, locations)
    usable = await _find_usable(session, request, begins, tuple(locations) or (0,))
    charges = [charge for charge in begins if usable[charge.id]]
    found: list[_Needless] = []
    for start in range(0, len(charges), _CHARGES_PER_LOAD):
        part = charges[start : start + _CHARGES_PER_LOAD]
        left = await _least_left(session, part, usable)
        for charge, basket in zip(part, await _load_baskets(session, request, part), strict=True):
            if basket is not None and (needless := _judge(charge, basket, left, request)):
                found.append(needless)
    if not found:
        return []
    scope = EntryScope(tuple(locations), tuple(AccountType))
    credits_ = await load_report_credits(session, scope, {each.account for each in found})
    return [each.finding(credits_[each.account]) for each in found if each.account in credits_]


async def _load_charges(
    session: ReadSession, request: ReportRequest, locations: Mapping[int, LocationInfo]
) -> dict[_ChargeRow, datetime]:
    """Recent charges without a decision, for bookings that credit may pay, and when each booking begins."""
    if request.account is not None or request.team is not None:
        return {}
    values: dict[str, object] = {"BusinessId": tuple(locations) or (0,)}
    if request.customer is not None:
        values["CoworkerId"] = request.customer
    created = CoworkerExtraService.meta().columns["CreatedOn"]
    recent = Filter(created, Comparison.AT_LEAST, request.now - CHARGE_AGE)
    filters = (*where(CoworkerExtraService, **values), *have_values(CoworkerExtraService, "BookingId"), recent)
    charges = [row for row in await find_filtered(session, _ChargeRow, filters) if row.price and not row.free]
    bookings = {charge.booking_id for charge in charges}
    decided = await find_rows(session, _DecidedRow, SourceKind=SourceKind.BOOKING.value, SourceId=bookings or {0})
    rows = await find_by_id(session, _BookingRow, bookings - {row.source_id for row in decided})
    payable = {row.id: row for row in rows.values() if not (row.tentative or row.do_not_use_booking_credit)}
    return {
        charge: payable[charge.booking_id].from_time or charge.created_on
        for charge in charges
        if charge.booking_id in payable
    }


async def _find_usable(
    session: ReadSession, request: ReportRequest, begins: Mapping[_ChargeRow, datetime], locations: tuple[int, ...]
) -> dict[int, set[AccountKey]]:
    """The credits of each charge's payers that had something left at the time of the charge, by the charge's Id.

    Leaves out credits that were valid neither at the charge nor when the booking begins (rule 12). Most charges
    have none, because credit that was left would have paid.
    """
    valid: dict[int, set[AccountKey]] = defaultdict(set)
    by_buyer: dict[int, list[_ChargeRow]] = defaultdict(list)
    for charge in begins:
        by_buyer[charge.coworker_id or 0].append(charge)
    buyers = sorted(by_buyer)
    for start in range(0, len(buyers), _BUYERS_PER_LOAD):
        payers = await load_payers(session, buyers[start : start + _BUYERS_PER_LOAD], request.now)
        payer_ids = {payer for each in payers.values() for payer in each.payer_ids}
        for mapping in MAPPINGS.values():
            windows = await _load_windows(session, mapping, payer_ids, locations)
            for buyer, each in payers.items():
                for charge in by_buyer[buyer]:
                    valid[charge.id] |= {
                        (mapping.account_type, window.id)
                        for payer in each.payer_ids
                        for window in windows[payer]
                        if _is_open(window, charge.created_on) or _is_open(window, begins[charge])
                    }
    instants = [(account, charge.created_on) for charge in begins for account in valid[charge.id]]
    left = await _left_before(session, instants)
    return {
        charge.id: {account for account in valid[charge.id] if left[account, charge.created_on] > 0}
        for charge in begins
    }


async def _load_windows(
    session: ReadSession, mapping: CreditTypeMapping, payers: Iterable[int], locations: tuple[int, ...]
) -> dict[int, list[_MoneyWindow | _TimeWindow]]:
    """The credits of payers that may pay for bookings, by their owner."""
    filters = where(mapping.credit_entity, CoworkerId=set(payers) or {0}, BusinessId=locations)
    found: dict[int, list[_MoneyWindow | _TimeWindow]] = defaultdict(list)
    for row in await find_filtered(session, _WINDOWS[mapping.account_type], (*filters, *without_charges(mapping))):
        if row.pays_bookings:
            found[row.coworker_id or 0].append(row)
    return found


def _is_open(window: _MoneyWindow | _TimeWindow, at: datetime) -> bool:
    """Whether the credit may have been valid within the second that begins at `at`."""
    has_begun = window.valid_from is None or window.valid_from < at + _SECOND
    return has_begun and (window.expire_date is None or window.expire_date > at)


async def _least_left(
    session: ReadSession, charges: Sequence[_ChargeRow], usable: Mapping[int, set[AccountKey]]
) -> dict[_Instant, Amount]:
    """The least that was left within the second of each charge; times of records are whole seconds."""
    instants = [(account, charge.created_on) for charge in charges for account in usable[charge.id]]
    before = await _left_before(session, instants)
    after = await _left_before(session, [(account, at + _SECOND) for account, at in instants])
    return {(account, at): min(before[account, at], after[account, at + _SECOND]) for account, at in instants}


async def _left_before(session: ReadSession, instants: Sequence[_Instant]) -> dict[_Instant, Amount]:
    """What remained of each credit before an instant and was not held, in its smallest unit."""
    found: dict[_Instant, Amount] = {}
    for mapping in MAPPINGS.values():
        own = [each for each in instants if each[0][0] is mapping.account_type]
        keys = [(credit_id, at) for (_, credit_id), at in own]
        if not keys:
            continue
        balances = await session.values_before(newest_entry(mapping.account_type, "BalanceAfter"), keys)
        held = await session.values_before(newest_entry(mapping.account_type, "HeldAfter"), keys)
        for instant, balance, reserved in zip(own, balances, held, strict=True):
            found[instant] = (balance - reserved) // mapping.scale
    return found


async def _load_baskets(
    session: ReadSession, request: ReportRequest, charges: Sequence[_ChargeRow]
) -> Sequence[Basket | None]:
    """The basket of each charge's booking; None if a record lacks what the price depends on."""
    requests = [
        BasketRequest(
            Buyer(charge.coworker_id or 0),
            (ItemRequest(SourceKind.BOOKING, charge.booking_id),),
            RequestContext(request.principal, charge.created_on),
            ignore_covered=True,
        )
        for charge in charges
    ]
    try:
        found = await load_baskets(session, requests)
    except StateConflict:
        if len(charges) == 1:
            return [None]
        # One incomplete record fails the whole load, so load one by one.
        half = len(charges) // 2
        first = await _load_baskets(session, request, charges[:half])
        return [*first, *await _load_baskets(session, request, charges[half:])]
    return [None if isinstance(each, ValidationError) else each for each in found]


def _judge(
    charge: _ChargeRow, basket: Basket, left: Mapping[_Instant, Amount], request: ReportRequest
) -> _Needless | None:
    """The first credit that would have paid, if any."""
    at = charge.created_on
    then = tuple(
        structs.replace(credit, remaining=left[account_key(credit.key), at], held=0)
        for credit in basket.credits
        if (account_key(credit.key), at) in left
    )
    taken = preview(replace(basket, credits=then), request.ledger, at).taken_by_credit()
    if not taken:
        return None
    key, amount = next(iter(taken.items()))
    return _Needless(charge, account_key(key), amount, left[account_key(key), at])
