"""Declarations as SQL: tables, foreign keys, indexes and append-only triggers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from creditdesk.schema.entity import BASE_FIELDS, Column, Entity, entity_by_name
from creditdesk.schema.fields import Collection, Integer, Money, Object, Reference
from creditdesk.storage.denormalization import denormalized_pairs
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import (
    MAX_IDENTIFIER_LENGTH,
    casefolded_name,
    column_name,
    is_casefolded,
    link_table,
    location_column,
    shortened_name,
    snake_case,
    table_name,
)
from creditdesk.storage.row_counters import CountedTable


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table: its name, and its type with its constraints."""

    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns and table constraints."""

    name: str
    columns: tuple[TableColumn, ...]
    constraints: tuple[str, ...]

    def create_statement(self) -> str:
        lines = [f"{c.name} {c.definition}" for c in self.columns] + list(self.constraints)
        return f"CREATE TABLE IF NOT EXISTS {self.name} (\n  " + ",\n  ".join(lines) + "\n)"


def tables(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[Table]:
    """Every table of these entities, link tables included; on PostgreSQL without foreign keys."""
    for entity in entities:
        yield _entity_table(entity, dialect)
        for column in entity.meta().collection_columns:
            field = column.field
            if isinstance(field, Collection) and not field.inverse_of:
                name, owner, item = link_table(entity, column.leaf)
                yield Table(
                    name,
                    (TableColumn(owner, "BIGINT NOT NULL"), TableColumn(item, "BIGINT NOT NULL")),
                    (
                        f"PRIMARY KEY ({owner}, {item})",
                        *_link_foreign_keys(entity, column, dialect),
                    ),
                )


def _entity_table(entity: type[Entity], dialect: Dialect) -> Table:
    columns: list[TableColumn] = []
    for column in entity.meta().stored_columns:
        if column.name == "Id":
            id_type = "INTEGER" if dialect.name == "sqlite" else "BIGINT"
            columns.append(TableColumn("id", f"{id_type} PRIMARY KEY"))
            continue
        column_type = dialect.column_types[type(column.field)]
        not_null = " NOT NULL" if column.name in ("CreatedOn", "UpdatedOn", "UniqueId") else ""
        columns.append(TableColumn(column_name(column), column_type + not_null))
        if is_casefolded(column):
            columns.append(TableColumn(casefolded_name(column), column_type))
    columns += [TableColumn(*each) for each in denormalized_columns(entity, dialect)]
    constraints = [f"CHECK ({check})" for check in entity.checks]
    if dialect.name == "sqlite":
        constraints += [_foreign_key_clause(c) for c in _foreign_key_columns(entity)]
    return Table(table_name(entity), tuple(columns), tuple(constraints))


def denormalized_columns(entity: type[Entity], dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Name and type of every table column that holds a denormalized value."""
    for column in entity.meta().denormalized_columns:
        for name, _ in denormalized_pairs(column):
            yield name, dialect.column_types[type(column.field)]


def _foreign_key_columns(entity: type[Entity]) -> Iterator[Column]:
    for column in entity.meta().stored_columns:
        if isinstance(column.field, Reference) and column.field.is_local:
            yield column


def _foreign_key_clause(column: Column) -> str:
    field = column.field
    assert isinstance(field, Reference)
    target = table_name(entity_by_name(field.to))
    return f"FOREIGN KEY ({column_name(column)}) REFERENCES {target} (id)"


def _link_foreign_keys(entity: type[Entity], column: Column, dialect: Dialect) -> Iterator[str]:
    if dialect.name != "sqlite":
        return
    _, owner, item = link_table(entity, column.leaf)
    field = column.field
    assert isinstance(field, Collection)
    yield f"FOREIGN KEY ({owner}) REFERENCES {table_name(entity)} (id) ON DELETE CASCADE"
    if field.is_local:
        yield f"FOREIGN KEY ({item}) REFERENCES {table_name(entity_by_name(field.of))} (id)"


def foreign_keys(entities: Iterable[type[Entity]]) -> Iterator[tuple[str, str, str]]:
    """Foreign keys that PostgreSQL adds once all tables exist: (table, constraint name, statement)."""
    for entity in entities:
        table = table_name(entity)
        for column in _foreign_key_columns(entity):
            name = f"{table}_{column_name(column)}_fk"[:MAX_IDENTIFIER_LENGTH]
            yield table, name, f"ALTER TABLE {table} ADD CONSTRAINT {name} {_foreign_key_clause(column)}"
        for column in entity.meta().collection_columns:
            field = column.field
            if not isinstance(field, Collection) or field.inverse_of:
                continue
            link, owner, item = link_table(entity, column.leaf)
            name = f"{link}_o_fk"[:MAX_IDENTIFIER_LENGTH]
            yield (
                link,
                name,
                f"ALTER TABLE {link} ADD CONSTRAINT {name} FOREIGN KEY ({owner}) "
                f"REFERENCES {table} (id) ON DELETE CASCADE",
            )
            if field.is_local:
                name = f"{link}_i_fk"[:MAX_IDENTIFIER_LENGTH]
                target = table_name(entity_by_name(field.of))
                yield (
                    link,
                    name,
                    f"ALTER TABLE {link} ADD CONSTRAINT {name} FOREIGN KEY ({item}) REFERENCES {target} (id)",
                )


