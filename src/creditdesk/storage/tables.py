"""Declaration -> tables, indexes and guards, as SQL text. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from creditdesk.schema.entity import BASE_FIELDS, Column, Entity, entity_named
from creditdesk.schema.fields import Collection, Object, Reference
from creditdesk.storage.denormalization import copied_pairs
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import (
    column_name,
    fitted,
    folded_name,
    is_folded,
    link_table,
    location_name,
    snake,
    table_name,
)
from creditdesk.storage.row_counters import Counted


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table: its name, and its type with what holds for it."""

    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table: columns, table-wide conditions, and the statements that complete it."""

    name: str
    columns: tuple[TableColumn, ...]
    conditions: tuple[str, ...]

    def create(self) -> str:
        lines = [f"{c.name} {c.definition}" for c in self.columns] + list(self.conditions)
        return f"CREATE TABLE IF NOT EXISTS {self.name} (\n  " + ",\n  ".join(lines) + "\n)"


def tables(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[Table]:
    """Every table of these entities, link tables included, without references between them."""
    for entity in entities:
        yield _own_table(entity, dialect)
        for column in entity.shape().collections:
            kind = column.kind
            if isinstance(kind, Collection) and not kind.mirrors:
                name, owner, item = link_table(entity, column.leaf)
                yield Table(
                    name,
                    (TableColumn(owner, "BIGINT NOT NULL"), TableColumn(item, "BIGINT NOT NULL")),
                    (f"PRIMARY KEY ({owner}, {item})", *_link_keys(entity, column, dialect)),
                )


def _own_table(entity: type[Entity], dialect: Dialect) -> Table:
    columns: list[TableColumn] = []
    for column in entity.shape().stored:
        if column.name == "Id":
            whole = "INTEGER" if dialect.name == "sqlite" else "BIGINT"
            columns.append(TableColumn("id", f"{whole} PRIMARY KEY"))
            continue
        kind = dialect.types[type(column.kind)]
        always = " NOT NULL" if column.name in ("CreatedOn", "UpdatedOn", "UniqueId") else ""
        columns.append(TableColumn(column_name(column), kind + always))
        if is_folded(column):
            columns.append(TableColumn(folded_name(column), kind))
    columns += [TableColumn(*each) for each in copied_columns(entity, dialect)]
    conditions = [f"CHECK ({check})" for check in entity.checks]
    if dialect.name == "sqlite":
        conditions += [_key_clause(c) for c in _references(entity)]
    return Table(table_name(entity), tuple(columns), tuple(conditions))


def copied_columns(entity: type[Entity], dialect: Dialect) -> Iterator[tuple[str, str]]:
    """The name and type of every table column that holds a copy."""
    for column in entity.shape().copied:
        for name, _ in copied_pairs(column):
            yield name, dialect.types[type(column.kind)]


def _references(entity: type[Entity]) -> Iterator[Column]:
    for column in entity.shape().stored:
        if isinstance(column.kind, Reference) and column.kind.kept:
            yield column


def _key_clause(column: Column) -> str:
    kind = column.kind
    assert isinstance(kind, Reference)
    target = table_name(entity_named(kind.to))
    return f"FOREIGN KEY ({column_name(column)}) REFERENCES {target} (id)"


def _link_keys(entity: type[Entity], column: Column, dialect: Dialect) -> Iterator[str]:
    if dialect.name != "sqlite":
        return
    _, owner, item = link_table(entity, column.leaf)
    kind = column.kind
    assert isinstance(kind, Collection)
    yield f"FOREIGN KEY ({owner}) REFERENCES {table_name(entity)} (id) ON DELETE CASCADE"
    if kind.kept:
        yield f"FOREIGN KEY ({item}) REFERENCES {table_name(entity_named(kind.of))} (id)"


def foreign_keys(entities: Iterable[type[Entity]]) -> Iterator[tuple[str, str]]:
    """PostgreSQL adds references once all tables are there: (constraint name, statement)."""
    for entity in entities:
        table = table_name(entity)
        for column in _references(entity):
            name = f"{table}_{column_name(column)}_fk"[:63]
            yield name, f"ALTER TABLE {table} ADD CONSTRAINT {name} {_key_clause(column)}"
        for column in entity.shape().collections:
            kind = column.kind
            if not isinstance(kind, Collection) or kind.mirrors:
                continue
            link, owner, item = link_table(entity, column.leaf)
            name = f"{link}_o_fk"[:63]
            yield (
                name,
                f"ALTER TABLE {link} ADD CONSTRAINT {name} FOREIGN KEY ({owner}) "
                f"REFERENCES {table} (id) ON DELETE CASCADE",
            )
            if kind.kept:
                name = f"{link}_i_fk"[:63]
                target = table_name(entity_named(kind.of))
                yield (
                    name,
                    f"ALTER TABLE {link} ADD CONSTRAINT {name} FOREIGN KEY ({item}) "
                    f"REFERENCES {target} (id)",
                )


def indexes(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[str]:
    """Every index: references, dates, default sorts, unique names, and links seen backwards.

    Of what is tallied, also each location along creation.
    """
    first = dialect.nulls_first
    for entity in entities:
        table = table_name(entity)
        for column in entity.shape().stored:
            if not _indexed(entity, column):
                continue
            read = folded_name(column) if is_folded(column) else column_name(column)
            name = f"{table}_{snake(column.name)}_ix"[:63]
            if column.name == "UniqueId":
                yield f"CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {table} (unique_id)"
            else:
                held = f" WHERE {read} IS NOT NULL" if _sparse(column) else ""
                yield f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({read}{first}, id){held}"
        for column in entity.shape().copied:
            if column.indexed:
                read = folded_name(column) if is_folded(column) else column_name(column)
                name = fitted(f"{table}_{read}", "_ix")
                yield f"CREATE INDEX IF NOT EXISTS {name}_ix ON {table} ({read}{first}, id)"
        if entity.tallied:
            # Counts what the tally leaves over of one location, and lists it by creation.
            location = location_name(entity)
            name = fitted(f"{table}_{location}_created_on", "_ix")
            yield (
                f"CREATE INDEX IF NOT EXISTS {name}_ix ON {table} "
                f"({location}{first}, created_on{first}, id)"
            )
        for number, group in enumerate(entity.unique, 1):
            columns = [entity.shape().columns[name] for name in group]
            names = [folded_name(c) if is_folded(c) else column_name(c) for c in columns]
            reads = ", ".join(f"{name}{first}" for name in names)
            name = f"{table}_unique_{number}"
            yield f"CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {table} ({reads})"
        for column in entity.shape().collections:
            kind = column.kind
            if isinstance(kind, Collection) and not kind.mirrors:
                link, owner, item = link_table(entity, column.leaf)
                name = f"{link}_back"[:63]
                yield f"CREATE INDEX IF NOT EXISTS {name} ON {link} ({item}, {owner})"


def _indexed(entity: type[Entity], column: Column) -> bool:
    if column.name == "Id" or isinstance(column.kind, Object):
        return False
    if not entity.served and column.name in BASE_FIELDS:
        # Nobody lists these records, so nobody asks for them by what all records have.
        return False
    kept = isinstance(column.kind, Reference) and column.kind.kept
    return kept or column.indexed or column.kind.sparse or column.name == entity.order


def _sparse(column: Column) -> bool:
    """Whether the index holds only rows that have a value: whoever sorts by it needs all."""
    return column.kind.sparse and not column.indexed


def tallies(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[str]:
    """Where rows are counted, the triggers that keep the count true, and what is there so far."""
    for entity in entities:
        if entity.tallied:
            counted = Counted(table_name(entity), location_name(entity))
            yield dialect.tally.table(counted)
            yield from dialect.tally.triggers(counted)
            yield dialect.tally.count_so_far(counted)


def guards(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[str]:
    """Triggers that make append-only entities so in the database itself."""
    for entity in entities:
        if entity.append_only:
            fixed: list[str] = []
            if entity.editable:
                for column in entity.shape().stored:
                    if column.name not in entity.editable:
                        fixed.append(column_name(column))
            yield from dialect.guard(table_name(entity), fixed)
