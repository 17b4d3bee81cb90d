"""Adds what is declared and missing: tables, columns, indexes and triggers.

So a new entity or field needs no numbered step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256

from creditdesk.schema.entity import Entity, declared_entities
from creditdesk.storage.denormalization import backfill_statements, denormalization_triggers, insert_triggers
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations import state
from creditdesk.storage.migrations.backfill import Backfill
from creditdesk.storage.migrations.step import Change, existing_columns
from creditdesk.storage.migrations.target import SchemaTarget
from creditdesk.storage.naming import table_name
from creditdesk.storage.row_counters import CountedTable
from creditdesk.storage.tables import (
    Table,
    append_only_guards,
    counted_tables,
    denormalized_columns,
    foreign_keys,
    indexes,
    tables,
)


async def add_missing(target: SchemaTarget, left_out: Collection[str]) -> None:
    """Adds the tables, columns, foreign keys and indexes that are missing, and fills them.

    Leaves out tables that a later step creates.
    """
    created = await _add_tables_and_columns(target, left_out)
    await _fill_copies(target)
    if target.dialect.name == "postgresql":
        await _add_sequences_and_foreign_keys(target, created, left_out)
    await _add_indexes(target, created, left_out)
    await target.change(_add_counters(left_out))


def _add_counters(left_out: Collection[str]) -> Change:
    async def add(execute: Execute, dialect: Dialect) -> None:
        existing = await existing_columns(execute, dialect)
        for counted in counted_tables(declared_entities()):
            if counted.counter_table not in (*existing, *left_out):
                await execute(dialect.counters.create_table(counted), ())

    return add


async def _add_tables_and_columns(target: SchemaTarget, left_out: Collection[str]) -> set[str]:
    """The names of the new tables."""
    existing: dict[str, set[str]] = {}

    async def read(execute: Execute, dialect: Dialect) -> None:
        existing.update(await existing_columns(execute, dialect))

    await target.change(read)
    created: set[str] = set()
    copies = {table_name(e): {n for n, _ in denormalized_columns(e, target.dialect)} for e in declared_entities()}
    for table in tables(declared_entities(), target.dialect):
        if table.name in left_out:
            continue
        if table.name not in existing:
            created.add(table.name)
            await target.change(_statements(table.create_statement()))
        elif any(column.name not in existing[table.name] for column in table.columns):
            await target.change(_add_columns(table, copies.get(table.name, set())))
    return created


def _add_columns(table: Table, copies: Collection[str]) -> Change:
    async def add(execute: Execute, dialect: Dialect) -> None:
        existing = (await existing_columns(execute, dialect))[table.name]
        added = [column for column in table.columns if column.name not in existing]
        for column in added:
            definition = column.definition.replace(" NOT NULL", "")
            await execute(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {definition}", ())
        if any(column.name in copies for column in added):
            await state.write(execute, dialect, state.new_copies_of(table.name), "")

    return add


async def _fill_copies(target: SchemaTarget) -> None:
    """Fills new copies, sources first; their columns may have been added by a run that was interrupted."""
    recorded: dict[str, str] = {}

    async def read(execute: Execute, _dialect: Dialect) -> None:
        recorded.update(await state.read(execute))

    await target.change(read)
    entities = [each for each in declared_entities() if state.new_copies_of(table_name(each)) in recorded]
    if not entities:
        return
    # Before they are filled, triggers keep what is filled already.
    for change in _trigger_changes(target.dialect, entities):
        await target.change(change)
    if target.has_servers:
        for change in _window_trigger_changes(target.dialect, entities):
            await target.change(change)
    for number, (table, statement) in enumerate(backfill_statements(entities), 1):
        await target.backfill(Backfill(f"{number} {state.COPIES}{table}", table, (f"{statement} WHERE {{rows}}",)))
    await target.change(state.forget_copies)


async def _add_sequences_and_foreign_keys(
    target: SchemaTarget, created: Collection[str], left_out: Collection[str]
) -> None:
    existing: set[str] = set()

    async def read(execute: Execute, _dialect: Dialect) -> None:
        rows = await execute(
            "SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND convalidated "
            "UNION ALL SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()",
            (),
        )
        existing.update(name for (name,) in rows)

    await target.change(read)
    for entity in declared_entities():
        sequence = f"{table_name(entity)}_ids"
        if sequence not in existing and table_name(entity) not in left_out:
            await target.change(_statements(f"CREATE SEQUENCE IF NOT EXISTS {sequence}"))
    for table, name, statement in foreign_keys(declared_entities()):
        if name in existing or table in left_out:
            continue
        if table in created:
            await target.change(_statements(statement))
            continue
        # Rows are checked in a transaction of its own, which does not keep others from writing.
        drop = f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"
        await target.change(_statements(drop, f"{statement} NOT VALID"))
        await target.change(_statements(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"))


async def _add_indexes(target: SchemaTarget, created: Collection[str], left_out: Collection[str]) -> None:
    existing: set[str] = set()

    async def read(execute: Execute, dialect: Dialect) -> None:
        rows = await execute(
            "SELECT name FROM sqlite_master WHERE type = 'index'"
            if dialect.name == "sqlite"
            else "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
            "WHERE c.relnamespace = current_schema()::regnamespace AND i.indisvalid",
            (),
        )
        existing.update(name for (name,) in rows)

    await target.change(read)
    for table, name, statement in indexes(declared_entities(), target.dialect):
        if name in existing or table in left_out:
            continue
        if table in created:
            await target.change(_statements(statement))
        else:
            await target.build_index(name, statement)


async def replace_triggers(target: SchemaTarget) -> None:
    """Replaces every trigger by its current definition, and counts rows that were not counted yet."""
    for counted in counted_tables(declared_entities()):
        await target.change(_count_rows(counted))
    for change in _trigger_changes(target.dialect, declared_entities()):
        await target.change(change)

    async def record(execute: Execute, dialect: Dialect) -> None:
        await state.write(execute, dialect, state.TRIGGERS, triggers_digest(dialect))

    await target.change(record)


def _count_rows(counted: CountedTable) -> Change:
    """The triggers that count, and in the same transaction a count of the rows from before."""

    async def count(execute: Execute, dialect: Dialect) -> None:
        for statement in (*dialect.counters.triggers(counted), dialect.counters.backfill(counted)):
            await execute(statement, ())

    return count


def _trigger_changes(dialect: Dialect, entities: Sequence[type[Entity]]) -> Iterator[Change]:
    """The triggers of each entity, which are replaced together."""
    for entity in entities:
        statements = (*append_only_guards([entity], dialect), *denormalization_triggers([entity], dialect))
        if statements:
            yield _statements(*statements)


def _window_trigger_changes(dialect: Dialect, entities: Sequence[type[Entity]]) -> Iterator[Change]:
    """Triggers that fill the new copies in rows of older programs, each recorded until the window closes."""
    for entity in entities:
        for name, statements in insert_triggers(entity, dialect):
            yield _window_trigger(name, statements)


def _window_trigger(name: str, statements: Sequence[str]) -> Change:
    async def create(execute: Execute, dialect: Dialect) -> None:
        for statement in statements:
            await execute(statement, ())
        await state.write(execute, dialect, state.window_trigger(name), "")

    return create


async def drop_window_triggers(target: SchemaTarget, names: Iterable[str]) -> None:
    """Drops the triggers that served older programs, each alone."""
    for name in names:
        await target.change(_drop_window_trigger(name))


def _drop_window_trigger(name: str) -> Change:
    async def drop(execute: Execute, dialect: Dialect) -> None:
        await execute(dialect.row_trigger_drop.format(name), ())
        await state.forget(execute, dialect, state.window_trigger(name))

    return drop


def triggers_digest(dialect: Dialect) -> str:
    """The digest of the definitions of all triggers."""
    entities = declared_entities()
    digest = sha256()
    for counted in counted_tables(entities):
        digest.update("".join(dialect.counters.triggers(counted)).encode())
    digest.update("".join(append_only_guards(entities, dialect)).encode())
    digest.update("".join(denormalization_triggers(entities, dialect)).encode())
    return digest.hexdigest()


def _statements(*texts: str) -> Change:
    async def apply(execute: Execute, _dialect: Dialect) -> None:
        for text in texts:
            await execute(text, ())

    return apply