def indexes(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[tuple[str, str, str]]:
    """Every index: (table, name, statement)."""
    for entity in entities:
        table = table_name(entity)
        for name, columns, unique, condition in _entity_indexes(entity, dialect):
            statement = "CREATE UNIQUE INDEX" if unique else "CREATE INDEX"
            yield table, name, f"{statement} IF NOT EXISTS {name} ON {table} ({columns}){condition}"
        for name, columns, condition in (
            *_low_cardinality_indexes(entity, dialect),
            *_covering_indexes(entity, dialect),
        ):
            yield table, name, f"CREATE INDEX IF NOT EXISTS {name} ON {table} {columns}{condition}"
        for column in entity.meta().collection_columns:
            field = column.field
            if isinstance(field, Collection) and not field.inverse_of:
                link, owner, item = link_table(entity, column.leaf)
                name = f"{link}_back"[:MAX_IDENTIFIER_LENGTH]
                yield link, name, f"CREATE INDEX IF NOT EXISTS {name} ON {link} ({item}, {owner})"


def _entity_indexes(entity: type[Entity], dialect: Dialect) -> Iterator[tuple[str, str, bool, str]]:
    """Name, columns, uniqueness and condition of each index on an entity's own table."""
    table, first = table_name(entity), dialect.nulls_first
    for column in entity.meta().stored_columns:
        if _is_indexed(entity, column):
            name = f"{table}_{snake_case(column.name)}_ix"[:MAX_IDENTIFIER_LENGTH]
            compared = _compared_name(column)
            if column.name == "UniqueId":
                yield name, compared, True, ""
            else:
                condition = f" WHERE {compared} IS NOT NULL" if _has_partial_index(column) else ""
                yield name, f"{compared}{first}, id", False, condition
    for column in entity.meta().denormalized_columns:
        if column.indexed:
            compared = _compared_name(column)
            name = shortened_name(f"{table}_{compared}", "_ix")
            yield f"{name}_ix", f"{compared}{first}, id", False, ""
    if entity.counted:
        # Counts the rows of one location that the counters leave over, and lists them by creation.
        location = location_column(entity)
        name = shortened_name(f"{table}_{location}_created_on", "_ix")
        yield f"{name}_ix", f"{location}{first}, created_on{first}, id", False, ""
    for number, group in enumerate(entity.unique, 1):
        names = (_compared_name(entity.meta().columns[name]) for name in group)
        columns = ", ".join(f"{name}{first}" for name in names)
        yield f"{table}_unique_{number}", columns, True, ""


def _low_cardinality_indexes(entity: type[Entity], dialect: Dialect) -> Iterator[tuple[str, str, str]]:
    """Name, columns and condition of the indexes that list the rows of one text by creation.

    They include the indexed amounts and the location, which are filtered most often together with such a text, so that
    counting rows reads only the index.
    """
    meta, first = entity.meta(), dialect.nulls_first
    covered = [column_name(c) for c in meta.stored_columns if c.indexed and isinstance(c.field, Money | Integer)]
    if entity.counted:
        covered.append(location_column(entity))
    for column in meta.denormalized_columns:
        if column.low_cardinality:
            compared = _compared_name(column)
            name = shortened_name(f"{table_name(entity)}_{compared}_created_on", "_ix")
            columns = dialect.covering_index(f"{compared}{first}, created_on{first}, id", covered)
            yield f"{name}_ix", columns, f" WHERE {compared} IS NOT NULL"


def _covering_indexes(entity: type[Entity], dialect: Dialect) -> Iterator[tuple[str, str, str]]:
    """Name, columns and condition of the indexes that were declared whole."""
    columns, first = entity.meta().columns, dialect.nulls_first
    for index in entity.covering_indexes:
        # An Id is never null, and lists sort by it plainly.
        keys = ", ".join("id" if name == "Id" else f"{_compared_name(columns[name])}{first}" for name in index.columns)
        covered = [column_name(columns[name]) for name in index.holds]
        condition = f" WHERE {index.condition}" if index.condition else ""
        yield f"{table_name(entity)}_{index.name}_ix", dialect.covering_index(keys, covered), condition


def _compared_name(column: Column) -> str:
    """The table column that filters and sorts read."""
    return casefolded_name(column) if is_casefolded(column) else column_name(column)


def _is_indexed(entity: type[Entity], column: Column) -> bool:
    if column.name == "Id" or isinstance(column.field, Object):
        return False
    if not entity.public and column.name in BASE_FIELDS:
        # Internal records are not listed, so no filter reads their base fields.
        return False
    if any(not each.condition and each.columns[:2] == (column.name, "Id") for each in entity.covering_indexes):
        # That index lists the rows of a value by Id as its own would.
        return False
    kept = isinstance(column.field, Reference) and column.field.is_local
    return kept or column.indexed or column.field.partial_index or column.name == entity.order


def _has_partial_index(column: Column) -> bool:
    """Whether the index holds only rows with a value; sorting by the column needs all rows."""
    return column.field.partial_index and not column.indexed


def counted_tables(entities: Iterable[type[Entity]]) -> Iterator[CountedTable]:
    """The tables whose rows are counted."""
    for entity in entities:
        if entity.counted:
            yield CountedTable(table_name(entity), location_column(entity))


def append_only_guards(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[str]:
    """Triggers by which the database itself protects append-only entities from changes."""
    for entity in entities:
        if entity.append_only:
            fixed: list[str] = []
            if entity.mutable_fields:
                for column in entity.meta().stored_columns:
                    if column.name not in entity.mutable_fields:
                        fixed.append(column_name(column))
            yield from dialect.append_only_triggers(table_name(entity), fixed, entity.deletable_when)
