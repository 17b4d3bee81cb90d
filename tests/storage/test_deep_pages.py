"""Pages far from the start are walked to from the nearer end, and are the same pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest

from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as History,
)
from creditdesk.schema.listing import Listing, Order
from creditdesk.schema.store import Store
from creditdesk.storage import unit as storage_unit

START = datetime(2026, 1, 1, tzinfo=UTC)


async def test_pages_from_the_nearer_end_are_the_pages_from_the_start(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(5)
    moments = [START + timedelta(seconds=number % 7) for number in range(301)]
    async with store.writing() as unit:
        await unit.insert(
            History,
            [
                {"UniqueId": str(UUID(int=random.getrandbits(128))), "CreatedOn": t, "UpdatedOn": t}
                for t in moments
            ],
        )
    for descending in (False, True):
        order = Order(History.shape().columns["CreatedOn"], descending)
        async with store.reading() as reading:
            whole = await reading.page(Listing(History, (), order, 1, 1000))
            assert whole.total >= 301
            monkeypatch.setattr(storage_unit, "DEEP_ROWS", 10)
            for number in range(1, whole.total // 17 + 3):
                page = await reading.page(Listing(History, (), order, number, 17))
                assert page.total == whole.total
                assert page.rows == whole.rows[(number - 1) * 17 : number * 17]
            monkeypatch.undo()
