"""What a browser downloads: at most 200 kB for the first page with all that it needs, 30 kB for a later one."""

from __future__ import annotations

import re

import httpx
import pytest

from creditdesk.console.static_files import static_url
from tests.support.api_client import ApiClient

FIRST_LOAD = 200_000
LATER_PAGE = 30_000
FONTS = ("inter-latin-wght-normal.woff2", "inter-latin-ext-wght-normal.woff2")
"""The second is loaded where a name has letters such as `ş`; the stylesheet names both."""


async def transferred(console: httpx.AsyncClient, path: str) -> tuple[int, str]:
    """The bytes of an answer as they are sent, and its text."""
    async with console.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.status_code == 200, path
        size = sum([len(chunk) async for chunk in answer.aiter_raw()])
    return size, (await console.get(path)).text


async def test_first_load_is_at_most_200_kb(console: httpx.AsyncClient, api: ApiClient) -> None:
    await api.create_credit("20.00")
    page, text = await transferred(console, "/console/")
    linked = set(re.findall(r'(?:href|src)="(/console/static/[^"]+)"', text)) | {static_url(font) for font in FONTS}
    assert len(linked) >= 6
    sizes = {path: (await transferred(console, path))[0] for path in linked}
    assert page + sum(sizes.values()) <= FIRST_LOAD, sizes


@pytest.mark.parametrize("size", [25, 100])
async def test_later_pages_are_at_most_30_kb(console: httpx.AsyncClient, api: ApiClient, size: int) -> None:
    credits_ = [await api.create_credit(f"{number}.50", Description=f"Gift {number * 7919}") for number in range(1, 31)]
    for path in (
        "/console/",
        f"/console/records/billing/coworkerbookingcredits?size={size}",
        f"/console/records/ledger/entries?size={size}",
        f"/console/customers/{api.ledger.customer}",
        f"/console/credits/money/{credits_[0]}",
    ):
        weight, _ = await transferred(console, path)
        assert weight <= LATER_PAGE, path
