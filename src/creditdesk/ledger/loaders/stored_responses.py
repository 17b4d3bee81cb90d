"""Finds stored responses that are old enough to be removed."""

from __future__ import annotations

from datetime import datetime

from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.schema.repository import ReadSession


async def load_old_response_ids(session: ReadSession, older_than: datetime, limit: int) -> list[int]:
    """The ids of at most `limit` responses stored before `older_than`, oldest first; ids ascend in time."""
    oldest = await session.find(StoredResponse, limit=limit, columns=["Id", "CreatedOn"])
    return [row["Id"] for row in oldest if row["CreatedOn"] < older_than]
