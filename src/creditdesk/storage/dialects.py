"""SQLite and PostgreSQL: with the tally, where the engines differ in what is written to them.

Each dialect reads every field kind (type, value in, value out) and says the few phrases of SQL
that the other would not understand.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
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
"""How many values one JSON array holds; a function of SQLite takes at most 127."""


_decode_packed: Final = msgspec.json.Decoder(list[int | str | None]).decode


class Dialect(ABC):
    """What statements and tables ask of an engine."""

    name: ClassVar[str]
    column_types: ClassVar[Mapping[type[Field], str]]
    encoders: ClassVar[Mapping[type[Field], Convert]]
    decoders: ClassVar[Mapping[type[Field], Convert]]
    counters: ClassVar[RowCounters]
    nulls_first: ClassVar[str]
    nulls_last: ClassVar[str]
    id_order_hint: ClassVar[str]
    """A test that holds for every row (its alias is t), and has rows of several values of a column
    found by the index in which those of each are sorted by Id.
    """

    @abstractmethod
    def placeholder(self, position: int) -> str:
        """The placeholder of the parameter at this position, from 1."""

    @abstractmethod
    def in_array(self, expression: str, placeholder: str, element_type: str = "BIGINT") -> str:
        """Whether a value of this type is one of a list given as one parameter."""

    @abstractmethod
    def in_subquery(self, expression: str, subquery: str) -> str:
        """Whether an id is among those a question answers; rows are looked for by it, not tested."""

    @abstractmethod
    def conditional_limit(self, condition: str, size: int) -> tuple[str, str]:
        """How rows are walked only where a condition on none of them holds: what is added to the
        tests of a row, and the LIMIT.
        """

    @abstractmethod
    def no_index(self, expression: str) -> str:
        """A column that rows are tested by, but not looked for by."""

    @abstractmethod
    def array_parameter(self, values: Sequence[Any]) -> Any:
        """A list of ids as one parameter."""

    @abstractmethod
    def contains(self, expression: str, placeholder: str) -> str:
        """Whether a text holds another."""

    @abstractmethod
    def collection_ids(self, table: str, owner: str, item: str, owner_id: str) -> str:
        """The ids a link table gives one owner, in rising order, as one value."""

    @abstractmethod
    def decode_collection(self, value: Any) -> tuple[int, ...]:
        """What `items` answered."""

    def pack_row(self, values: Sequence[str]) -> str:
        """The values of a row, as the driver hands over many rows fastest."""
        return ", ".join(values)

    def unpack_rows(self, rows: Sequence[Sequence[Any]], skip: int) -> Sequence[Sequence[Any]]:
        """What was packed, of rows in which so many other columns come before it."""
        return [row[skip:] for row in rows]

    @abstractmethod
    def custom_field_condition(
        self, expression: str, name_placeholder: str, value_placeholder: str
    ) -> str:
        """Whether folded custom fields have an entry of this name whose value holds a text;
        without a value's mark, whether they have one with any value.
        """

    @abstractmethod
    def lock_clause(self, *, skip_locked: bool = False) -> str:
        """What is added to a SELECT so that its rows stay ours until the unit ends; with `if_free`
        it leaves out those that are another's.
        """

    @abstractmethod
    def is_distinct(self, one: str, other: str) -> str:
        """Whether two values are not the same, null being a value like any other."""

    @abstractmethod
    def update_trigger(
        self, name: str, timing: str, table: str, columns: Sequence[str], when: str, body: str
    ) -> list[str]:
        """A trigger BEFORE or AFTER an UPDATE that names one of the columns, for each row."""

    @abstractmethod
    def deferred_trigger(
        self, name: str, table: str, columns: Sequence[str], when: str, body: str
    ) -> list[str]:
        """One that runs `body` as the unit commits, after waiting for all who share the updated
        row: it sees what they copied of the row as it was.
        """

    @abstractmethod
    def trigger_error(self, message: str, condition: str) -> str:
        """What a trigger does to refuse an update that no other trigger makes, where the condition
        holds.
        """

    @abstractmethod
    def append_only_triggers(self, table: str, fixed_columns: Sequence[str]) -> list[str]:
        """Triggers that refuse DELETE, and UPDATE of the `fixed` columns (all when empty)."""

    def encode(self, kind: Field, value: Any) -> Any:
        """An inner value as the driver takes it."""
        convert = self.encoders.get(type(kind))
        return value if convert is None or value is None else convert(value)

    def decoder(self, kind: Field) -> Convert | None:
        """How the driver's value becomes an inner value; None when it is one already."""
        return self.decoders.get(type(kind))


