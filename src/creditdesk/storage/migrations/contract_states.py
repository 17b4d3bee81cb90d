"""Step 21: contracts made over the API are active."""

from __future__ import annotations

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns


async def _activate_own_contracts(execute: Execute, dialect: Dialect) -> None:
    """Marks contracts as active that were made here and not cancelled.

    Their UniqueIds are of version 7; those of imported contracts are not, and keep their state.
    """
    if "coworker_contract" not in await existing_columns(execute, dialect):
        return
    yes, no = ("1", "0") if dialect.name == "sqlite" else ("TRUE", "FALSE")
    await execute(
        f"UPDATE coworker_contract SET active = {yes} WHERE coalesce(active, {no}) = {no} "
        f"AND coalesce(cancelled, {no}) = {no} AND cancellation_date IS NULL "
        "AND substr(unique_id, 15, 1) = '7'",
        (),
    )


MIGRATIONS = (
    Migration(
        21,
        "states of contracts",
        "Marks contracts made over the API as active, so that they renew.",
        _activate_own_contracts,
        StepKind.CONTRACT,
    ),
)
