"""A named runner: brings a database to this program's schema, and refuses a newer one.

Numbered steps change what is there; after them whatever is declared and not there yet (a new
entity, field, index or guard) is added, so that one more entity costs one file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from creditdesk.schema.entity import declared_entities
from creditdesk.schema.fields import Integer
from creditdesk.storage.denormalization import backfill_statements, denormalization_triggers
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import table_name
from creditdesk.storage.tables import (
    append_only_guards,
    counters,
    denormalized_columns,
    foreign_keys,
    indexes,
    tables,
)

Execute = Callable[[str, Sequence[Any]], Awaitable[Sequence[Sequence[Any]]]]
Step = Callable[[Execute, Dialect], Awaitable[None]]

_VERSION_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version "
    "(number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_on TEXT NOT NULL)"
)


class NewerDatabase(Exception):
    """The database was made by a newer program; this one must not touch it."""


class OlderDatabase(Exception):
    """The database lacks steps of this program; run `creditdesk migrate`."""


async def _first(run: Execute, dialect: Dialect) -> None:
    if dialect.name == "sqlite":
        await run(
            "CREATE TABLE IF NOT EXISTS id_sequence "
            "(name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
            (),
        )


async def _fewer_indexes(run: Execute, _dialect: Dialect) -> None:
    """Nobody looks for these by when they were made or by UniqueId; answers get a better key."""
    unserved = (
        "allocation_document", "benefit_roll_over", "credential", "credit_state", "grant_key",
        "hold", "location_profile", "refresh_token", "sealed_heads", "sign_in_attempt",
        "signing_key", "stored_answer", "stored_checkpoint",
    )  # fmt: skip
    for table in unserved:
        for column in ("updated_on", "created_on", "unique_id"):
            await run(f"DROP INDEX IF EXISTS {table}_{column}_ix", ())
    for name in ("credit_state_unique_1", "stored_answer_key_number_ix", "stored_answer_unique_1"):
        await run(f"DROP INDEX IF EXISTS {name}", ())


async def _tally_anew(run: Execute, dialect: Dialect) -> None:  # noqa: ARG001 - the same on both
    """Rows were counted by day alone; the table that counts them otherwise is made and filled
    with whatever else is declared and not there.
    """
    await run("DROP TABLE IF EXISTS row_tally", ())


async def _copies(run: Execute, dialect: Dialect) -> None:
    """Nothing of its own: copies are filled as their columns are added.

    The number keeps away older programs, whose rows would come without copies.
    """


_WITHOUT_OVERDRAFT: Final = "CHECK (remaining_uses >= 0 AND remaining_uses <= total_uses)"
_WITH_OVERDRAFT: Final = (
    "CHECK (remaining_uses >= -coalesce(overdraft, 0) AND remaining_uses <= total_uses)",
    "CHECK (coalesce(overdraft, 0) >= 0)",
)


async def _overdraft(run: Execute, dialect: Dialect) -> None:
    """Printing credit may go below zero as far as its own row says (rule 33)."""
    table = "coworker_extra_service"
    there = (await _existing_columns(run, dialect)).get(table)
    if there is None:
        return
    if "overdraft" not in there:
        await run(f"ALTER TABLE {table} ADD COLUMN overdraft {dialect.column_types[Integer]}", ())
    if dialect.name == "sqlite":
        # A check is only text to it: no row is read or written when one is replaced so.
        ((version,),) = await run("PRAGMA schema_version", ())
        await run("PRAGMA writable_schema = ON", ())
        await run(
            "UPDATE sqlite_master SET sql = replace(sql, ?1, ?2) WHERE type = 'table' AND name = ?3",
            (_WITHOUT_OVERDRAFT, ",\n  ".join(_WITH_OVERDRAFT), table),
        )
        await run(f"PRAGMA schema_version = {version + 1}", ())
        await run("PRAGMA writable_schema = OFF", ())
        return
    for (name,) in await run(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'",
        (table,),
    ):
        await run(f"ALTER TABLE {table} DROP CONSTRAINT {name}", ())
    for check in _WITH_OVERDRAFT:
        await run(f"ALTER TABLE {table} ADD {check}", ())


async def _tally_by_location(run: Execute, dialect: Dialect) -> None:
    """All is counted anew, now that the rows of each location are counted as well."""
    await run("DROP TABLE IF EXISTS row_tally", ())
    if dialect.name == "postgresql":
        # The triggers of each table have functions of their own now.
        for name in ("in", "out", "move"):
            await run(f"DROP FUNCTION IF EXISTS creditdesk_tally_{name}() CASCADE", ())


async def _indexes_of_own_values(run: Execute, dialect: Dialect) -> None:
    """Nothing of its own: indexes of what uses hold themselves are added as they are declared."""


async def _finer_tally(run: Execute, dialect: Dialect) -> None:
    """Each table gets a tally of its own, in more widths, and is counted anew."""
    for table in (table_name(entity) for entity in declared_entities() if entity.counted):
        for name in ("in", "out", "move"):
            trigger = f"{table}_tally_{name}"
            if dialect.name == "postgresql":
                await run(f"DROP FUNCTION IF EXISTS {trigger}() CASCADE", ())
            else:
                await run(f"DROP TRIGGER IF EXISTS {trigger}", ())
    await run("DROP TABLE IF EXISTS row_tally", ())


async def _whole_indexes(run: Execute, dialect: Dialect) -> None:  # noqa: ARG001 - the same on both
    """Where a SystemId is sorted by, its index held only those that are there."""
    for entity in declared_entities():
        if "SystemId" in entity.indexed:
            await run(f"DROP INDEX IF EXISTS {table_name(entity)}_system_id_ix", ())


_RENAMED_TABLES: Final = {
    "benefit_roll_over": "benefit_rollover",
    "credit_state": "account_state",
    "grant_key": "benefit_grant",
    "sealed_heads": "checkpoint_heads",
    "stored_answer": "stored_response",
}


async def _rename_tables(execute: Execute, dialect: Dialect) -> None:
    """Renames five internal tables and whatever the database names after them."""
    existing = await _existing_columns(execute, dialect)
    for old, new in _RENAMED_TABLES.items():
        if old in existing:
            await execute(f"ALTER TABLE {old} RENAME TO {new}", ())
            rename_dependents = (
                _rename_on_sqlite if dialect.name == "sqlite" else _rename_on_postgresql
            )
            await rename_dependents(execute, old, new)


async def _rename_on_sqlite(execute: Execute, old: str, new: str) -> None:
    """Renames the id sequence; SQLite renames no index or trigger, so these are created again."""
    await execute("UPDATE id_sequence SET name = ?2 WHERE name = ?1", (old, new))
    for kind, name in await execute(
        "SELECT type, name FROM sqlite_master "
        "WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL",
        (new,),
    ):
        await execute(f"DROP {kind} {name}", ())


async def _rename_on_postgresql(execute: Execute, old: str, new: str) -> None:
    """Renames the id sequence, and the table's indexes, constraints and triggers."""
    await execute(f"ALTER SEQUENCE IF EXISTS {old}_ids RENAME TO {new}_ids", ())
    dependents = await execute(
        "SELECT 'INDEX ' || c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = $1::text::regclass "
        "UNION ALL SELECT 'CONSTRAINT ' || conname FROM pg_constraint "
        "WHERE conrelid = $1::text::regclass AND contype IN ('c', 'f', 'n') "
        "UNION ALL SELECT 'TRIGGER ' || tgname FROM pg_trigger "
        "WHERE tgrelid = $1::text::regclass AND NOT tgisinternal",
        (new,),
    )
    for (dependent,) in dependents:
        kind, _, name = dependent.partition(" ")
        if not name.startswith(f"{old}_"):
            continue
        renamed = new + name.removeprefix(old)
        if kind == "INDEX":
            await execute(f"ALTER INDEX {name} RENAME TO {renamed}", ())
        elif kind == "CONSTRAINT":
            await execute(f"ALTER TABLE {new} RENAME CONSTRAINT {name} TO {renamed}", ())
        else:
            await execute(f"ALTER TRIGGER {name} ON {new} RENAME TO {renamed}", ())