class SQLite(Dialect):
    """Instants and booleans are whole numbers; parameters are ?1, ?2, …"""

    name = "sqlite"
    column_types = {
        Text: "TEXT", Guid: "TEXT", Integer: "INTEGER", Money: "INTEGER", Number: "INTEGER",
        Boolean: "INTEGER", Enum: "INTEGER", DateTime: "INTEGER", Object: "TEXT",
        Reference: "INTEGER", Collection: "",
    }  # fmt: skip
    encoders = {DateTime: to_microseconds, Boolean: int, Object: encode_object}
    decoders = {DateTime: DateTimeCache().__getitem__, Boolean: bool, Object: decode_object}
    counters = SQLiteRowCounters()
    nulls_first = ""
    nulls_last = ""
    # Of two indexes of that column it takes any, whichever is sorted as it is asked to.
    id_order_hint = f" AND t.id > {-(2**63 - 1)}"

    def placeholder(self, position: int) -> str:
        return f"?{position}"

    def in_array(self, expression: str, placeholder: str, element_type: str = "BIGINT") -> str:  # noqa: ARG002 - SQLite compares values of any type
        return f"{expression} IN (SELECT value FROM json_each({placeholder}))"

    def in_subquery(self, expression: str, subquery: str) -> str:
        return f"{expression} IN ({subquery})"

    def conditional_limit(self, condition: str, size: int) -> tuple[str, str]:
        # It would test the condition once for each row.
        return "", f"LIMIT CASE WHEN {condition} THEN {size} ELSE 0 END"

    def no_index(self, expression: str) -> str:
        # What it samples of a table tells it too little of a column that has few values.
        return f"+{expression}"

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
        # The driver's way to a value is longer than the engine's to a JSON array and ours from it.
        return ", ".join(
            f"CAST(json_array({', '.join(values[first : first + MAX_PACKED_VALUES])}) AS BLOB)"
            for first in range(0, len(values), MAX_PACKED_VALUES)
        )

    def unpack_rows(self, rows: Sequence[Sequence[Any]], skip: int) -> Sequence[Sequence[Any]]:
        if len(rows[0]) == skip + 1:
            return [_decode_packed(row[skip]) for row in rows]
        return [[value for part in row[skip:] for value in _decode_packed(part)] for row in rows]

    def custom_field_condition(
        self, expression: str, name_placeholder: str, value_placeholder: str
    ) -> str:
        value = "json_extract(entry.value, '$.Value')"
        holds = (
            f"instr({value}, {value_placeholder}) > 0"
            if value_placeholder
            else f"{value} IS NOT NULL"
        )
        return (
            f"EXISTS (SELECT 1 FROM json_each({expression}, '$.Data') AS entry "
            f"WHERE json_extract(entry.value, '$.Name') = {name_placeholder} AND {holds})"
        )

    def lock_clause(self, *, skip_locked: bool = False) -> str:  # noqa: ARG002 - it has one writer
        return ""

    def is_distinct(self, one: str, other: str) -> str:
        return f"{one} IS NOT {other}"

    def update_trigger(
        self, name: str, timing: str, table: str, columns: Sequence[str], when: str, body: str
    ) -> list[str]:
        return [
            f"DROP TRIGGER IF EXISTS {name}",
            f"CREATE TRIGGER {name} {timing} UPDATE OF {', '.join(columns)} ON {table} "
            f"WHEN {when} BEGIN {body} END",
        ]

    def deferred_trigger(
        self,
        name: str,  # noqa: ARG002 - the promise names them
        table: str,  # noqa: ARG002
        columns: Sequence[str],  # noqa: ARG002
        when: str,  # noqa: ARG002
        body: str,  # noqa: ARG002
    ) -> list[str]:
        # No two units write beside one another.
        return []

    def trigger_error(self, message: str, condition: str) -> str:
        return f"SELECT RAISE(ABORT, '{message}') WHERE {condition};"

    def append_only_triggers(self, table: str, fixed_columns: Sequence[str]) -> list[str]:
        differs = " OR ".join(f"OLD.{c} IS NOT NEW.{c}" for c in fixed_columns)
        when = f" WHEN {differs}" if fixed_columns else ""
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        # Made anew each time, so that a column declared later is guarded too.
        return [
            f"DROP TRIGGER IF EXISTS {table}_no_delete",
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
            f"DROP TRIGGER IF EXISTS {table}_no_update",
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}{when} {refuse}",
        ]


