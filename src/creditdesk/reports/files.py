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
from creditdesk.schema.fields import Integer
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
PAGE_NUMBER: Final = Param(
    "Page", Integer(minimum=1, maximum=1_000_000), description="The page of rows in JSON, from 1."
)
PAGE_SIZE: Final = Param(
    "Size", Integer(minimum=1, maximum=1000), description="The rows of a page of JSON; every row when left out."
)
LANGUAGE: Final = Param(
    "Language", description="The language of XLSX and PDF files, such as es; JSON and CSV are English."
)
FORMAT: Final = Param("Format", choices=("json", *FILE_FORMATS), description="JSON when left out.")
