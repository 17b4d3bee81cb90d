"""The locations that pages offer are those of this moment."""

from __future__ import annotations

import httpx

from creditdesk.schema.repository import Store
from tests.support.users import create_location


async def test_new_location_shows_at_once(console: httpx.AsyncClient, store: Store) -> None:
    assert "Harbour" not in (await console.get("/console/preferences")).text
    await create_location(store, "Harbour")
    assert "Harbour" in (await console.get("/console/preferences")).text