STEPS: Final[tuple[tuple[int, str, Step], ...]] = (
    (1, "initial", _first),
    (2, "fewer indexes", _fewer_indexes),
    (3, "tally by creation and id", _tally_anew),
    (4, "copies of lent values", _copies),
    (5, "printing overdraft", _overdraft),
    (6, "tally by location", _tally_by_location),
    (7, "indexes of own values", _indexes_of_own_values),
    (8, "finer tally", _finer_tally),
    (9, "indexes for every sort of uses", _whole_indexes),
    (10, "standard names of internal tables", _rename_tables),
)
LATEST_VERSION: Final = STEPS[-1][0]


async def current_version(execute: Execute) -> int:
    """The number of the newest step the database has; 0 when it is empty."""
    rows = await execute("SELECT coalesce(max(number), 0) FROM schema_version", ())
    return int(rows[0][0])


async def migrate(execute: Execute, dialect: Dialect, applied_on: str) -> list[str]:
    """Applies what is missing inside the caller's transaction; the names of the steps applied."""
    await execute(_VERSION_TABLE, ())
    number = await current_version(execute)
    if number > LATEST_VERSION:
        raise NewerDatabase(
            f"The database has schema {number}; this program knows up to {LATEST_VERSION}. "
            "Use the newer program."
        )
    applied: list[str] = []
    for step, name, apply in STEPS:
        if step > number:
            await apply(execute, dialect)
            mark = dialect.placeholder
            await execute(
                f"INSERT INTO schema_version VALUES ({mark(1)}, {mark(2)}, {mark(3)})",
                (step, name, applied_on),
            )
            applied.append(name)
    await _add_declared_schema(execute, dialect)
    return applied


