"""The search of the console: what it finds, and what follows the first results."""

from __future__ import annotations

import re

import httpx

from tests.support.api_client import ApiClient


async def test_search_for_a_resource_leads_to_its_bookings(console: httpx.AsyncClient, api: ApiClient) -> None:
    booking = await api.create_booking()
    name = (await api.http.get(f"/api/spaces/resources/{api.ledger.resource}")).json()["Name"]
    hits = (await console.get("/console/search", params={"q": name.lower()}, headers={"HX-Request": "true"})).text
    [path] = re.findall(r'href="([^"]*Booking_Resource=\d+[^"]*)"', hits)
    assert f"Booking_Resource={api.ledger.resource}&" in path.replace("&amp;", "&")
    assert f'/{booking}"' in (await console.get(path.replace("&amp;", "&"))).text


async def test_search_finds_customers_credits_and_actions(console: httpx.AsyncClient, api: ApiClient) -> None:
    credit = await api.create_credit("20", Description="Spring gift")
    hits = (await console.get("/console/search?q=spring", headers={"HX-Request": "true"})).text
    assert "<html" not in hits
    [part] = re.findall(r'hx-get="([^"]+)"', hits)
    described = (await console.get(part, headers={"HX-Request": "true"})).text
    assert f"/console/credits/money/{credit}" in described
    assert "<html" not in described
    without_script = await console.get(re.findall(r'href="([^"]*CoworkerBookingCredit_Description=spring)"', hits)[0])
    assert f"/console/credits/money/{credit}" in without_script.text
    assert "Nothing found" in (await console.get("/console/search/credits?q=qqz", headers={"HX-Request": "true"})).text
    assert (await console.get("/console/search/credits?q=spring")).headers["location"].endswith("Description=spring")
    assert "/console/spend" in (await console.get("/console/search?q=spend")).text
    assert f"/console/credits/money/{credit}" in (await console.get(f"/console/search?q=%23{credit}")).text
