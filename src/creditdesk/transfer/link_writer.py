"""Second pass of an import: sets references to records imported later, and collections."""

from __future__ import annotations

from collections.abc import Sequence

from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import where
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.dependency_order import (
    bidirectional_collections,
    deferred_columns,
    deferred_references,
)
from creditdesk.transfer.import_state import ImportState
from creditdesk.transfer.row_parser import ParsedRow
from creditdesk.transfer.term_changes import STAMP, update_imported


async def write_links(
    state: ImportState, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
) -> None:
    """Updates the deferred columns of the records of one batch that are stored.

    Only adds to a collection that another entity also has: either file may have a part of it.
    """
    if entity is Role:
        rows = state.role_ids.map_rows(rows)
    links = await _links_by_id(state, session, entity, rows)
    await state.references.resolve(session, entity, [values for _, values in links])
    if not links:
        return
    ids = where(entity, Id=sorted({record_id for record_id, _ in links}))
    found = await session.find(entity, ids, columns=("Id", *STAMP, *deferred_columns(entity)))
    stored = {record["Id"]: record for record in found}
    merged = bidirectional_collections(entity)
    changes: list[tuple[int, Record]] = []
    for record_id, values in links:
        before = stored.get(record_id)
        if before is None or (entity is User and record_id not in state.users.writable):
            continue
        if message := state.users.limit_links(entity, before, values):
            state.report.adjust(message)
        for name in merged & values.keys():
            values[name] = tuple(sorted({*before[name], *values[name]}))
        changed = {name: value for name, value in values.items() if before[name] != value}
        if changed:
            changes.append((record_id, changed))
    if changes:
        await update_imported(session, entity, changes, stored, state.now)


async def _links_by_id(
    state: ImportState, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
) -> list[tuple[int, Record]]:
    """(Id, deferred values) of each row that sets any."""
    ids = await state.record_ids(session, entity, rows)
    references = deferred_references(entity)
    links: list[tuple[int, Record]] = []
    for row in rows:
        # Lists of the imitated API show every collection empty, so an empty one means nothing.
        values = {name: value for name, value in row.values.items() if name in references or value}
        if entity is UserRole and "Roles" in values:
            values["Roles"] = state.role_ids.map_ids(values["Roles"])
        record_id = ids[row.unique_id]
        if values and record_id:
            links.append((record_id, values))
    return links
