"""Loads what the exceptions report reads beside the journal: bookings, holds, renewals, caps, clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from creditdesk.auth.scope import scope_filters
from creditdesk.entities.billing.coworker_extra_service_use_history import CoworkerExtraServiceUseHistory
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.reports.exception_acknowledgement import ExceptionAcknowledgement
from creditdesk.entities.states import HoldState
from creditdesk.ledger.journal.entry import AccountType, balance_change, epoch_microseconds
from creditdesk.ledger.journal.mapping import AccountKey, entry_from_record
from creditdesk.ledger.loaders.holds import HoldRow
from creditdesk.ledger.loaders.locations import load_location_clocks
from creditdesk.ledger.loaders.period_locks import find_late_lines
from creditdesk.ledger.loaders.rows import TypedRow, find_filtered
from creditdesk.ledger.operations.renewals import find_due_renewals
from creditdesk.reports.exception_bookings import find_needless_charges, find_unreturned_uses
from creditdesk.reports.exception_caps import find_exceeded_caps
from creditdesk.reports.exception_rules import ExceptionCode, LedgerException
from creditdesk.reports.exception_values import Acknowledgement, ExceptionFacts
from creditdesk.reports.exception_verification import describe_verification, find_verification_findings
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.values import ReportCredit
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


async def load_exception_facts(session: ReadSession, view: LedgerView) -> ExceptionFacts:
    """The facts about the credits and locations of a view, as they are now."""
    credits_ = {history.credit.account: history.credit for history in view.histories}
    found = [
        *await _overdue_holds(session, view, credits_),
        *await _uses_without_length(session, credits_),
        *await _missed_renewals(session, view),
        *await _locations_without_clock(session, view),
        *await _late_lines(session, view, credits_),
        *await find_unreturned_uses(session, view),
        *await find_exceeded_caps(session, view),
        *await find_needless_charges(session, view),
        *await find_verification_findings(session, view, credits_),
    ]
    rows = await find_filtered(
        session, _AcknowledgementRow, scope_filters(view.request.principal, ExceptionAcknowledgement)
    )
    acknowledged = {row.key: Acknowledgement(row.updated_by or "", row.created_on, row.note) for row in rows}
    return ExceptionFacts(tuple(found), acknowledged, await describe_verification(session))


async def _overdue_holds(
    session: ReadSession, view: LedgerView, credits_: dict[AccountKey, ReportCredit]
) -> list[LedgerException]:
    columns = Hold.meta().columns
    overdue = (
        *where(Hold, State=HoldState.HELD.value),
        Filter(columns["Until"], Comparison.AT_MOST, view.request.now),
    )
    return [
        LedgerException(
            ExceptionCode.HOLD_OVERDUE,
            credit.business_id,
            f"hold/{row.id}",
            f"Held for {row.source_kind.value} {row.source_id}",
            credit,
            row.coworker_id,
            row.held_amount,
            None if row.until is None else epoch_microseconds(row.until),
        )
        for row in await find_filtered(session, HoldRow, overdue)
        if (credit := credits_.get(row.account)) is not None
    ]


async def _uses_without_length(session: ReadSession, credits_: dict[AccountKey, ReportCredit]) -> list[LedgerException]:
    null = Filter(CoworkerExtraServiceUseHistory.meta().columns["CreditUsed"], Comparison.NULL)
    found = []
    for row in await find_filtered(session, _NullUseRow, (null,)):
        credit = credits_.get((AccountType.TIME, row.coworker_extra_service_id or 0))
        if credit is not None:
            found.append(
                LedgerException(
                    ExceptionCode.NO_LENGTH,
                    credit.business_id,
                    f"use/{row.id}",
                    f"Use {row.id} names no booking, and its rate does not count uses",
                    credit,
                    credit.customer_id,
                    since=epoch_microseconds(row.created_on),
                )
            )
    return found


async def _missed_renewals(session: ReadSession, view: LedgerView) -> list[LedgerException]:
    request = view.request
    if request.account is not None:
        return []
    due = await find_due_renewals(session, RequestContext(request.principal, request.now), request.now)
    return [
        LedgerException(
            ExceptionCode.RENEWAL_MISSED,
            each.contract.issued_by_id or 0,
            f"renewal/{each.key}",
            f"{each.benefit.name} of contract {each.contract.id} from {each.period.starts}",
            customer_id=each.contract.coworker_id,
            since=epoch_microseconds(each.period.valid_from(each.clock.zone)),
        )
        for each in due
        if each.contract.issued_by_id in view.locations and request.customer in (None, each.contract.coworker_id)
    ]


async def _locations_without_clock(session: ReadSession, view: LedgerView) -> Iterator[LedgerException]:
    if view.request.customer is not None or view.request.account is not None or view.request.team is not None:
        return iter(())
    clocks = await load_location_clocks(session, view.locations)
    return (
        LedgerException(ExceptionCode.NO_CLOCK, location.id, "clock", f"{location.name} has no time zone")
        for location in view.locations.values()
        if location.id not in clocks
    )


async def _late_lines(
    session: ReadSession, view: LedgerView, credits_: dict[AccountKey, ReportCredit]
) -> list[LedgerException]:
    found = []
    for location_id in view.locations:
        for line in await find_late_lines(session, location_id):
            entry = entry_from_record(line)
            credit = credits_.get((entry.credit_kind, entry.credit_id))
            if credit is not None:
                subject = f"{entry.credit_kind}/{entry.credit_id}/{entry.sequence}"
                explanation = f"Entry {line['Id']}, a {entry.kind.value} by {entry.actor}: {entry.reason}"
                at_stake = (credit.customer_id, balance_change(entry.kind, entry.amount), entry.recorded_microseconds)
                code = ExceptionCode.CLOSED_PERIOD
                found.append(LedgerException(code, location_id, subject, explanation, credit, *at_stake))
    return found
