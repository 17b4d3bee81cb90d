"""Closes months for the HTTP API: their state by location, a preview, closing and reopening."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from creditdesk.auth.encryption import SecretCipher
from creditdesk.auth.scope import scope_filters
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, load_location_clocks
from creditdesk.ledger.loaders.period_locks import load_closed_until
from creditdesk.ledger.loaders.rows import find_filtered
from creditdesk.ledger.rules.calendar import add_months, local_date, start_of_day
from creditdesk.reports.closings import CLOSED, REOPENED, ClosingRow, load_closings
from creditdesk.reports.rows import LocationRow
from creditdesk.scheduler.closing import (
    CLOSING_REPORTS,
    Closing,
    ClosingContext,
    close_month,
    closing_problems,
    location_zone,
    reopen_month,
)
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.schema.service import RequestContext
from creditdesk.schema.validation import NOT_FOUND_MESSAGE

MONTHS_SHOWN: Final = 12
"""The number of ended months in a location's list, in addition to those that were ever closed."""
OPEN: Final = "open"
COVERED: Final = "covered"
"""Closed together with a later month."""
_MAX_PROBLEMS: Final = 50
NO_FOLDER: Final = "Closing needs a folder for its reports: set report_folder."


@dataclass(frozen=True, slots=True)
class LedgerMonthCloser:
    """Closes months of a ledger; the reports of a closing go to `folder`."""

    store: Store
    ledger: LedgerContext
    cipher: SecretCipher
    folder: Path | None

    async def months(self, context: RequestContext) -> list[dict[str, Any]]:
        """The last ended months of each location that the caller sees, with their state."""
        async with self.store.read_session() as session:
            rows = await find_filtered(session, LocationRow, scope_filters(context.principal, Business))
            ids = [row.id for row in rows]
            clocks = await load_location_clocks(session, ids)
            closings = await load_closings(session, ids)
            closed_until = await load_closed_until(session, ids)
        found: list[dict[str, Any]] = []
        for row in sorted(rows, key=lambda row: row.name):
            zone = clocks.get(row.id, DEFAULT_CLOCK).zone
            own = [each for each in closings if each.business_id == row.id]
            location = {"LocationId": row.id, "Location": row.name, "TimeZone": zone.key}
            months = _months(local_date(self.ledger.clock(), zone), own)
            found += [location | _month_state(month, zone, own, closed_until.get(row.id)) for month in months]
        return found

    async def preview(self, context: RequestContext, location_id: int, month: date) -> dict[str, Any]:
        """What closing would lock and write, and the problems that would prevent it."""
        closing = self._context(context, location_id)
        async with self.store.read_session() as session:
            zone = await location_zone(session, location_id)
            closings = await load_closings(session, [location_id])
            closed_until = (await load_closed_until(session, [location_id])).get(location_id)
        state = _month_state(month, zone, closings, closed_until)
        has_ended = start_of_day(add_months(month, 1), zone) <= self.ledger.clock()
        problems = await self.store.read_detached(partial(closing_problems, closing, location_id)) if has_ended else []
        return state | {
            "LocationId": location_id,
            "TimeZone": zone.key,
            "HasEnded": has_ended,
            "ClosedUntil": None if closed_until is None else format_datetime(closed_until),
            "ProblemCount": len(problems),
            "Problems": problems[:_MAX_PROBLEMS],
            "Documents": [f"{name}.{file_type}" for name, file_type in CLOSING_REPORTS],
            "CanClose": has_ended and not problems and state["State"] != CLOSED and self.folder is not None,
        }

    async def close(
        self,
        context: RequestContext,
        location_id: int,
        month: date,
        record_answer: Callable[[WriteSession, dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Closes a month (rule 37), and records the closing. Raises StateConflict."""
        if self.folder is None:
            raise StateConflict(NO_FOLDER)

        async def record(session: WriteSession, closing: Closing) -> None:
            documents = {path.name: digest for path, digest in closing.documents.items()}
            await record_answer(session, {"Checkpoint": closing.checkpoint, "Documents": documents})

        await close_month(self._context(context, location_id), location_id, month, record)

    async def reopen(
        self,
        context: RequestContext,
        location_id: int,
        month: date,
        reason: str,
        record_answer: Callable[[WriteSession], Awaitable[None]],
    ) -> None:
        """Reopens a closed month, and records that. Raises StateConflict."""
        await reopen_month(self._context(context, location_id), location_id, month, reason, record_answer)

    def _context(self, context: RequestContext, location_id: int) -> ClosingContext:
        if not context.principal.sees_location(location_id):
            raise invalid_field("LocationId", NOT_FOUND_MESSAGE, location_id)
        return ClosingContext(self.store, context.principal, self.ledger, self.cipher, self.folder or Path())


def _months(today: date, closings: Sequence[ClosingRow]) -> list[date]:
    """The last ended months and those that were ever closed, latest first."""
    first = today.replace(day=1)
    ended = {add_months(first, -back) for back in range(1, MONTHS_SHOWN + 1)}
    return sorted(ended | {date.fromisoformat(f"{each.month}-01") for each in closings}, reverse=True)


def _month_state(
    month: date, zone: ZoneInfo, closings: Sequence[ClosingRow], closed_until: datetime | None
) -> dict[str, Any]:
    label, until = f"{month:%Y-%m}", start_of_day(add_months(month, 1), zone)
    last = next((each for each in reversed(closings) if each.month == label), None)
    is_locked = closed_until is not None and closed_until >= until
    state = COVERED if is_locked else OPEN
    if last is not None and (last.action == CLOSED or not is_locked):
        state = CLOSED if last.action == CLOSED else REOPENED
    return {
        "Month": label,
        "State": state,
        "From": month.isoformat(),
        "To": (add_months(month, 1) - timedelta(days=1)).isoformat(),
        "UntilUtc": format_datetime(until),
        "By": (last.updated_by or "") if last else "",
        "On": format_datetime(last.created_on) if last else None,
        "Reason": last.reason if last else "",
        "Checkpoint": last.checkpoint_id if last else None,
    }
