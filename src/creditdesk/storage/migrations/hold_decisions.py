"""Step 20: each hold names the decision on its own source."""

from __future__ import annotations

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns


async def _name_own_decisions(execute: Execute, dialect: Dialect) -> None:
    """Holds named the first decision of their basket, whatever their source."""
    existing = await existing_columns(execute, dialect)
    if not {"hold", "allocation_document"} <= existing.keys():
        return
    await execute(
        "UPDATE hold SET allocation_id = (SELECT d.id FROM allocation_document AS d WHERE d.group_ = "
        "hold.allocation_id AND d.source_kind = hold.source_kind AND d.source_id = hold.source_id) "
        "WHERE EXISTS (SELECT 1 FROM allocation_document AS d WHERE d.group_ = hold.allocation_id "
        "AND d.source_kind = hold.source_kind AND d.source_id = hold.source_id)",
        (),
    )


MIGRATIONS = (
    Migration(
        20,
        "decisions of holds",
        "Holds of several items name the decision on their own item.",
        _name_own_decisions,
        StepKind.CONTRACT,
    ),
)
