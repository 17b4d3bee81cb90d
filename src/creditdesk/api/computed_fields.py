"""Fills the computed fields of records that are about to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from creditdesk.api.context import ApiContext
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Page
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext


async def with_computed_columns(
    api: ApiContext, session: ReadSession, entity: type[Entity], page: Page, context: RequestContext
) -> Page:
    """Returns the page with its computed columns filled; unchanged if the entity has none."""
    meta = entity.meta()
    if not meta.computed_columns:
        return page
    count = len(page.columns[0])
    shown = {column.name: values for column, values in zip(meta.list_columns, page.columns, strict=True)}
    shown |= {column.name: [column.field.default_value] * count for column in meta.computed_columns}
    if count and (compute := api.computations.get(entity)):
        shown |= await compute(session, shown, context, in_list=True)
    return Page([shown[column.name] for column in meta.list_columns], page.total)


async def compute_fields(
    api: ApiContext, session: ReadSession, entity: type[Entity], records: Sequence[Record], context: RequestContext
) -> None:
    """Sets the computed fields of whole records."""
    computed = entity.meta().computed_columns
    if not computed or not records:
        return
    for record in records:
        record |= {column.name: column.field.default_value for column in computed}
    if compute := api.computations.get(entity):
        shown: dict[str, list[Any]] = {name: [record[name] for record in records] for name in records[0]}
        for name, values in (await compute(session, shown, context, in_list=False)).items():
            for record, value in zip(records, values, strict=True):
                record[name] = value
