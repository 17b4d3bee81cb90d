"""The first page: its totals, what needs somebody, and the lists behind them."""

from __future__ import annotations

import re

import httpx
import pytest

from creditdesk.console.screens import exceptions
from tests.support.api_client import ApiClient


async def test_today_counts_and_leads_to_the_lists(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("20", ExpireDate=api.timestamp(days=2))
    await api.post_use(credit, "1")
    page = (await console.get("/console/")).text
    [path] = re.findall(r'href="(/console/records/billing/coworkerbookingcredits\?[^"]+)"', page)
    listed = await console.get(path.replace("&amp;", "&"))
    assert f"#{credit}</a>" in listed.text
    shown = (await console.get("/console/today/figures")).text
    totals = dict(re.findall(r"<dt>([^<]+)</dt><dd class=\"value\"><a [^>]+>([\d,]+)</a>", shown))
    assert set(totals) == {"Uses today", "Uses this month", "Credits expire in 7 days", "Bookings to come"}
    assert int(totals["Uses today"]) >= 1
    assert int(totals["Uses this month"]) >= 1
    assert int(totals["Credits expire in 7 days"]) >= 1


async def test_today_shows_what_was_posted_outside_its_window_and_not_charged(
    console: httpx.AsyncClient, api: ApiClient
) -> None:
    await api.create_booking(FromTime=api.timestamp(hours=-3), ToTime=api.timestamp(hours=-2), Invoiced=False)
    tasks = (await console.get("/console/today/tasks")).text
    shown = {title: (path, int(total)) for path, total, title in re.findall(
        r'href="([^"]+)"><b class="figures">(\d+)</b> <span>([^<]+)</span>', tasks)}  # fmt: skip
    path, total = shown["Past bookings not charged"]
    listed = (await console.get(path.replace("&amp;", "&"))).text
    assert total >= 1
    assert re.search(rf"\b{total}\b", listed)
    assert 'hx-get="/console/exceptions/count"' in tasks
    assert 'hx-get="/console/exceptions/count"' not in (await console.get("/console/")).text


async def test_exceptions_are_not_counted_unasked_over_a_large_journal(
    console: httpx.AsyncClient, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.post_use(await api.create_credit("20"), "1")
    assert (await console.get("/console/exceptions/count")).text.strip().isdigit()
    monkeypatch.setattr(exceptions, "MAX_ENTRIES_COUNTED_UNASKED", 0)
    assert (await console.get("/console/exceptions/count")).text.strip() == "–"
