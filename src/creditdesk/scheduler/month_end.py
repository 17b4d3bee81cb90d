"""Writes the saved reports of every location to a folder once its month has ended."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from creditdesk.entities.report_enums import (
    ReportFileType,
    ReportType,
    SavedReportGrouping,
    SavedReportKind,
    SavedReportPeriod,
)
from creditdesk.entities.reports.saved_report import SavedReport
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, load_location_clocks
from creditdesk.ledger.loaders.rows import TypedRow, find_filtered
from creditdesk.ledger.rules.calendar import add_months, local_date
from creditdesk.private_files import open_private_bytes
from creditdesk.reports.catalog import REPORTS, run_report
from creditdesk.reports.documents import report_document
from creditdesk.reports.files import FILE_FORMATS
from creditdesk.reports.request import parse_report_request
from creditdesk.reports.result import ReportResult
from creditdesk.schema.errors import DomainError
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.schema.service import RequestContext

REPORT_NAMES: Final = {
    ReportType.Statement: "statement",
    ReportType.Liability: "liability",
    ReportType.RollForward: "roll-forward",
    ReportType.Ageing: "ageing",
    ReportType.Breakage: "breakage",
    ReportType.Exceptions: "exceptions",
    ReportType.Utilisation: "utilisation",
    ReportType.Activity: "activity",
}
"""The report of each saved type."""

_UNSAFE: Final = re.compile(r"[^\w.-]+")
_MAX_NAME_BYTES: Final = 200
"""The number of characters of a saved report's name in its file name, which file systems limit to 255 bytes."""


class _SavedRow(TypedRow, frozen=True, gc=False):
    entity = SavedReport

    business_id: int
    name: str
    report: ReportType
    format: ReportFileType
    period: SavedReportPeriod | None
    coworker_id: int | None
    kind: SavedReportKind | None
    group_by: SavedReportGrouping | None


@dataclass(frozen=True, slots=True)
class MonthEndResult:
    """The written files, and a message for each saved report that could not be computed."""

    written: tuple[Path, ...]
    problems: tuple[str, ...]


async def write_month_end_reports(
    store: Store, folder: Path, context: RequestContext, ledger: LedgerContext
) -> MonthEndResult:
    """Writes the missing files of the last full month of each location.

    A file is `{month}/{location}-{id}-{name}.{format}` and is never overwritten. One report that cannot be
    computed stops no other.
    """
    async with store.read_session() as session:
        saved = await find_filtered(session, _SavedRow, where(SavedReport, Active=True))
        clocks = await load_location_clocks(session, [row.business_id for row in saved])
    written: list[Path] = []
    problems: list[str] = []
    for row in saved:
        today = local_date(context.now, clocks.get(row.business_id, DEFAULT_CLOCK).zone)
        last = today.replace(day=1) - timedelta(days=1)
        file_type = row.format.name.lower()
        safe = _UNSAFE.sub("-", row.name).encode()[:_MAX_NAME_BYTES].decode(errors="ignore")
        name = safe.strip("-.") or str(row.id)
        path = folder / f"{last:%Y-%m}" / f"{row.business_id}-{row.id}-{name}.{file_type}"
        if path.exists():
            continue
        try:
            body = await store.read_detached(partial(_render, row, last, context, ledger))
        except DomainError as error:
            problems.append(f"{row.name}: {error}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_private_bytes(path) as file:
            file.write(body)
        written.append(path)
    return MonthEndResult(tuple(written), tuple(problems))


async def _render(
    row: _SavedRow, last: date, context: RequestContext, ledger: LedgerContext, session: ReadSession
) -> bytes:
    starts = first_day(row.period or SavedReportPeriod.LastMonth, last)
    raw = {
        "CoworkerId": row.coworker_id,
        "Kind": row.kind.name.lower() if row.kind else None,
        "By": row.group_by.name.lower() if row.group_by else None,
    }
    raw |= _period_params(REPORT_NAMES[row.report], row.business_id, starts, last)
    request = parse_report_request(REPORT_NAMES[row.report], raw, context.principal, context.now, ledger)
    result = await run_report(session, request)
    return file_bytes(result, row.format.name.lower())


def first_day(period: SavedReportPeriod, last: date) -> date:
    """The first day of a period that ends with the last day of a month."""
    first = last.replace(day=1)
    match period:
        case SavedReportPeriod.LastMonth:
            return first
        case SavedReportPeriod.LastThreeMonths:
            return add_months(first, -2)
        case SavedReportPeriod.LastTwelveMonths:
            return add_months(first, -11)
        case SavedReportPeriod.YearToDate:
            return first.replace(month=1)


async def month_report(
    session: ReadSession, name: str, location_id: int, last: date, context: RequestContext, ledger: LedgerContext
) -> ReportResult:
    """A report about one location and the month that ends with the local date `last`."""
    raw = _period_params(name, location_id, last.replace(day=1), last)
    return await run_report(session, parse_report_request(name, raw, context.principal, context.now, ledger))


def _period_params(name: str, location_id: int, starts: date, last: date) -> dict[str, Any]:
    raw: dict[str, Any] = {"LocationIds": [location_id], "To": last.isoformat()}
    if REPORTS[name].of_period:
        raw["From"] = starts.isoformat()
    return raw


def file_bytes(result: ReportResult, file_type: str) -> bytes:
    """The report in a file format, `json` among them."""
    if file_type == "json":
        return json.dumps(report_document(result), indent=1, ensure_ascii=False).encode()
    return FILE_FORMATS[file_type].render(result)
