"""Reports: the form, the tables with totals and tie-out, and the files."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from creditdesk.console.api_client import ApiError, RecordPage
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.report_forms import (
    CUSTOMER_TEXT,
    REPORT_FORMS,
    ReportForm,
    api_values,
    default_values,
    periods,
    report_fields,
)
from creditdesk.console.report_tables import ReportReader
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.translations import mark
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.reports.catalog import REPORTS
from creditdesk.reports.files import FILE_FORMATS
from creditdesk.schema.errors import NotFound

REPORTS_PATH: Final = "/console/reports"
PAGE_ROWS: Final = 100
_MAX_MATCHES: Final = 12
_PAGE: Final = "Page"


async def _index(page: ConsolePage) -> Response:
    return page.render("reports.html", forms=REPORT_FORMS)


async def _show(page: ConsolePage) -> Response:
    """The form and the report of the address; without parameters, of this month."""
    name, form = _report_of_path(page)
    values = dict(page.query) or default_values(page, form)
    if values.get(CUSTOMER_TEXT, "").strip():
        return await _choose_customer(page, name, values)
    number = values.pop(_PAGE, "1")
    requested = api_values(page.format, values)
    error: ApiError | None = None
    document: dict[str, Any] | None = None
    try:
        document = await page.client.get(_api_path(name), {**requested, "Page": number, "Size": PAGE_ROWS})
    except ApiError as raised:
        if raised.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise
        error = raised
    shown = {**values, CUSTOMER_TEXT: await _customer_text(page, values.get("CoworkerId", ""))}
    return page.render(
        "report.html",
        error.status if error else HTTPStatus.OK,
        name=name, form=form, error=error, path=f"{REPORTS_PATH}/{name}", formats=tuple(FILE_FORMATS),
        fields=report_fields(page, form, shown, error.fields if error else {}),
        kept=[(key, values[key]) for key in ("CreditId", "TermsAt") if values.get(key)],
        query=urlencode(requested), periods=[(title, _changed(values, each)) for title, each in periods(page, form)],
        pages=_pages(document, number) if document else None,
        **_tables(page, name, form, document, requested),
    )  # fmt: skip


def _tables(
    page: ConsolePage, name: str, form: ReportForm, document: dict[str, Any] | None, requested: Mapping[str, str]
) -> dict[str, Any]:
    if document is None:
        return {"document": None, "table": None, "sections": [], "totals": []}
    reader = ReportReader(page, name, document, requested)
    table = reader.table(units_together=form.shows_units_together)
    is_whole = document["RowCount"] <= PAGE_ROWS
    return {
        "document": document,
        "table": table,
        "sections": reader.sections(),
        "totals": [] if is_whole and not form.shows_units_together else reader.totals(),
    }


def _pages(document: Mapping[str, Any], number: str) -> RecordPage:
    """The position of the shown rows among all rows."""
    at, total = int(Decimal(number or 1)), document["RowCount"]
    first = (at - 1) * PAGE_ROWS
    return RecordPage(
        [], total, at, PAGE_ROWS, "", first + 1, min(first + PAGE_ROWS, total), -(-total // PAGE_ROWS) or 1
    )


async def _choose_customer(page: ConsolePage, name: str, values: Mapping[str, str]) -> Response:
    """Redirects to the report of the customer with the entered number or name, or offers a choice of several."""
    text = values[CUSTOMER_TEXT].strip()
    number = text.rpartition("#")[2] if "#" in text else text
    if number.isascii() and number.isdecimal():
        return page.redirect(f"{REPORTS_PATH}/{name}?{_changed(values, {'CoworkerId': number})}")
    listed = await page.client.find(
        Coworker.path(), {"Coworker_FullName": text, "size": _MAX_MATCHES, "orderby": "FullName"}
    )
    found = [(each, _changed(values, {"CoworkerId": str(each["Id"])})) for each in listed.records]
    if len(found) == 1:
        return page.redirect(f"{REPORTS_PATH}/{name}?{found[0][1]}")
    return page.render(
        "report_customer.html", name=name, form=REPORT_FORMS[name], path=f"{REPORTS_PATH}/{name}", text=text,
        found=found, total=listed.total, kept=[(k, v) for k, v in values.items() if k != CUSTOMER_TEXT and v],
    )  # fmt: skip


async def _customer_text(page: ConsolePage, customer_id: str) -> str:
    """The customer as the form shows it: the name, if the user may read it, and the number."""
    if not customer_id:
        return ""
    try:
        record = await page.client.get(f"{Coworker.path()}/{customer_id}")
    except ApiError:
        return f"#{customer_id}"
    return f"{record['FullName']} #{customer_id}"


async def _file(page: ConsolePage) -> Response:
    """The report as a file."""
    name, file_format = page.request.path_params["name"], page.request.path_params["format"]
    if name not in REPORTS or file_format not in FILE_FORMATS:
        raise NotFound
    values = api_values(page.format, dict(page.query))
    body = await page.client.get_file(_api_path(name), {**values, "Format": file_format, "Language": page.language})
    day = page.now.astimezone(page.format.zone).date().isoformat()
    headers = {**PAGE_HEADERS, "Content-Disposition": f'attachment; filename="{name}-{day}.{file_format}"'}
    return Response(body, media_type=FILE_FORMATS[file_format].media_type, headers=headers)


def _report_of_path(page: ConsolePage) -> tuple[str, ReportForm]:
    name = page.request.path_params["name"]
    if name not in REPORT_FORMS:
        raise NotFound
    return name, REPORT_FORMS[name]


def _api_path(name: str) -> str:
    return f"/api/reports/{name}"


def _changed(values: Mapping[str, str], changes: Mapping[str, str | None]) -> str:
    """The address of the same report with other parameters; at least one, or the defaults would apply."""
    merged = {**values, CUSTOMER_TEXT: "", _PAGE: "", **changes}
    return urlencode({name: value for name, value in merged.items() if value} or {"To": ""})


TIE_OUT_TEXTS: Final = (mark("Ties out"), mark("Does not tie out"))
REPORT_SCREENS: Final = (
    Screen(REPORTS_PATH, _index),
    Screen(f"{REPORTS_PATH}/{{name}}", _show),
    Screen(f"{REPORTS_PATH}/{{name}}/report.{{format}}", _file),
)
