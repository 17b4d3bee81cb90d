"""Loads the view of a report: its locations, credits and entries, within the caller's scope."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Final

from creditdesk.auth.scope import scope_filters
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, load_location_clocks
from creditdesk.ledger.loaders.past_terms import find_former_credits
from creditdesk.ledger.loaders.rows import find_by_id, find_filtered
from creditdesk.ledger.rules.credit import CreditType, SourceKind
from creditdesk.reports.closings import closing_note, load_closings
from creditdesk.reports.credit_loader import DEFAULT_UNIT, load_report_credits
from creditdesk.reports.entry_loader import EntryScope, LoadedEntries, load_journals, load_period
from creditdesk.reports.journal_head import combined_digest
from creditdesk.reports.ledger_view import CheckpointInfo, CreditHistory, JournalSummary, LedgerView, LocationInfo
from creditdesk.reports.location_totals import load_journal_head
from creditdesk.reports.past_windows import load_past_windows
from creditdesk.reports.periods import end_cut, start_cut
from creditdesk.reports.request import LOCATION_IDS, OF_CREDIT, TEAM_ID, ReportRequest
from creditdesk.reports.rows import LocationRow, RoomRow
from creditdesk.reports.values import NO_PLAN, NOTHING, Position, ReportCredit, ReportEntry
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.repository import ReadSession, find_first
from creditdesk.schema.validation import NOT_FOUND_MESSAGE

_COUNTS_USED_UP: Final = frozenset({"breakage"})
"""The reports that also count used-up credits."""


async def load_view(
    session: ReadSession,
    request: ReportRequest,
    *,
    only_end: bool = False,
    chosen: frozenset[AccountKey] | None = None,
) -> LedgerView:
    """Loads the view of a request.

    With `only_end` the view may have only what each credit held at the end, without the entries. `chosen`
    limits the credits. Raises ValidationError for a location, customer, team or credit that does not exist
    for the caller.
    """
    locations = await load_locations(session, request)
    scope = replace(await _scope(session, request, tuple(locations)), chosen=chosen)
    by_recording = request.as_known_at is None
    is_of_locations = request.is_of_locations
    if by_recording and is_of_locations and (only_end or request.starts is not None):
        loaded = await load_period(session, request, scope, locations)
        is_of_all = request.name in _COUNTS_USED_UP
        accounts = loaded.accounts if is_of_all else _accounts_with_amounts(loaded)
        credits_ = await load_report_credits(session, scope, accounts)
    else:
        credits_ = await load_report_credits(session, scope, chosen)
        if request.is_of_past:
            credits_ |= await _load_former(session, scope)
        if scope.account is not None and scope.account not in credits_:
            raise invalid_field(OF_CREDIT.name, NOT_FOUND_MESSAGE, request.credit_id)
        loaded = await load_journals(session, request, scope, locations, credits_)
    credits_ |= await _load_deleted(session, scope, locations, loaded, credits_)
    credits_ |= await load_past_windows(session, request, locations, credits_)
    if scope.customer is not None:
        credits_ = {account: each for account, each in credits_.items() if each.customer_id == scope.customer}
    found = [
        _history(credits_[account], loaded) for account in sorted(credits_) if is_wanted(credits_[account], request)
    ]
    view = LedgerView(request, locations, found, by_recording)
    # A credit that is granted later changes nothing in the report of an earlier time.
    view = replace(view, histories=[each for each in found if view.has_begun(each)])
    rooms = await _load_rooms(session, view.histories) if request.name == "utilisation" else {}
    return replace(await with_footer_facts(session, view), rooms=rooms)


async def with_footer_facts(session: ReadSession, view: LedgerView) -> LedgerView:
    """Adds the facts of the footer to a view: the journal of whole locations, the checkpoint, closed months."""
    return replace(
        view,
        notes=await _load_notes(session, view),
        checkpoint=await _load_checkpoint_info(session, view),
        journal=await _load_journal_summary(session, view) if view.request.is_of_locations else None,
    )


async def _load_former(session: ReadSession, scope: EntryScope) -> dict[AccountKey, ReportCredit]:
    """The credits that a customer owned before they changed owner; none if the scope is not a customer."""
    if scope.customer is None:
        return {}
    accounts = [
        (account_type, credit_id)
        for account_type in scope.account_types
        for credit_id in await find_former_credits(session, MAPPINGS[account_type], scope.customer)
    ]
    return await load_report_credits(session, replace(scope, customer=None), accounts) if accounts else {}


def _accounts_with_amounts(loaded: LoadedEntries) -> set[AccountKey]:
    """The credits that held something before the period, or have entries in it."""
    held = {account for account, entry in loaded.before.items() if entry.balance_after or entry.held_after}
    return held | loaded.entries.keys()


def _history(credit: ReportCredit, loaded: LoadedEntries) -> CreditHistory:
    before = loaded.before.get(credit.account)
    last_use = loaded.last_uses.get(credit.account)
    return CreditHistory(
        credit,
        Position(before.balance_after, before.held_after) if before else NOTHING,
        loaded.entries.get(credit.account, []),
        before,
        last_use.at if last_use else None,
    )


def is_wanted(credit: ReportCredit, request: ReportRequest) -> bool:
    """Whether a credit matches the kind, funding and unit of a request."""
    return (
        (request.credit_type is None or credit.credit_type is request.credit_type)
        and (request.funding is None or credit.funding is request.funding)
        and (request.unit is None or credit.unit.lower() == request.unit.lower())
        and (request.plan is None or (credit.plan or credit.product or NO_PLAN) == request.plan)
    )


async def load_locations(session: ReadSession, request: ReportRequest) -> dict[int, LocationInfo]:
    """The locations of a request. Raises ValidationError for one that does not exist for the caller."""
    wanted = where(Business, Id=request.locations) if request.locations else ()
    rows = await find_filtered(session, LocationRow, (*wanted, *scope_filters(request.principal, Business)))
    if missing := set(request.locations) - {row.id for row in rows}:
        raise invalid_field(LOCATION_IDS.name, NOT_FOUND_MESSAGE, min(missing))
    clocks = await load_location_clocks(session, [row.id for row in rows])
    return {
        row.id: LocationInfo(row.id, row.name, clocks.get(row.id, DEFAULT_CLOCK).zone, row.currency_code or "")
        for row in rows
    }


async def _scope(session: ReadSession, request: ReportRequest, locations: tuple[int, ...]) -> EntryScope:
    customer = request.customer
    if request.team is not None:
        teams = await session.find(
            Team,
            (*where(Team, Id=request.team), *scope_filters(request.principal, Team)),
            columns=("Id", "PayingMemberId"),
        )
        if not teams or not teams[0]["PayingMemberId"]:
            raise invalid_field(TEAM_ID.name, NOT_FOUND_MESSAGE, request.team)
        customer = teams[0]["PayingMemberId"]
    types: tuple[AccountType, ...] = tuple(AccountType)
    if request.credit_type is not None:
        types = (AccountType.MONEY if request.credit_type is CreditType.MONEY else AccountType.TIME,)
    return EntryScope(locations, types, customer, request.account)


async def _load_deleted(
    session: ReadSession,
    scope: EntryScope,
    locations: dict[int, LocationInfo],
    loaded: LoadedEntries,
    known: Container[AccountKey],
) -> dict[AccountKey, ReportCredit]:
    """Credits that were deleted unused: only the journal still has them."""
    deleted: dict[AccountKey, ReportCredit] = {}
    missing = [account for account in _accounts_with_amounts(loaded) if account not in known]
    for account_type in scope.account_types:
        entity = MAPPINGS[account_type].credit_entity
        ids = {credit_id for kind, credit_id in missing if kind is account_type}
        if not ids:
            continue
        ids -= {record["Id"] for record in await session.find(entity, where(entity, Id=ids), columns=("Id",))}
        for credit_id in ids:
            account = (account_type, credit_id)
            entry = loaded.before.get(account) or loaded.entries[account][0]
            location = locations.get(entry.business_id)
            if location is not None and scope.customer in (None, entry.customer_id):
                deleted[account] = _deleted_credit(entry, location)
    return deleted


def _deleted_credit(entry: ReportEntry, location: LocationInfo) -> ReportCredit:
    kind, credit_id = entry.account
    is_money = kind is AccountType.MONEY
    return ReportCredit(
        account_type=kind,
        id=credit_id,
        business_id=entry.business_id,
        customer_id=entry.customer_id,
        credit_type=CreditType.MONEY if is_money else CreditType.TIME,
        unit=location.currency.upper() if is_money else DEFAULT_UNIT,
        description="deleted credit",
    )


async def _load_checkpoint_info(session: ReadSession, view: LedgerView) -> CheckpointInfo | None:
    """The newest checkpoint made by the `known_as_of` of the view."""
    meta = StoredCheckpoint.meta()
    filters = (Filter(meta.columns["CreatedOn"], Comparison.AT_MOST, view.known_as_of),)
    newest_first = Order(meta.columns["Id"], descending=True)
    found = await find_first(session, StoredCheckpoint, filters, newest_first, columns=("Id", "Document"))
    return CheckpointInfo(found["Id"], found["Document"]["root"]) if found else None


async def _load_rooms(session: ReadSession, histories: list[CreditHistory]) -> dict[int, str]:
    entries = (entry for history in histories for entry in history.entries)
    bookings = {entry.source_id for entry in entries if entry.source_kind == SourceKind.BOOKING.value}
    found = await find_by_id(session, RoomRow, bookings)
    return {booking_id: row.resource_name or "" for booking_id, row in found.items()}


async def _load_journal_summary(session: ReadSession, view: LedgerView) -> JournalSummary:
    """How many entries the journals of the view's locations have by its end, and their digest."""
    request, known = view.request, view.request.as_known_at
    heads = {}
    for each in view.locations.values():
        cut = end_cut(request.ends if known is None else known, each.zone, request.now)
        heads[each.id] = await load_journal_head(session, each.id, cut)
    return JournalSummary(sum(head.entries for head in heads.values()), combined_digest(heads))


async def _load_notes(session: ReadSession, view: LedgerView) -> tuple[str, ...]:
    """The closings and reopenings of the months that end in the report's period."""
    request = view.request
    notes = []
    for row in await load_closings(session, [each.id for each in view.report_locations()]):
        location = view.locations[row.business_id]
        until = epoch_microseconds(row.until)
        start = start_cut(request.starts, location.zone).expired_by
        if start < until <= end_cut(request.ends, location.zone, request.now).expired_by:
            notes.append(closing_note(row, location.name))
    return tuple(notes)