async def _add_declared_schema(execute: Execute, dialect: Dialect) -> None:
    existing = await _existing_columns(execute, dialect)
    added: set[str] = set()
    for table in tables(declared_entities(), dialect):
        if table.name not in existing:
            await execute(table.create_statement(), ())
            continue
        for column in table.columns:
            if column.name not in existing[table.name]:
                kind = column.definition.replace(" NOT NULL", "")
                await execute(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}", ())
                added.add(f"{table.name}.{column.name}")
    await _backfill_denormalized(execute, dialect, added)
    if dialect.name == "postgresql":
        rows = await execute(
            "SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace",
            (),
        )
        known = {row[0] for row in rows}
        for entity in declared_entities():
            await execute(f"CREATE SEQUENCE IF NOT EXISTS {table_name(entity)}_ids", ())
        for name, statement in foreign_keys(declared_entities()):
            if name not in known:
                await execute(statement, ())
    for statement in indexes(declared_entities(), dialect):
        await execute(statement, ())
    for statement in counters(declared_entities(), dialect):
        await execute(statement, ())
    for statement in append_only_guards(declared_entities(), dialect):
        await execute(statement, ())
    for statement in denormalization_triggers(declared_entities(), dialect):
        await execute(statement, ())


async def _backfill_denormalized(execute: Execute, dialect: Dialect, added: set[str]) -> None:
    """Rows that were there get the copies whose columns are new."""
    new = [
        entity
        for entity in declared_entities()
        if any(
            f"{table_name(entity)}.{n}" in added for n, _ in denormalized_columns(entity, dialect)
        )
    ]
    for statement in backfill_statements(new):
        await execute(statement, ())


async def _existing_columns(execute: Execute, dialect: Dialect) -> dict[str, set[str]]:
    if dialect.name == "sqlite":
        rows = await execute(
            "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c "
            "WHERE m.type = 'table'",
            (),
        )
    else:
        rows = await execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema()",
            (),
        )
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found
