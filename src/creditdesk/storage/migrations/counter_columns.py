"""Step 13: the key's columns come first in SQLite's tables of row counters."""

from __future__ import annotations

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.row_counters import COUNTED_TABLES
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns

_COLUMNS = "bits, location, bucket, shard, n"


async def _put_key_first(execute: Execute, dialect: Dialect) -> None:
    """Copies the counters; their triggers are dropped, and created again."""
    if dialect.name != "sqlite":
        return
    existing = await existing_columns(execute, dialect)
    for table in COUNTED_TABLES:
        # SQLite renames no table while any trigger names a missing one.
        for event in ("insert", "delete", "update"):
            await execute(f"DROP TRIGGER IF EXISTS {table}_counters_{event}", ())
    for table in COUNTED_TABLES:
        counters = f"{table}_counters"
        if counters not in existing:
            continue
        await execute(f"ALTER TABLE {counters} RENAME TO {counters}_before", ())
        await execute(
            f"CREATE TABLE {counters} (bits SMALLINT NOT NULL, location BIGINT NOT NULL, "
            "bucket BIGINT NOT NULL, shard SMALLINT NOT NULL, n INTEGER NOT NULL, "
            "PRIMARY KEY (bits, location, bucket, shard)) WITHOUT ROWID",
            (),
        )
        await execute(f"INSERT INTO {counters} ({_COLUMNS}) SELECT {_COLUMNS} FROM {counters}_before", ())
        await execute(f"DROP TABLE {counters}_before", ())


MIGRATIONS = (
    Migration(
        13,
        "key first in row counters",
        "Reorders the counters' columns, so that SQLite's integrity check raises no false alarm.",
        _put_key_first,
        StepKind.CONTRACT,
    ),
)
