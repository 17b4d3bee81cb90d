"""Loads the names of referenced records in batches, to show names instead of numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from creditdesk.console.api_client import ApiError
from creditdesk.console.page import ConsolePage
from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import Reference

ReferenceNames = Mapping[str, Mapping[int, str]]
"""By column, the names by id."""


async def reference_names(
    page: ConsolePage, columns: Sequence[Column], records: Iterable[Mapping[str, Any]]
) -> ReferenceNames:
    """The names behind the reference columns; leaves out records without a name or that the user may not read."""
    rows = list(records)
    targets = [(column, _target(page, column)) for column in columns]
    wanted = [(column, target) for column, target in targets if target is not None]
    found = await asyncio.gather(
        *(_names(page, target, {row[column.name] for row in rows if row.get(column.name)}) for column, target in wanted)
    )
    return {column.name: names for (column, _), names in zip(wanted, found, strict=True)}


def _target(page: ConsolePage, column: Column) -> type[Entity] | None:
    field = column.field
    if not (isinstance(field, Reference) and field.is_local and column.is_own):
        return None
    target: type[Entity] = entity_by_name(field.to)
    return target if target.public and target.label and page.may(target, "get") else None


async def _names(page: ConsolePage, target: type[Entity], ids: set[int]) -> dict[int, str]:
    if not ids:
        return {}
    try:
        listed = await page.client.get(target.path(), {"id": f"[{','.join(map(str, sorted(ids)))}]"})
    except ApiError:
        return {}
    return {record["Id"]: record["ToStringText"] for record in listed if record["ToStringText"]}
