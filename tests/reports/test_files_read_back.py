"""Every report as CSV, workbook and PDF: read back, each cell is that of the API, and no text is executed."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import openpyxl
import pypdf
import pytest_asyncio

from creditdesk.reports.catalog import REPORTS
from creditdesk.schema.conversions import format_datetime
from tests.reports.report_client import ReportClient

FORMULAS: Final = ("=1+1", "+1", "-1", "@SUM(1)", "\t=1")
PERIOD: Final = {"From": "2026-01-01", "To": "2026-02-28"}


@pytest_asyncio.fixture
async def lived(reports: ReportClient) -> ReportClient:
    """Two months of a customer whose names and descriptions a spreadsheet might execute."""
    reports.ledger.customer = await reports.ledger.add_customer("=Ada()")
    credits_ = [await reports.grant(1234.5, Description=text) for text in FORMULAS]
    await reports.grant_time(600)
    reports.set_time("2026-02-02T12:00:00Z")
    await reports.use(credits_[0], 34.5, Description="＠use")
    reports.set_time("2026-03-10T12:00:00Z")
    return reports


def inert(text: str) -> str:
    """A cell of a CSV file without the apostrophe that keeps it from being executed."""
    return text[1:] if text[:1] == "'" and text[1:2] in tuple("=+-@\t\r\n＝＋－＠") else text


def as_text(value: object) -> str:
    """A JSON value as a CSV cell."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def as_json(shown: Any, expected: Any, kind: str) -> Any:
    """A cell of a workbook as the API's document has the value; texts are what they are."""
    match shown:
        case None:
            return expected if expected in (None, "") else None
        case datetime() if kind == "date":
            return shown.date().isoformat()
        case datetime():
            return format_datetime(shown.replace(tzinfo=UTC))
        case int() | float() if kind in ("amount", "percent"):
            number = Decimal(str(shown))
            return expected if number == Decimal(expected) else number
        case _:
            return shown


async def test_csv_has_every_cell_of_every_report(lived: ReportClient) -> None:
    for name in REPORTS:
        document = await lived.get(name, **PERIOD)
        body = (await lived.request(name, Format="csv", **PERIOD)).content.decode("utf-8")
        found = list(csv.reader(io.StringIO(body, newline=""), strict=True))
        assert found[0] == [column["Name"] for column in document["Columns"]]
        assert [[inert(cell) for cell in row] for row in found[1:]] == [
            [as_text(value) for value in row.values()] for row in document["Rows"]
        ], name
        texts = [column["Type"] == "text" for column in document["Columns"]]
        executed = [
            cell
            for row in found[1:]
            for cell, is_text in zip(row, texts, strict=True)
            if is_text and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        ]
        assert executed == [], name


async def test_workbooks_have_every_cell_of_every_report_and_section(lived: ReportClient) -> None:
    for name in REPORTS:
        document = await lived.get(name, **PERIOD)
        body = (await lived.request(name, Format="xlsx", **PERIOD)).content
        workbook = openpyxl.load_workbook(io.BytesIO(body))
        for table in (document, *document["Sections"]):
            kinds = [column["Type"] for column in table["Columns"]]
            sheet = list(workbook[table["Title"]].iter_rows(min_row=2))
            for cells, row in zip(sheet, table["Rows"], strict=False):
                values = zip(cells, row.values(), kinds, strict=True)
                shown = [as_json(cell.value, expected, kind) for cell, expected, kind in values]
                assert shown == list(row.values()), (name, table["Title"])
                assert {cell.data_type for cell in cells} <= {"s", "n", "d", "b"}, "no cell is a formula"
            assert len(sheet) >= len(table["Rows"])


async def test_pdfs_show_every_amount_but_zero_of_every_report(lived: ReportClient) -> None:
    for name in REPORTS:
        document = await lived.get(name, **PERIOD)
        body = (await lived.request(name, Format="pdf", **PERIOD)).content
        text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(body)).pages)
        amounts = [column["Name"] for column in document["Columns"] if column["Type"] == "amount"]
        missing = [
            (column, row[column])
            for row in document["Rows"]
            for column in amounts
            if Decimal(row[column] or 0) and f"{Decimal(row[column]):,f}".replace("-", "−") not in text
        ]
        assert missing == [], name
        assert document["Footer"]["HeadsDigest"] in text
