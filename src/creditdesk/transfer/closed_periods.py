"""Finds rows of an import that lie in a closed period of their location (rule 37)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from creditdesk.ledger.journal.mapping import MAPPINGS_BY_CREDIT, MAPPINGS_BY_HISTORY
from creditdesk.ledger.loaders.period_locks import load_closed_until
from creditdesk.ledger.operations.period_locks import closed_period_error
from creditdesk.schema.entity import Entity
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession


async def closed_period_errors(
    session: ReadSession, entity: type[Entity], records: Sequence[Mapping[str, Any]]
) -> list[str | None]:
    """Why each new credit or use, by its time of creation, may not be imported; None if it may."""
    if mapping := MAPPINGS_BY_HISTORY.get(entity):
        named = {record.get(mapping.credit_reference) for record in records} - {None}
        credit = mapping.credit_entity
        found = (
            await session.find(credit, where(credit, Id=tuple(named)), columns=("Id", "BusinessId")) if named else []
        )
        by_credit = {each["Id"]: each["BusinessId"] for each in found}
        locations = [by_credit.get(record.get(mapping.credit_reference)) for record in records]
    elif entity in MAPPINGS_BY_CREDIT:
        locations = [record.get("BusinessId") for record in records]
    else:
        return [None] * len(records)
    closed_until = await load_closed_until(session, {location for location in locations if location is not None})
    return [
        f"CreatedOn {error}" if created and (error := closed_period_error(closed_until, location, created)) else None
        for location, created in zip(locations, (record.get("CreatedOn") for record in records), strict=True)
    ]
