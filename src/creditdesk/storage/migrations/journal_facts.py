"""Step 16: the cause of journal lines, and the byte format that their digests cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from creditdesk.schema.fields import Integer, Text
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.backfill import Backfill
from creditdesk.storage.migrations.step import Migration, existing_columns

_TABLE: Final = "journal_line"
_CAUSE: Final = """CASE
  WHEN kind = 'expiry' THEN 'expiry_run'
  WHEN kind = 'use' AND history_id IS NULL AND source_kind IS NULL THEN 'opened'
  WHEN kind NOT IN ('use', 'hold') THEN 'unknown'
  WHEN source_kind IS NULL THEN 'unattributed'
  WHEN source_kind = 'event_attendance' THEN 'event'
  WHEN source_kind = 'invoice_line' THEN 'invoice'
  ELSE source_kind END"""
"""What is certain about the cause of a line that recorded none (rule 36)."""


_CAUSES: Final = Backfill(
    "causes",
    _TABLE,
    (
        f"UPDATE {_TABLE} SET cause = {_CAUSE}, cause_fold = {_CAUSE}, format_version = 1 WHERE cause IS NULL AND {{rows}}",
    ),
)


async def _add_causes(execute: Execute, dialect: Dialect) -> None:
    columns = (await existing_columns(execute, dialect)).get(_TABLE)
    if columns is None:
        return
    text = dialect.column_types[Text]
    added = {"cause": text, "cause_fold": text, "format_version": dialect.column_types[Integer]}
    for name, definition in added.items():
        if name not in columns:
            await execute(f"ALTER TABLE {_TABLE} ADD COLUMN {name} {definition}", ())
    # Every column is guarded again when all steps are applied.
    for statement in dialect.append_only_triggers(_TABLE, sorted(columns - added.keys()), ""):
        await execute(statement, ())


def _causes(columns: Mapping[str, set[str]]) -> Sequence[Backfill]:
    return (_CAUSES,) if "cause" in columns.get(_TABLE, ()) else ()


MIGRATIONS = (
    Migration(
        16,
        "causes of journal lines",
        "Gives each line the cause that follows from its kind and item, else `unknown`, and the format of its digest.",
        _add_causes,
        backfills=_causes,
    ),
)
