"""OpenAPI operations of the reports, derived from their parameters."""

from __future__ import annotations

from typing import Any, Final

from creditdesk.api.context import SUCCESS_CONTENT
from creditdesk.api.openapi_operations import read_operation
from creditdesk.entities.roles import REPORTS_ROLE
from creditdesk.reports.catalog import ReportKind
from creditdesk.reports.files import FILE_FORMATS, FORMAT, LANGUAGE, PAGE_NUMBER, PAGE_SIZE
from creditdesk.reports.request import REPORT_PARAMS

_OBJECTS: Final = {"type": "array", "items": {"type": "object"}}
_COLUMNS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("Name", "Title", "Type", "Description")},
        "required": ["Name", "Title", "Type", "Description"],
    },
}
_REPORT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "Report": {"type": "string"},
        "Title": {"type": "string"},
        "Subtitle": {"type": "string"},
        "Columns": _COLUMNS,
        "RowCount": {"type": "integer"},
        "Rows": _OBJECTS,
        "Totals": _OBJECTS,
        "Sections": _OBJECTS,
        "Footer": {"type": "object"},
    },
    "required": ["Report", "Title", "Subtitle", "Columns", "RowCount", "Rows", "Totals", "Sections", "Footer"],
}


def report_operation(name: str, kind: ReportKind) -> dict[str, Any]:
    """The operation of one report."""
    params = (*REPORT_PARAMS, PAGE_NUMBER, PAGE_SIZE, FORMAT, LANGUAGE)
    operation = read_operation(f"/api/reports/{name}", kind.description, REPORTS_ROLE, params)
    files = {each.media_type.partition(";")[0]: {"schema": {"type": "string"}} for each in FILE_FORMATS.values()}
    content = {"application/json": {"schema": _REPORT}} | files
    return operation | {
        "operationId": "report" + name.title().replace("-", ""),
        "tags": ["reports"],
        SUCCESS_CONTENT: content,
    }
