"""Where the SQL of SQLite and PostgreSQL differs: types and conversions of fields, and expressions."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Enum,
    Field,
    Guid,
    Integer,
    Money,
    Number,
    Object,
    Reference,
    Text,
)
from creditdesk.storage.codecs import (
    DateTimeCache,
    decode_object,
    encode_object,
    to_microseconds,
    with_utc,
)
from creditdesk.storage.row_counters import PostgreSQLRowCounters, RowCounters, SQLiteRowCounters

Convert = Callable[[Any], Any]
MAX_PACKED_VALUES: Final = 100
"""The number of values in one JSON array; a function of SQLite takes at most 127 arguments."""

_NO_TEXT: Final = "''"
_decode_packed: Final = msgspec.json.Decoder(list[int | str | None]).decode

Execute = Callable[[str, Sequence[Any]], Awaitable[Sequence[Sequence[Any]]]]
"""Runs a statement with parameters and returns its rows."""


class Dialect(ABC):
    """The SQL of an engine that statements and tables need."""

    name: ClassVar[str]
    column_types: ClassVar[Mapping[type[Field], str]]
    encoders: ClassVar[Mapping[type[Field], Convert]]
    decoders: ClassVar[Mapping[type[Field], Convert]]
    counters: ClassVar[RowCounters]
    row_trigger_drop: ClassVar[str]
    """Drops a `row_trigger`; formatted with its name."""
    nulls_first: ClassVar[str]
    nulls_last: ClassVar[str]
    id_order_hint: ClassVar[str]
    """A condition, true for every row (alias t), that makes the engine read rows of several values of a
    column from the index that is sorted by Id within each value.
    """

    @abstractmethod
    def placeholder(self, position: int) -> str:
        """The placeholder of the parameter with this number, from 1."""

    @abstractmethod
    def in_array(self, expression: str, placeholder: str, element_type: str = "BIGINT") -> str:
        """Condition that a value of this type is in a list bound as one parameter."""

    @abstractmethod
    def in_subquery(self, expression: str, subquery: str) -> str:
        """Condition that a value is in a subquery's result, in a form that uses an index on the value."""

    @abstractmethod
    def rows_of_each(self, source: str, columns: Sequence[str], subquery: str) -> str:
        """A query for the rows of a subquery that refers to columns of each row of a source.

        The `columns` hold numbers or datetimes.
        """

    def has_value(self, expression: str, *, is_text: bool) -> str:  # noqa: ARG002 - part of the interface
        """Condition that an indexed column is not null."""
        return f"{expression} IS NOT NULL"

    @abstractmethod
    def limit_if(self, condition: str, size: int | None = None) -> tuple[str, str]:
        """What follows WHERE, and LIMIT, of a query that runs only on a condition over other tables."""

    @abstractmethod
    def covering_index(self, columns: str, covered: Sequence[str]) -> str:
        """The columns of an index that also holds the values of others."""

    @abstractmethod
    def no_index(self, expression: str) -> str:
        """The expression in a form for which no index is used."""

    @abstractmethod
    def array_parameter(self, values: Sequence[Any]) -> Any:
        """Encodes a list as the value of one parameter."""

    @abstractmethod
    def contains(self, expression: str, placeholder: str) -> str:
        """Condition that a text contains another."""

    @abstractmethod
    def collection_ids(self, table: str, owner: str, item: str, owner_id: str) -> str:
        """The item ids of one owner in a link table, ascending, as one value."""

    @abstractmethod
    def decode_collection(self, value: Any) -> tuple[int, ...]:
        """The ids in a value of `collection_ids`."""

    def pack_row(self, values: Sequence[str]) -> str:
        """The values of a row in the form in which the driver returns many rows fastest."""
        return ", ".join(values)

    def unpack_rows(self, rows: Sequence[Sequence[Any]], skip: int) -> Sequence[Sequence[Any]]:
        """The values of packed rows, which follow `skip` other columns."""
        return [row[skip:] for row in rows]

    @abstractmethod
    def custom_field_condition(self, expression: str, name_placeholder: str, value_placeholder: str) -> str:
        """Condition that casefolded custom fields have an entry of this name whose value contains a text.

        With an empty `value_placeholder`: that they have an entry with any value.
        """

    @abstractmethod
    def lock_clause(self, *, skip_locked: bool = False) -> str:
        """The clause that locks a SELECT's rows until the transaction ends.

        With `skip_locked` rows that another transaction has locked are left out.
        """

    @abstractmethod
    def is_distinct(self, one: str, other: str) -> str:
        """Condition that two values differ, null being equal to null."""

    @abstractmethod
    def row_trigger(self, name: str, event: str, table: str, when: str, body: str) -> list[str]:
        """A trigger for each row of an event like `AFTER UPDATE OF name`."""

    @abstractmethod
    def deferred_trigger(self, name: str, table: str, columns: Sequence[str], when: str, body: str) -> list[str]:
        """A trigger that executes `body` at commit, once no other transaction shares the updated row,
        so that it sees what others copied from the row before the update.
        """

    @abstractmethod
    def trigger_error(self, message: str, condition: str) -> str:
        """The statement of a trigger that rejects an update, unless another trigger made it."""

    @abstractmethod
    def append_only_triggers(self, table: str, fixed_columns: Sequence[str], deletable_when: str) -> list[str]:
        """Triggers that reject DELETE unless a condition holds, and UPDATE of the fixed columns (of all if empty)."""

    def encode(self, field: Field, value: Any) -> Any:
        """A value as the driver takes it."""
        convert = self.encoders.get(type(field))
        return value if convert is None or value is None else convert(value)

    def decoder(self, field: Field) -> Convert | None:
        """The conversion of the driver's values; None if they need none."""
        return self.decoders.get(type(field))


