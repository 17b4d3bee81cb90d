"""Loads acts outside of the ledger from the audit trail (rule 39), for the activity report."""

from __future__ import annotations

import json
from datetime import datetime

from creditdesk.auth.permission import holds_role
from creditdesk.auth.scope import scope_filters
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.roles import AUDIT_ROLE
from creditdesk.ledger.journal.entry import epoch_microseconds, from_epoch_microseconds
from creditdesk.ledger.loaders.rows import TypedRow, find_filtered
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.periods import end_cut, start_cut
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.values import BEGINNING, END_OF_TIME
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession


class RecordedAct(TypedRow, frozen=True, gc=False):
    """A record of the audit trail."""

    entity = AuditRecord

    business_id: int | None
    recorded_on: datetime
    action: str
    actor: str
    address: str | None
    subject: str | None
    subject_id: int | None
    details: str

    @property
    def subject_text(self) -> str:
        """What was acted on, such as `User 12`; empty for nothing named."""
        return f"{self.subject} {self.subject_id}" if self.subject else ""

    @property
    def details_text(self) -> str:
        """`Roles: clerk → manager; SessionId: 4`: what changed, with the value before and after."""
        return "; ".join(f"{name}: {_change_text(value)}" for name, value in json.loads(self.details).items())


async def load_recorded_acts(session: ReadSession, view: LedgerView) -> list[RecordedAct]:
    """The acts of the period, in order; none for a principal that may not read the audit trail.

    Acts without a location, such as sign-ins, are in reports about all locations only. A report limited to a
    customer, a kind or a funding has no acts.
    """
    request = view.request
    if _is_about_credits(request) or not holds_role(request.principal, AUDIT_ROLE):
        return []
    of_locations = where(AuditRecord, BusinessId=request.locations) if request.locations else ()
    filters = (*of_locations, *scope_filters(request.principal, AuditRecord), *_period_filters(view))
    acts = await find_filtered(session, RecordedAct, filters)
    actor = request.actor.lower() if request.actor else None
    return [act for act in acts if _is_in_period(act, view) and actor in (None, act.actor.lower())]


def _is_about_credits(request: ReportRequest) -> bool:
    return any((request.customer, request.team, request.credit_type, request.unit, request.funding))


def _period_filters(view: LedgerView) -> list[Filter]:
    """The widest period over the clocks of all locations."""
    request, column = view.request, AuditRecord.meta().columns["RecordedOn"]
    zones = [each.zone for each in view.locations.values()]
    first = min((start_cut(request.starts, zone).entries_before for zone in zones), default=BEGINNING)
    last = max((end_cut(request.ends, zone, request.now).entries_before for zone in zones), default=END_OF_TIME)
    filters = []
    if first != BEGINNING:
        filters.append(Filter(column, Comparison.AT_LEAST, from_epoch_microseconds(first)))
    if request.as_known_at is not None:
        filters.append(Filter(column, Comparison.AT_MOST, request.as_known_at))
    if last != END_OF_TIME:
        filters.append(Filter(column, Comparison.AT_MOST, from_epoch_microseconds(last)))
    return filters


def _is_in_period(act: RecordedAct, view: LedgerView) -> bool:
    """Whether the act is in the period by its location's clock, or without a location by any clock."""
    request, recorded = view.request, epoch_microseconds(act.recorded_on)
    location = view.locations.get(act.business_id or 0)
    zones = [location.zone] if location else [each.zone for each in view.locations.values()]
    return any(
        start_cut(request.starts, zone).entries_before
        <= recorded
        < end_cut(request.ends, zone, request.now).entries_before
        for zone in zones
    )


def _change_text(value: object) -> str:
    match value:
        case [before, after]:
            return f"{_value_text(before)} → {_value_text(after)}"
        case _:
            return _value_text(value)


def _value_text(value: object) -> str:
    match value:
        case None:
            return "–"
        case str():
            return value
        case list():
            return ", ".join(map(_value_text, value))
        case _:
            return json.dumps(value, ensure_ascii=False)
