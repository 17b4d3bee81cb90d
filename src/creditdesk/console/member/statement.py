"""The member's statement: the report, limited to the own customer, as a page and as files."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError
from creditdesk.console.member.page import MemberPage, MemberScreen
from creditdesk.console.member.words import unit_words
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.reports.files import FILE_FORMATS

_REPORT: Final = "/api/reports/statement"
_DEFAULT_DAYS: Final = 90
_FILES: Final = ("pdf", "csv", "xlsx")
_BY_JOBS: Final = frozenset({"Granted", "Expired", "Rolled in", "Rolled out"})
"""Movements whose description is empty or names records; the credit's name says more."""
_MAX_ROWS: Final = 500


async def _show(page: MemberPage) -> Response:
    """Shows the latest lines of the period; the files have all of them."""
    first, last = _period(page)
    report: dict[str, Any] = {"Rows": [], "Sections": []}
    error = None
    try:
        report = await page.client.get(_REPORT, _query(page, first, last))
    except ApiError as refused:
        if refused.status >= 500:
            raise
        error = refused
    sections = {section["Title"]: section["Rows"] for section in report["Sections"]}
    rows = [_row(page, row) for row in reversed(report["Rows"][-_MAX_ROWS:])]
    return page.render(
        "member_statement.html",
        error.status if error else 200,
        rows=rows, hidden=len(report["Rows"]) - len(rows), summary=[_summary(page, row) for row in sections.get("Summary", [])],
        first=first, last=last, error=error,
        files=[(name, page.link(f"/me/statement/{name}", **{"from": first, "to": last})) for name in _FILES],
    )  # fmt: skip


async def _file(page: MemberPage) -> Response:
    name = page.request.path_params["format"]
    if name not in _FILES:
        return page.redirect(page.link("/me/statement"))
    first, last = _period(page)
    content = await page.client.get_file(_REPORT, {**_query(page, first, last), "format": name})
    headers = {**PAGE_HEADERS, "Content-Disposition": f'attachment; filename="statement.{name}"'}
    return Response(content, media_type=FILE_FORMATS[name].media_type, headers=headers)


def _period(page: MemberPage) -> tuple[str, str]:
    """The first and last local day that the address names; the last three months without any."""
    today = page.now.astimezone(page.format.zone).date()
    query = page.request.query_params
    return query.get("from") or _iso(today - timedelta(days=_DEFAULT_DAYS)), query.get("to") or _iso(today)


def _iso(day: date) -> str:
    return day.isoformat()


def _query(page: MemberPage, first: str, last: str) -> dict[str, Any]:
    return {"CoworkerId": page.customer["Id"], "From": first, "To": last}


def _row(page: MemberPage, row: dict[str, Any]) -> dict[str, Any]:
    kind = "money" if row["Kind"] == "money" else "time"
    currency = row["Unit"] if kind == "money" else None
    return {
        "day": page.format.day(row["At"]),
        "what": page.translate(row["What"]),
        "description": row["CreditName"] if row["What"] in _BY_JOBS else row["Description"] or row["CreditName"],
        "unit": page.translate(unit_words(row["Unit"])),
        "is_money": kind == "money",
        "amount": page.format.amount(row["Amount"], kind, currency, signed=True),
        "balance": page.format.amount(row["Balance"], kind, currency),
    }


def _summary(page: MemberPage, row: dict[str, Any]) -> dict[str, Any]:
    kind = "money" if row["Kind"] == "money" else "time"
    currency = row["Unit"] if kind == "money" else None
    return {
        "unit": page.translate(unit_words(row["Unit"])),
        "opening": page.format.amount(row["Opening"], kind, currency),
        "closing": page.format.amount(row["Closing"], kind, currency),
    }


STATEMENT_SCREENS: Final = (
    MemberScreen("/me/statement", _show),
    MemberScreen("/me/statement/{format}", _file),
)