class SQLite(Dialect):
    """Datetimes and booleans are integers; parameters are numbered ?1, ?2."""

    name = "sqlite"
    column_types = {
        Text: "TEXT", Guid: "TEXT", Integer: "INTEGER", Money: "INTEGER", Number: "INTEGER",
        Boolean: "INTEGER", Enum: "INTEGER", DateTime: "INTEGER", Object: "TEXT",
        Reference: "INTEGER", Collection: "",
    }  # fmt: skip
    encoders = {DateTime: to_microseconds, Boolean: int, Object: encode_object}
    decoders = {DateTime: DateTimeCache().__getitem__, Boolean: bool, Object: decode_object}
    counters = SQLiteRowCounters()
    row_trigger_drop = "DROP TRIGGER IF EXISTS {}"
    nulls_first = ""
    nulls_last = ""
    # SQLite takes any of two indexes on that column, whichever is sorted as the query asks.
    id_order_hint = f" AND t.id > {-(2**63 - 1)}"

    def placeholder(self, position: int) -> str:
        return f"?{position}"

    def in_array(self, expression: str, placeholder: str, element_type: str = "BIGINT") -> str:  # noqa: ARG002 - SQLite compares values of any type
        return f"{expression} IN (SELECT value FROM json_each({placeholder}))"

    def in_subquery(self, expression: str, subquery: str) -> str:
        return f"{expression} IN ({subquery})"

    def rows_of_each(self, source: str, columns: Sequence[str], subquery: str) -> str:
        # SQLite has no LATERAL, but the argument of a table-valued function may refer to other tables.
        found = ", ".join(f"json_extract(found.value, '$[{n}]') AS {name}" for n, name in enumerate(columns))
        packed = f"SELECT json_group_array(json_array({', '.join(columns)})) FROM ({subquery})"
        return f"SELECT {found} FROM {source} CROSS JOIN json_each(({packed})) AS found"

    def has_value(self, expression: str, *, is_text: bool) -> str:
        # SQLite uses an index for ranges, but not for IS NOT NULL.
        return f"{expression} >= {_NO_TEXT if is_text else -(2**63 - 1)}"

    def limit_if(self, condition: str, size: int | None = None) -> tuple[str, str]:
        # A condition would be evaluated for each row.
        return "", f" LIMIT CASE WHEN {condition} THEN {-1 if size is None else size} ELSE 0 END"

    def covering_index(self, columns: str, covered: Sequence[str]) -> str:
        return f"({', '.join((columns, *covered))})"

    def no_index(self, expression: str) -> str:
        # The sample of ANALYZE says too little of a column with few distinct values. The column of a joined record must
        # not turn the outer join into an inner one, which may begin with that record.
        return f"+{expression}" if expression.startswith("t.") else f"ifnull({expression}, NULL)"

    def array_parameter(self, values: Sequence[Any]) -> str:
        return json.dumps(list(values))

    def contains(self, expression: str, placeholder: str) -> str:
        return f"instr({expression}, {placeholder}) > 0"

    def collection_ids(self, table: str, owner: str, item: str, owner_id: str) -> str:
        return (
            f"(SELECT group_concat(i, ',') FROM (SELECT {item} AS i FROM {table} "
            f"WHERE {owner} = {owner_id} ORDER BY {item}))"
        )

    def decode_collection(self, value: Any) -> tuple[int, ...]:
        return tuple(sorted(int(part) for part in value.split(","))) if value else ()

    def pack_row(self, values: Sequence[str]) -> str:
        # One JSON array is built and parsed faster than the driver converts single values.
        return ", ".join(
            f"CAST(json_array({', '.join(values[first : first + MAX_PACKED_VALUES])}) AS BLOB)"
            for first in range(0, len(values), MAX_PACKED_VALUES)
        )

    def unpack_rows(self, rows: Sequence[Sequence[Any]], skip: int) -> Sequence[Sequence[Any]]:
        if len(rows[0]) == skip + 1:
            return [_decode_packed(row[skip]) for row in rows]
        return [[value for part in row[skip:] for value in _decode_packed(part)] for row in rows]

    def custom_field_condition(self, expression: str, name_placeholder: str, value_placeholder: str) -> str:
        value = "json_extract(entry.value, '$.Value')"
        holds = f"instr({value}, {value_placeholder}) > 0" if value_placeholder else f"{value} IS NOT NULL"
        return (
            f"EXISTS (SELECT 1 FROM json_each({expression}, '$.Data') AS entry "
            f"WHERE json_extract(entry.value, '$.Name') = {name_placeholder} AND {holds})"
        )

    def lock_clause(self, *, skip_locked: bool = False) -> str:  # noqa: ARG002 - SQLite has one writer
        return ""

    def is_distinct(self, one: str, other: str) -> str:
        return f"{one} IS NOT {other}"

    def row_trigger(self, name: str, event: str, table: str, when: str, body: str) -> list[str]:
        return [
            self.row_trigger_drop.format(name),
            f"CREATE TRIGGER {name} {event} ON {table} WHEN {when} BEGIN {body} END",
        ]

    def deferred_trigger(self, name: str, table: str, columns: Sequence[str], when: str, body: str) -> list[str]:  # noqa: ARG002 - there is one writer at a time
        return []

    def trigger_error(self, message: str, condition: str) -> str:
        return f"SELECT RAISE(ABORT, '{message}') WHERE {condition};"

    def append_only_triggers(self, table: str, fixed_columns: Sequence[str], deletable_when: str) -> list[str]:
        differs = " OR ".join(f"OLD.{c} IS NOT NEW.{c}" for c in fixed_columns)
        when = f" WHEN {differs}" if fixed_columns else ""
        kept = f" WHEN NOT {deletable_when}" if deletable_when else ""
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        # Recreated by every migration, so that a column declared later is guarded too.
        return [
            f"DROP TRIGGER IF EXISTS {table}_no_delete",
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}{kept} {refuse}",
            f"DROP TRIGGER IF EXISTS {table}_no_update",
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}{when} {refuse}",
        ]


