"""What the declarations ask for beyond the numbered steps: tables, columns, indexes and triggers.

So an entity or a field needs no step of its own.
"""

from __future__ import annotations

from creditdesk.schema.entity import Entity, declared_entities
from creditdesk.storage.denormalization import backfill_statements, denormalization_triggers
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import existing_columns
from creditdesk.storage.naming import table_name
from creditdesk.storage.tables import (
    append_only_guards,
    counted_tables,
    denormalized_columns,
    foreign_keys,
    indexes,
    tables,
)


async def add_missing(execute: Execute, dialect: Dialect) -> None:
    """Adds the tables, columns, foreign keys and indexes that are missing, and fills them."""
    await _add_columns(execute, dialect)
    if dialect.name == "postgresql":
        await _add_sequences_and_foreign_keys(execute)
    rows = await execute(
        "SELECT name FROM sqlite_master WHERE type = 'index'"
        if dialect.name == "sqlite"
        else "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()",
        (),
    )
    existing = {name for (name,) in rows}
    for name, statement in indexes(declared_entities(), dialect):
        if name not in existing:
            await execute(statement, ())
    tables_there = await existing_columns(execute, dialect)
    for counted in counted_tables(declared_entities()):
        if counted.counter_table not in tables_there:
            await execute(dialect.counters.create_table(counted), ())


async def replace_triggers(execute: Execute, dialect: Dialect) -> None:
    """Replaces every trigger by its current definition, and counts rows that nothing counted yet."""
    for counted in counted_tables(declared_entities()):
        for statement in dialect.counters.triggers(counted):
            await execute(statement, ())
        await execute(dialect.counters.backfill(counted), ())
    for statement in append_only_guards(declared_entities(), dialect):
        await execute(statement, ())
    for statement in denormalization_triggers(declared_entities(), dialect):
        await execute(statement, ())


async def _add_columns(execute: Execute, dialect: Dialect) -> None:
    existing = await existing_columns(execute, dialect)
    added: set[tuple[str, str]] = set()
    for table in tables(declared_entities(), dialect):
        if table.name not in existing:
            await execute(table.create_statement(), ())
            continue
        for column in table.columns:
            if column.name not in existing[table.name]:
                definition = column.definition.replace(" NOT NULL", "")
                await execute(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {definition}", ())
                added.add((table.name, column.name))

    def has_new_copies(entity: type[Entity]) -> bool:
        columns = denormalized_columns(entity, dialect)
        return any((table_name(entity), name) in added for name, _ in columns)

    for statement in backfill_statements([*filter(has_new_copies, declared_entities())]):
        await execute(statement, ())


async def _add_sequences_and_foreign_keys(execute: Execute) -> None:
    rows = await execute(
        "SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace "
        "UNION ALL SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()",
        (),
    )
    existing = {name for (name,) in rows}
    for entity in declared_entities():
        sequence = f"{table_name(entity)}_ids"
        if sequence not in existing:
            await execute(f"CREATE SEQUENCE {sequence}", ())
    for name, statement in foreign_keys(declared_entities()):
        if name not in existing:
            await execute(statement, ())
