"""Loads the data of the exceptions report: findings from other records than the journal, and the credits to judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from creditdesk.auth.scope import scope_filters
from creditdesk.entities.billing.coworker_extra_service_use_history import CoworkerExtraServiceUseHistory
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.reports.exception_acknowledgement import ExceptionAcknowledgement
from creditdesk.entities.states import HoldState
from creditdesk.ledger.journal.entry import AccountType, balance_change, epoch_microseconds
from creditdesk.ledger.journal.mapping import entry_from_record
from creditdesk.ledger.loaders.holds import HoldRow
from creditdesk.ledger.loaders.locations import load_location_clocks
from creditdesk.ledger.loaders.period_locks import find_late_lines
from creditdesk.ledger.loaders.rows import TypedRow, find_filtered
from creditdesk.ledger.operations.renewals import find_due_renewals
from creditdesk.reports.exception_bookings import find_unreturned_uses
from creditdesk.reports.exception_candidates import find_candidates
from creditdesk.reports.exception_caps import find_exceeded_caps
from creditdesk.reports.exception_charges import find_needless_charges
from creditdesk.reports.exception_rules import ExceptionCode
from creditdesk.reports.exception_values import Acknowledgement, ExceptionFacts, ExceptionFinding
from creditdesk.reports.exception_verification import describe_verification, find_verification_findings
from creditdesk.reports.ledger_view import LedgerView, LocationInfo
from creditdesk.reports.loader import load_locations, load_view
from creditdesk.reports.request import ReportRequest
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext


class _NullUseRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerExtraServiceUseHistory

    coworker_extra_service_id: int | None
    created_on: datetime


class _AcknowledgementRow(TypedRow, frozen=True, gc=False):
    entity = ExceptionAcknowledgement

    key: str
    note: str
    created_on: datetime
    updated_by: str | None


async def load_exceptions_view(session: ReadSession, request: ReportRequest) -> LedgerView:
    """The view of the credits that an exception can be about, with the findings from other records.

    A report about a customer, a team or a credit, or as known at an instant, judges every credit.
    """
    locations = await load_locations(session, request)
    findings = await _find_beside_journal(session, request, locations)
    chosen = None
    if request.is_of_locations and request.as_known_at is None:
        named = {each.account for each in findings if each.account is not None}
        chosen = frozenset(named | await find_candidates(session, request, locations))
    return replace(await load_view(session, request, chosen=chosen), findings=findings)


async def load_exception_facts(session: ReadSession, view: LedgerView) -> ExceptionFacts:
    """The findings about the credits and locations of a view, and their acknowledgements."""
    credits_ = {history.credit.account: history.credit for history in view.histories}
    found = [
        each.about(credits_.get(each.account) if each.account else None)
        for each in view.findings
        if each.account is None or each.of_ledger or each.account in credits_
    ]
    found += await find_unreturned_uses(session, view)
    found += await find_exceeded_caps(session, view)
    rows = await find_filtered(
        session, _AcknowledgementRow, scope_filters(view.request.principal, ExceptionAcknowledgement)
    )
    acknowledged = {row.key: Acknowledgement(row.updated_by or "", row.created_on, row.note) for row in rows}
    return ExceptionFacts(tuple(found), acknowledged, await describe_verification(session))


async def _find_beside_journal(
    session: ReadSession, request: ReportRequest, locations: Mapping[int, LocationInfo]
) -> tuple[ExceptionFinding, ...]:
    return (
        *await _overdue_holds(session, request),
        *await _uses_without_length(session),
        *await _missed_renewals(session, request, locations),
        *await _locations_without_clock(session, request, locations),
        *await _late_lines(session, locations),
        *await find_needless_charges(session, request, locations),
        *await find_verification_findings(session, request),
    )


async def _overdue_holds(session: ReadSession, request: ReportRequest) -> list[ExceptionFinding]:
    overdue = (
        *where(Hold, State=HoldState.HELD.value),
        Filter(Hold.meta().columns["Until"], Comparison.AT_MOST, request.now),
    )
    return [
        ExceptionFinding(
            ExceptionCode.HOLD_OVERDUE,
            f"hold/{row.id}",
            f"Held for {row.source_kind.value} {row.source_id}",
            row.account,
            customer_id=row.coworker_id,
            amount=row.held_amount,
            since=None if row.until is None else epoch_microseconds(row.until),
        )
        for row in await find_filtered(session, HoldRow, overdue)
    ]


async def _uses_without_length(session: ReadSession) -> list[ExceptionFinding]:
    null = Filter(CoworkerExtraServiceUseHistory.meta().columns["CreditUsed"], Comparison.NULL)
    return [
        ExceptionFinding(
            ExceptionCode.NO_LENGTH,
            f"use/{row.id}",
            f"Use {row.id} names no booking, and its rate does not count uses",
            (AccountType.TIME, row.coworker_extra_service_id or 0),
            since=epoch_microseconds(row.created_on),
        )
        for row in await find_filtered(session, _NullUseRow, (null,))
    ]


async def _missed_renewals(
    session: ReadSession, request: ReportRequest, locations: Mapping[int, LocationInfo]
) -> list[ExceptionFinding]:
    if request.account is not None:
        return []
    due = await find_due_renewals(session, RequestContext(request.principal, request.now), request.now)
    return [
        ExceptionFinding(
            ExceptionCode.RENEWAL_MISSED,
            f"renewal/{each.key}",
            f"{each.benefit.name} of contract {each.contract.id} from {each.period.starts}",
            business_id=each.contract.issued_by_id or 0,
            customer_id=each.contract.coworker_id,
            since=epoch_microseconds(each.period.valid_from(each.clock.zone)),
        )
        for each in due
        if each.contract.issued_by_id in locations and request.customer in (None, each.contract.coworker_id)
    ]


async def _locations_without_clock(
    session: ReadSession, request: ReportRequest, locations: Mapping[int, LocationInfo]
) -> Iterator[ExceptionFinding]:
    if not request.is_of_locations:
        return iter(())
    clocks = await load_location_clocks(session, locations)
    return (
        ExceptionFinding(ExceptionCode.NO_CLOCK, "clock", f"{location.name} has no time zone", business_id=location.id)
        for location in locations.values()
        if location.id not in clocks
    )


async def _late_lines(session: ReadSession, locations: Mapping[int, LocationInfo]) -> list[ExceptionFinding]:
    found = []
    for location_id in locations:
        for line in await find_late_lines(session, location_id):
            entry = entry_from_record(line)
            found.append(
                ExceptionFinding(
                    ExceptionCode.CLOSED_PERIOD,
                    f"{entry.credit_kind}/{entry.credit_id}/{entry.sequence}",
                    f"Entry {line['Id']}, a {entry.kind.value} by {entry.actor}: {entry.reason}",
                    (entry.credit_kind, entry.credit_id),
                    location_id,
                    amount=balance_change(entry.kind, entry.amount),
                    since=entry.recorded_microseconds,
                )
            )
    return found