class PostgreSQL(Dialect):
    """Instants and booleans are native, text compares by code point; parameters are $1, $2, …"""

    name = "postgresql"
    column_types = {
        Text: 'TEXT COLLATE "C"', Guid: 'TEXT COLLATE "C"', Integer: "BIGINT", Money: "BIGINT",
        Number: "BIGINT", Boolean: "BOOLEAN", Enum: "BIGINT", DateTime: "TIMESTAMPTZ",
        Object: "TEXT", Reference: "BIGINT", Collection: "",
    }  # fmt: skip
    encoders = {Object: encode_object}
    decoders = {DateTime: with_utc, Object: decode_object}
    counters = PostgreSQLRowCounters()
    nulls_first = " NULLS FIRST"
    nulls_last = " NULLS LAST"
    id_order_hint = ""

    def placeholder(self, position: int) -> str:
        return f"${position}"

    def in_array(self, expression: str, placeholder: str, element_type: str = "BIGINT") -> str:
        return f"{expression} = ANY({placeholder}::{element_type}[])"

    def in_subquery(self, expression: str, subquery: str) -> str:
        # Said so, it takes them for a handful; as a join, for a third of the table.
        return f"{expression} = ANY(ARRAY({subquery}))"

    def conditional_limit(self, condition: str, size: int) -> tuple[str, str]:
        # Without a number after LIMIT it would sort all rather than walk an index.
        return f" AND {condition}", f"LIMIT {size}"

    def no_index(self, expression: str) -> str:
        return expression

    def array_parameter(self, values: Sequence[Any]) -> list[Any]:
        return list(values)

    def contains(self, expression: str, placeholder: str) -> str:
        return f"strpos({expression}, {placeholder}) > 0"

    def collection_ids(self, table: str, owner: str, item: str, owner_id: str) -> str:
        held = f"SELECT {item} FROM {table} WHERE {owner} = {owner_id}"
        # Most collections are empty, and an array costs as much where it is.
        return f"CASE WHEN EXISTS ({held}) THEN ARRAY({held} ORDER BY {item}) END"

    def decode_collection(self, value: Any) -> tuple[int, ...]:
        return tuple(value or ())

    def custom_field_condition(
        self, expression: str, name_placeholder: str, value_placeholder: str
    ) -> str:
        value = "entry ->> 'Value'"
        holds = (
            f"strpos({value}, {value_placeholder}::text) > 0"
            if value_placeholder
            else f"{value} IS NOT NULL"
        )
        return (
            f"EXISTS (SELECT 1 FROM jsonb_array_elements({expression}::jsonb -> 'Data') AS entry "
            f"WHERE entry ->> 'Name' = {name_placeholder}::text AND {holds})"
        )

    def lock_clause(self, *, skip_locked: bool = False) -> str:
        return f" FOR NO KEY UPDATE{' SKIP LOCKED' if skip_locked else ''}"

    def is_distinct(self, one: str, other: str) -> str:
        return f"{one} IS DISTINCT FROM {other}"

    def update_trigger(
        self, name: str, timing: str, table: str, columns: Sequence[str], when: str, body: str
    ) -> list[str]:
        return [
            _trigger_function(name, body),
            f"CREATE OR REPLACE TRIGGER {name} {timing} UPDATE OF {', '.join(columns)} "
            f"ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()",
        ]

    def deferred_trigger(
        self, name: str, table: str, columns: Sequence[str], when: str, body: str
    ) -> list[str]:
        # Two statements, as the second must look anew after the first has waited.
        wait = f"PERFORM 1 FROM {table} WHERE id = NEW.id FOR UPDATE;"
        return [
            _trigger_function(name, f"{wait} {body}"),
            f"DROP TRIGGER IF EXISTS {name} ON {table}",
            f"CREATE CONSTRAINT TRIGGER {name} AFTER UPDATE OF {', '.join(columns)} ON {table} "
            f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()",
        ]

    def trigger_error(self, message: str, condition: str) -> str:
        # What another trigger puts there needs no second look, which would cost as much again.
        return (
            f"IF pg_trigger_depth() = 1 AND ({condition}) THEN RAISE EXCEPTION '{message}' "
            "USING ERRCODE = 'restrict_violation'; END IF;"
        )

    def append_only_triggers(self, table: str, fixed_columns: Sequence[str]) -> list[str]:
        differs = (
            f" WHEN (({', '.join(f'OLD.{c}' for c in fixed_columns)}) IS DISTINCT FROM "
            f"({', '.join(f'NEW.{c}' for c in fixed_columns)}))"
            if fixed_columns
            else ""
        )
        return [
            "CREATE OR REPLACE FUNCTION creditdesk_append_only() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
            "USING ERRCODE = 'restrict_violation'; END $$",
            f"CREATE OR REPLACE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION creditdesk_append_only()",
            f"CREATE OR REPLACE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
            f"FOR EACH ROW{differs} EXECUTE FUNCTION creditdesk_append_only()",
            f"CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "EXECUTE FUNCTION creditdesk_append_only()",
        ]


def _trigger_function(name: str, body: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql "
        f"AS $$ BEGIN {body} RETURN NEW; END $$"
    )
