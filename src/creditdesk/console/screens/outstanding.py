"""The current outstanding amounts for the first page, never added across units."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.member.words import unit_words
from creditdesk.console.page import ConsolePage, Screen

OUTSTANDING_PATH: Final = "/console/outstanding"


async def _show(page: ConsolePage) -> Response:
    """A part of the first page, loaded after it, because it adds up every credit."""
    query = {"LocationIds": page.location.id} if page.location else {}
    report = await page.client.get("/api/reports/ageing", {**query, "Page": 1, "Size": 1})
    return page.render("outstanding_figures.html", figures=[_figure(page, row) for row in report["Totals"]])


def _figure(page: ConsolePage, row: dict[str, Any]) -> dict[str, str]:
    kind = "money" if row["Kind"] == "money" else "time"
    amount = page.format.amount
    return {
        "unit": page.translate(unit_words(row["Unit"])),
        "outstanding": amount(row["Outstanding"], kind, row["Unit"]),
        "soon": amount(row["Days7"], kind, row["Unit"]),
    }


OUTSTANDING_SCREENS: Final = (Screen(OUTSTANDING_PATH, _show),)