class PostgreSQL(Dialect):
    """Datetimes and booleans are native, text compares by code point; parameters are numbered $1, $2."""

    name = "postgresql"
    column_types = {
        Text: 'TEXT COLLATE "C"', Guid: 'TEXT COLLATE "C"', Integer: "BIGINT", Money: "BIGINT",
        Number: "BIGINT", Boolean: "BOOLEAN", Enum: "BIGINT", DateTime: "TIMESTAMPTZ",
        Object: "TEXT", Reference: "BIGINT", Collection: "",
    }  # fmt: skip
    encoders = {Object: encode_object}
    decoders = {DateTime: with_utc, Object: decode_object}
    counters = PostgreSQLRowCounters()
    row_trigger_drop = "DROP FUNCTION IF EXISTS {}() CASCADE"
    nulls_first = " NULLS FIRST"
    nulls_last = " NULLS LAST"
    id_order_hint = ""

    def placeholder(self, position: int) -> str:
        return f"${position}"

    def in_array(self, expression: str, placeholder: str, element_type: str = "BIGINT") -> str:
        return f"{expression} = ANY({placeholder}::{element_type}[])"

    def in_subquery(self, expression: str, subquery: str) -> str:
        # PostgreSQL expects a few ids in an array, but a third of the table in a join.
        return f"{expression} = ANY(ARRAY({subquery}))"

    def rows_of_each(self, source: str, columns: Sequence[str], subquery: str) -> str:
        found = ", ".join(f"found.{name}" for name in columns)
        return f"SELECT {found} FROM {source} CROSS JOIN LATERAL ({subquery}) AS found"

    def limit_if(self, condition: str, size: int | None = None) -> tuple[str, str]:
        # A one-time filter; the planner must know the size to read the first rows of an index. Without a size, an
        # offset keeps it from reading the rows in the order that a query around this one asks for.
        return f" AND {condition}", " OFFSET 0" if size is None else f" LIMIT {size}"

    def covering_index(self, columns: str, covered: Sequence[str]) -> str:
        return f"({columns}) INCLUDE ({', '.join(covered)})" if covered else f"({columns})"

    def no_index(self, expression: str) -> str:
        # Of an outer join it would hide that only rows with a value match.
        return f"coalesce({expression})" if expression.startswith("t.") else expression

    def array_parameter(self, values: Sequence[Any]) -> list[Any]:
        return list(values)

    def contains(self, expression: str, placeholder: str) -> str:
        return f"strpos({expression}, {placeholder}) > 0"

    def collection_ids(self, table: str, owner: str, item: str, owner_id: str) -> str:
        held = f"SELECT {item} FROM {table} WHERE {owner} = {owner_id}"
        # Most collections are empty, and ARRAY costs as much for an empty one.
        return f"CASE WHEN EXISTS ({held}) THEN ARRAY({held} ORDER BY {item}) END"

    def decode_collection(self, value: Any) -> tuple[int, ...]:
        return tuple(value or ())

    def custom_field_condition(self, expression: str, name_placeholder: str, value_placeholder: str) -> str:
        value = "entry ->> 'Value'"
        holds = f"strpos({value}, {value_placeholder}::text) > 0" if value_placeholder else f"{value} IS NOT NULL"
        return (
            f"EXISTS (SELECT 1 FROM jsonb_array_elements({expression}::jsonb -> 'Data') AS entry "
            f"WHERE entry ->> 'Name' = {name_placeholder}::text AND {holds})"
        )

    def lock_clause(self, *, skip_locked: bool = False) -> str:
        return f" FOR NO KEY UPDATE{' SKIP LOCKED' if skip_locked else ''}"

    def is_distinct(self, one: str, other: str) -> str:
        return f"{one} IS DISTINCT FROM {other}"

    def row_trigger(self, name: str, event: str, table: str, when: str, body: str) -> list[str]:
        return [
            _trigger_function(name, body),
            f"CREATE OR REPLACE TRIGGER {name} {event} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()",
        ]

    def deferred_trigger(self, name: str, table: str, columns: Sequence[str], when: str, body: str) -> list[str]:
        # Two statements: the second takes a new snapshot after the first has waited.
        wait = f"PERFORM 1 FROM {table} WHERE id = NEW.id FOR UPDATE;"
        return [
            _trigger_function(name, f"{wait} {body}"),
            f"DROP TRIGGER IF EXISTS {name} ON {table}",
            f"CREATE CONSTRAINT TRIGGER {name} AFTER UPDATE OF {', '.join(columns)} ON {table} "
            f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()",
        ]

    def trigger_error(self, message: str, condition: str) -> str:
        # Values set by another trigger need no check, which would cost as much again.
        return (
            f"IF pg_trigger_depth() = 1 AND ({condition}) THEN RAISE EXCEPTION '{message}' "
            "USING ERRCODE = 'restrict_violation'; END IF;"
        )

    def append_only_triggers(self, table: str, fixed_columns: Sequence[str], deletable_when: str) -> list[str]:
        old, new = (", ".join(f"{row}.{column}" for column in fixed_columns) for row in ("OLD", "NEW"))
        differs = f" WHEN (({old}) IS DISTINCT FROM ({new}))" if fixed_columns else ""
        refuse = "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';"
        # A trigger's own condition may not look into another table, a function may.
        guard = f"{table}_keep" if deletable_when else "creditdesk_append_only"
        allow = f"IF {deletable_when} THEN RETURN OLD; END IF; " if deletable_when else ""
        functions = {"creditdesk_append_only": refuse, guard: allow + refuse}
        return [
            *(_trigger_function(name, body) for name, body in functions.items()),
            f"CREATE OR REPLACE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {guard}()",
            f"CREATE OR REPLACE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
            f"FOR EACH ROW{differs} EXECUTE FUNCTION creditdesk_append_only()",
            f"CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "EXECUTE FUNCTION creditdesk_append_only()",
        ]


def _trigger_function(name: str, body: str) -> str:
    return f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$"
