"""Steps 36 and 37: indexes of the journal that hold more replace those that they begin with."""

from __future__ import annotations

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, StepKind, drop_indexes


async def _drop_by_credit(execute: Execute, _dialect: Dialect) -> None:
    await drop_indexes(execute, ("journal_line_unique_2",))


async def _drop_by_customer(execute: Execute, _dialect: Dialect) -> None:
    await drop_indexes(execute, ("journal_line_coworker_id_ix", "journal_line_questioned_ix"))


MIGRATIONS = (
    Migration(
        36,
        "replaced indexes",
        "Drops the index of the journal by credit and time; the declared one that follows it holds balances too.",
        _drop_by_credit,
        StepKind.CONTRACT,
    ),
    Migration(
        37,
        "replaced indexes by customer and override",
        "Drops indexes of the journal: the declared one by customer holds times too, and that of entries in question "
        "is found by SQLite too.",
        _drop_by_customer,
        StepKind.CONTRACT,
    ),
)
