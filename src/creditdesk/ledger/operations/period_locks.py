"""Closing and reopening the periods of a location (rule 37).

A closed period accepts no journal line that takes effect in it, except the expiry of a credit and the end of
a hold: their instants were known before, and they move no balance.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from creditdesk.entities.ledger.period_lock import PeriodLock
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.mapping import unknown_reference
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.period_locks import load_closed_until
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


async def close_period(
    session: WriteSession,
    business_id: int,
    until: datetime,
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
) -> int:
    """Closes every period of a location that ends by `until`; returns the id of the closing.

    Raises ValidationError for an instant in the future, StateConflict if the location is already closed until then.
    """
    if until > ledger.clock():
        raise invalid_field("Until", "must not lie ahead", format_datetime(until))
    closed_until = (await _lock_location(session, business_id, context)).get(business_id)
    if closed_until is not None and closed_until >= until:
        raise StateConflict(f"This location is closed until {format_datetime(closed_until)} already.")
    return await _record(session, business_id, until, reason, context, ledger)


async def reopen_period(
    session: WriteSession,
    business_id: int,
    until: datetime | None,
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
) -> int:
    """Reopens the periods of a location after `until`, or all; returns the id of the reopening.

    Raises StateConflict if they are open.
    """
    closed_until = (await _lock_location(session, business_id, context)).get(business_id)
    if closed_until is None or (until is not None and closed_until <= until):
        raise StateConflict("The period is open.")
    return await _record(session, business_id, until, reason, context, ledger)


async def require_open_period(
    session: WriteSession, business_id: int, effective: datetime, ledger: LedgerContext
) -> None:
    """Raises ValidationError if `effective` lies in a closed period of the location.

    Locks the location against a concurrent closing, before any account. With `ledger.take_closed_period_lines` such
    a line is accepted, and reports list it.
    """
    if ledger.settings.take_closed_period_lines:
        return
    await session.lock(Business, [business_id], ("Id",))
    if message := closed_period_error(await load_closed_until(session, [business_id]), business_id, effective):
        raise invalid_field("EffectiveOn", message, format_datetime(effective))


def closed_period_error(
    closed_until: Mapping[int, datetime], business_id: int | None, effective: datetime
) -> str | None:
    """The error of a line that takes effect then, by `load_closed_until`; None if the period is open."""
    until = closed_until.get(business_id or 0)
    if until is None or effective >= until:
        return None
    return f"lies in a closed period: the location is closed until {format_datetime(until)}"


async def _lock_location(session: WriteSession, business_id: int, context: RequestContext) -> dict[int, datetime]:
    found = await session.lock(Business, [business_id], ("Id",))
    if not found or not context.principal.sees_location(business_id):
        raise unknown_reference("Business", business_id)
    return await load_closed_until(session, [business_id])


async def _record(
    session: WriteSession,
    business_id: int,
    until: datetime | None,
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
) -> int:
    now = ledger.clock()
    values = {"BusinessId": business_id, "ClosedUntil": until, "Reason": reason}
    # With its fraction of a second, as late lines are those that were recorded after it.
    record = {**new_record(PeriodLock, values, now, context.principal.email), "CreatedOn": now}
    (lock_id,) = await session.insert(PeriodLock, [record])
    return lock_id
