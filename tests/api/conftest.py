"""Records of the API tests."""

from __future__ import annotations

import pytest

from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.repository import Store
from tests.support.record_builder import RecordBuilder, stored_row


@pytest.fixture(scope="module")
async def location(store: Store, builder: RecordBuilder) -> int:
    """Sixty room types of one location, with names in another order than their ids."""
    business = await builder.create_business("Paging")
    rows = [stored_row(ResourceType, Name=f"Room {n * 7 % 60:02d}", BusinessId=business) for n in range(60)]
    async with store.write_session() as unit:
        await unit.insert(ResourceType, rows)
    return business
