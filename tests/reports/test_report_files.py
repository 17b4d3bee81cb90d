"""Reports as files: read back, they have the figures of the API; no cell is executed; equal reports have equal bytes."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pypdf
import pytest

from creditdesk.reports.pdf_files import report_pdf
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportFooter, ReportResult
from tests.reports.report_client import ReportClient

FORMULA = "=HYPERLINK(0)"
PERIOD = {"From": "2026-01-01", "To": "2026-02-28"}


@pytest.fixture
async def lived(reports: ReportClient) -> ReportClient:
    """Two months of money and time, with names that a spreadsheet or a template might execute."""
    credit = await reports.grant(1234.5, Description=FORMULA, ExpireDate="2026-02-20T00:00:00Z")
    await reports.grant_time(600)
    reports.set_time("2026-02-02T12:00:00Z")
    await reports.use(credit, 34.5, Description='#panic("executed") *bold* @me')
    reports.set_time("2026-03-10T12:00:00Z")
    return reports


async def test_the_workbook_has_the_figures_of_the_api(lived: ReportClient) -> None:
    document = await lived.get("roll-forward", **PERIOD)
    response = await lived.request("roll-forward", Format="xlsx", **PERIOD)
    workbook = openpyxl.load_workbook(io.BytesIO(response.content), data_only=True)
    sheet = workbook["Roll-forward"]
    header, *rows = sheet.iter_rows(values_only=True)
    columns = document["Columns"]
    assert list(header) == [column["Title"] for column in columns]
    amounts = [place for place, column in enumerate(columns) if column["Type"] == "amount"]
    for shown, expected in zip(rows, document["Rows"], strict=False):
        for place in amounts:
            assert Decimal(str(shown[place])) == Decimal(expected[columns[place]["Name"]])
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref is not None
    tie_out = {row[0]: row[1] for row in workbook["Tie-out"].iter_rows(values_only=True)}
    assert tie_out["Ties out"] is True
    assert tie_out["Digest of the heads"] == document["Footer"]["HeadsDigest"]


async def test_totals_of_a_workbook_are_formulas_with_their_value(lived: ReportClient) -> None:
    response = await lived.request("liability", Format="xlsx", Kind="time", At="2026-02-28")
    place = [c["Name"] for c in (await lived.get("liability"))["Columns"]].index("Outstanding") + 1
    computed, formulas = (
        openpyxl.load_workbook(io.BytesIO(response.content), data_only=data_only)["Liability"].cell(4, place).value
        for data_only in (True, False)
    )
    assert computed == 600
    assert re.fullmatch(r"=SUBTOTAL\(109,[A-Z]+2:[A-Z]+2\)", str(formulas))


async def test_dates_of_a_workbook_are_dates_and_its_texts_are_texts(lived: ReportClient) -> None:
    response = await lived.request("statement", Format="xlsx", **PERIOD)
    sheet = openpyxl.load_workbook(io.BytesIO(response.content))["Statement"]
    names = [cell.value for cell in sheet[1]]
    first = dict(zip(names, sheet[2], strict=True))
    assert isinstance(first["Date"].value, datetime)
    assert (first["Credit name"].value, first["Credit name"].data_type) == (FORMULA, "s")


async def test_csv_reads_back_strictly(lived: ReportClient) -> None:
    document = await lived.get("statement", **PERIOD)
    text = (await lived.request("statement", Format="csv", **PERIOD)).content.decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["Amount"] for row in rows] == [row["Amount"] for row in document["Rows"]]
    assert f"'{FORMULA}" in {row["CreditName"] for row in rows}


async def test_the_pdf_shows_the_statement_and_its_proof(lived: ReportClient) -> None:
    document = await lived.get("statement", **PERIOD)
    response = await lived.request("statement", Format="pdf", **PERIOD)
    reader = pypdf.PdfReader(io.BytesIO(response.content))
    text = "\n".join(page.extract_text() for page in reader.pages)
    for row in document["Rows"]:
        assert f"{Decimal(row['Amount']):,f}".replace("-", "−") in text
    assert document["Footer"]["HeadsDigest"] in text
    assert FORMULA in text
    assert '#panic("executed")' in text
    assert reader.metadata is not None
    assert reader.metadata.title == document["Title"] + ": " + document["Subtitle"]
    standards = response.content.decode("latin-1")
    assert "pdfaid:part" in standards
    assert "pdfuaid:part" in standards


async def test_a_pdf_replaces_characters_that_its_fonts_lack(reports: ReportClient) -> None:
    await reports.grant(5, Description="Añb 日 😀 \ue000 \x01 שלום")
    response = await reports.request("statement", Format="pdf", **PERIOD)
    assert response.status_code == 200, response.text
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(response.content)).pages)
    assert "Añb □ □ □ □" in " ".join(text.split())
    assert "□ stands for a character that this file cannot show" in " ".join(text.split())
    csv_text = (await reports.request("statement", Format="csv", **PERIOD)).text
    assert "日 😀" in csv_text


async def test_a_report_in_another_script_is_refused_as_pdf(reports: ReportClient) -> None:
    await reports.grant(5, Description="".join(chr(0x4E00 + place) for place in range(110)))
    response = await reports.request("statement", Format="pdf", **PERIOD)
    assert response.status_code == 400
    assert response.json()["Errors"][0]["Message"] == "pdf lacks the characters of this report: use xlsx"


@pytest.mark.parametrize("row", [("", Decimal(5)), ("", Decimal(0))])
def test_a_pdf_needs_no_column_with_text(row: tuple[Cell, ...]) -> None:
    columns = (ReportColumn("Plan", "Plan"), ReportColumn("Used", "Used", CellType.AMOUNT))
    footer = ReportFooter("2026", (), datetime(2026, 1, 1, tzinfo=UTC), 0, "")
    pdf = report_pdf(ReportResult("activity", "Activity", "", columns, (row,), footer))
    assert len(pypdf.PdfReader(io.BytesIO(pdf)).pages) == 1


@pytest.mark.parametrize("file_format", ["csv", "xlsx", "pdf"])
async def test_equal_reports_have_equal_bytes(lived: ReportClient, file_format: str) -> None:
    first = await lived.request("statement", Format=file_format, **PERIOD)
    lived.set_time("2026-03-11T12:00:00Z")
    await lived.grant(7)
    second = await lived.request("statement", Format=file_format, **PERIOD)
    assert first.content == second.content
    assert first.status_code == 200
