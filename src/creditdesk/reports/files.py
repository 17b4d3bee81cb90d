"""The file formats of reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from creditdesk.reports.csv_files import report_csv
from creditdesk.reports.pdf_files import report_pdf
from creditdesk.reports.result import ReportResult
from creditdesk.reports.xlsx_files import report_xlsx
from creditdesk.schema.params import Param


@dataclass(frozen=True, slots=True)
class ReportFileFormat:
    """A media type, and the function that writes a report in it."""

    media_type: str
    render: Callable[[ReportResult], bytes]


FILE_FORMATS: Final[Mapping[str, ReportFileFormat]] = MappingProxyType(
    {
        "csv": ReportFileFormat("text/csv; charset=utf-8", report_csv),
        "xlsx": ReportFileFormat("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", report_xlsx),
        "pdf": ReportFileFormat("application/pdf", report_pdf),
    }
)
FORMAT: Final = Param("Format", choices=("json", *FILE_FORMATS), description="JSON when left out.")
