"""What the credit comes to now, and when it expires: the ageing report, never added across units."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.page import ConsolePage, Screen

OUTSTANDING_PATH: Final = "/console/outstanding"
_AMOUNT: Final = "amount"


async def _show(page: ConsolePage) -> Response:
    """The whole report, or its figures for the first page."""
    query = {"LocationIds": page.location.id} if page.location else {}
    report: dict[str, Any] = await page.client.get("/api/reports/ageing", query)
    template = "outstanding_figures.html" if page.is_fragment else "outstanding.html"
    return page.render(
        template,
        columns=report["Columns"],
        rows=[_cells(page, report["Columns"], row) for row in report["Rows"]],
        sums=[_cells(page, report["Columns"], row) for row in report["Totals"]],
        figures=[_figure(page, row) for row in report["Totals"]],
    )


def _cells(page: ConsolePage, columns: list[dict[str, Any]], row: dict[str, Any]) -> list[tuple[bool, str]]:
    """The cells of a row, each with whether it is an amount."""
    kind = "money" if row["Kind"] == "money" else "time"
    cells = []
    for column in columns:
        value, is_amount = row[column["Name"]], column["Type"] == _AMOUNT
        text = page.format.amount(value, kind, row["Unit"]) if is_amount else str(value or "–")
        cells.append((is_amount, text))
    return cells


def _figure(page: ConsolePage, row: dict[str, Any]) -> dict[str, str]:
    kind = "money" if row["Kind"] == "money" else "time"
    amount = page.format.amount
    return {
        "unit": row["Unit"],
        "outstanding": amount(row["Outstanding"], kind, row["Unit"]),
        "soon": amount(row["Days7"], kind, row["Unit"]),
    }


OUTSTANDING_SCREENS: Final = (Screen(OUTSTANDING_PATH, _show),)
