"""Writes the saved reports of every location to a folder once its month has ended."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from creditdesk.entities.enums import ReportFileType, ReportType
from creditdesk.entities.reports.saved_report import SavedReport
from creditdesk.ledger.journal.mapping import where
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, load_location_clocks
from creditdesk.ledger.loaders.rows import TypedRow, find_filtered
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.private_files import open_private_bytes
from creditdesk.reports.catalog import REPORTS, run_report
from creditdesk.reports.documents import report_document
from creditdesk.reports.files import FILE_FORMATS
from creditdesk.reports.request import parse_report_request
from creditdesk.reports.result import ReportResult
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


class _SavedRow(TypedRow, frozen=True, gc=False):
    entity = SavedReport

    business_id: int
    name: str
    report: ReportType
    format: ReportFileType


async def write_month_end_reports(
    store: Store, folder: Path, context: RequestContext, ledger: LedgerContext
) -> list[Path]:
    """Writes the missing files of the last full month of each location; returns them.

    A file is `{month}/{location}-{name}.{format}` and is never overwritten.
    """
    async with store.read_session() as session:
        saved = await find_filtered(session, _SavedRow, where(SavedReport, Active=True))
        clocks = await load_location_clocks(session, [row.business_id for row in saved])
    written = []
    for row in saved:
        today = local_date(context.now, clocks.get(row.business_id, DEFAULT_CLOCK).zone)
        last = today.replace(day=1) - timedelta(days=1)
        file_type = row.format.name.lower()
        name = _UNSAFE.sub("-", row.name).strip("-.") or str(row.id)
        path = folder / f"{last:%Y-%m}" / f"{row.business_id}-{row.id}-{name}.{file_type}"
        if path.exists():
            continue
        body = await store.read_detached(partial(_render, row, last, context, ledger))
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_private_bytes(path) as file:
            file.write(body)
        written.append(path)
    return written


async def _render(
    row: _SavedRow, last: date, context: RequestContext, ledger: LedgerContext, session: ReadSession
) -> bytes:
    result = await month_report(session, REPORT_NAMES[row.report], row.business_id, last, context, ledger)
    return file_bytes(result, row.format.name.lower())


async def month_report(
    session: ReadSession, name: str, location_id: int, last: date, context: RequestContext, ledger: LedgerContext
) -> ReportResult:
    """A report about one location and the month that ends with the local date `last`."""
    raw: dict[str, Any] = {"LocationIds": [location_id], "To": last.isoformat()}
    if REPORTS[name].of_period:
        raw["From"] = last.replace(day=1).isoformat()
    return await run_report(session, parse_report_request(name, raw, context.principal, context.now, ledger))


def file_bytes(result: ReportResult, file_type: str) -> bytes:
    """The report in a file format, `json` among them."""
    if file_type == "json":
        return json.dumps(report_document(result), indent=1, ensure_ascii=False).encode()
    return FILE_FORMATS[file_type].render(result)
