"""What was owed at the end of each of the last 24 months, by currency and funding."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from starlette.responses import Response

from creditdesk.console.owed_chart import SERIES, month_text, owed_by_month, owed_chart
from creditdesk.console.page import ConsolePage, Screen

OWED_PATH: Final = "/console/owed"
MONTHS: Final = 24


async def _show(page: ConsolePage) -> Response:
    """A page, and a part of the first page that is loaded after it."""
    today = page.now.astimezone(page.format.zone).date()
    firsts = [today.replace(day=1)]
    while len(firsts) < MONTHS:
        firsts.append((firsts[-1] - timedelta(days=1)).replace(day=1))
    firsts.reverse()
    query = {"From": firsts[0].isoformat(), "To": today.isoformat(), "Kind": "money"}
    if page.location is not None:
        query["LocationIds"] = str(page.location.id)
    report = await page.client.get("/api/reports/roll-forward", query)
    units = owed_by_month(report["Rows"], [f"{first:%Y-%m}" for first in firsts])
    locale = page.preferences.locale
    return page.render(
        "owed_charts.html" if page.is_fragment else "owed.html",
        charts=[(unit, owed_chart(months, locale), months) for unit, months in units.items()],
        series=SERIES,
        month_text=lambda month: month_text(month, locale),
    )


OWED_SCREENS: Final = (Screen(OWED_PATH, _show),)
