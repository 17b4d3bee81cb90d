"""Step 36: an index of the journal that holds balances replaces one that did not."""

from __future__ import annotations

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, StepKind, drop_indexes

_REPLACED = ("journal_line_unique_2",)


async def _drop(execute: Execute, _dialect: Dialect) -> None:
    await drop_indexes(execute, _REPLACED)


MIGRATIONS = (
    Migration(
        36,
        "replaced indexes",
        "Drops the index of the journal by credit and time; the declared one that follows it holds balances too.",
        _drop,
        StepKind.CONTRACT,
    ),
)
