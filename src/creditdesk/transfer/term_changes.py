"""Updates stored records by an import; changes of a credit's terms are journalled (rules 4, 28)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from creditdesk.ledger.journal.mapping import MAPPINGS_BY_CREDIT
from creditdesk.ledger.operations.term_changes import record_imported_changes
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import WriteSession

STAMP: Final = ("UpdatedOn", "UpdatedBy")


async def update_imported(
    session: WriteSession,
    entity: type[Entity],
    changes: Sequence[tuple[int, Record]],
    stored: Mapping[int, Mapping[str, Any]],
    now: datetime,
) -> None:
    """Sets the values of stored records, with a journal entry for each term of a credit that changes.

    `stored` has the changed columns and `STAMP`, which does not change unless it is imported.
    """
    mapping = MAPPINGS_BY_CREDIT.get(entity)
    if mapping is not None:
        changed = [(record_id, stored[record_id], values) for record_id, values in changes]
        await record_imported_changes(session, mapping, changed, now)
        changes = [(i, {**{name: stored[i][name] for name in STAMP}, **values}) for i, values in changes]
    await session.update(entity, changes)
