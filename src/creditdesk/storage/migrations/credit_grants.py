"""Step 24: writes the grants of credits that stand without a journal (rule 38).

Until then the first entry of a credit wrote its grant. This step does it once for all, so that a
credit put into the database later has none. A step never changes, so it holds format 1 of an entry
(docs/explanation/proof.md) itself instead of importing what gains further formats.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

from creditdesk.schema.conversions import fold_case
from creditdesk.schema.fields import Boolean, DateTime
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.fragments import Fragment, Parameter
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns

_RULES_VERSION: Final = 1
_DEFAULT_PRIORITY: Final = 50
_GRANT, _USE = 1, 2
_KIND_NAMES: Final = {_GRANT: "grant", _USE: "use"}
_CAUSES: Final = {_GRANT: "unknown", _USE: "opened"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_pack_entry: Final = struct.Struct(">4B12q4I").pack


@dataclass(frozen=True, slots=True)
class _CreditTable:
    """One of the two tables of credits; `scale` converts its amounts to stored decimals."""

    name: str
    kind: str
    code: int
    remaining: str
    total: str
    scale: int
    condition: str


_TABLES: Final = (
    _CreditTable("coworker_booking_credit", "money", 1, "remaining_credit", "total_credit", 1, "TRUE"),
    _CreditTable(
        "coworker_extra_service",
        "time",
        2,
        "remaining_uses",
        "total_uses",
        10_000,
        "coalesce(c.booking_id, 0) = 0 AND coalesce(c.booking_unique_id, '') = ''",
    ),
)


async def _write_grants(execute: Execute, dialect: Dialect) -> None:
    existing = await existing_columns(execute, dialect)
    if "account_state" not in existing:
        return
    now = datetime.now(UTC)
    written = 0
    for number, table in enumerate(_TABLES):
        rows = await execute(
            f"SELECT c.id, c.business_id, c.coworker_id, c.updated_by, c.{table.remaining}, c.{table.total}, s.id "
            f"FROM {table.name} AS c LEFT JOIN account_state AS s ON s.id = 2 * c.id + {number} "
            f"WHERE coalesce(s.sequence, 0) = 0 AND {table.condition} "
            f"AND c.{table.remaining} IS NOT NULL AND c.{table.total} IS NOT NULL ORDER BY c.id",
            (),
        )
        for row in rows:
            await _open_journal(execute, dialect, table, number, row, now)
        written += len(rows)
    if written and "journal_line_counters" in existing:
        # A step before may have dropped the triggers that count; emptied counters are filled again.
        await execute("DELETE FROM journal_line_counters", ())


async def _open_journal(
    execute: Execute, dialect: Dialect, table: _CreditTable, number: int, row: Sequence[Any], now: datetime
) -> None:
    """Writes the first entries of one credit, and the state of its account."""
    credit_id, business_id, coworker_id, updated_by, remaining, total, state_id = row
    entries = [(_GRANT, total, total, "granted")]
    if remaining != total:
        entries.append((_USE, total - remaining, remaining, "used before the journal began"))
    common = {"business_id": business_id, "coworker_id": coworker_id, f"{table.name}_id": credit_id}
    digest = sha256(b"\x02" + struct.pack(">BBq", 1, table.code, credit_id)).digest()
    for sequence, (kind, amount, balance, reason) in enumerate(entries, 1):
        amounts = {"amount": amount, "balance_after": balance, "held_after": 0, "total_after": total}
        entry = _Entry(table, credit_id, sequence, kind, amounts, updated_by or "system", reason, now)
        digest = sha256(b"\x04" + digest + sha256(b"\x03" + entry.encode()).digest()).digest()
        await _insert(execute, dialect, "journal_line", common | entry.values(digest.hex(), dialect))
    state = _text("digest", digest.hex()) | {
        "sequence": len(entries),
        "last_recorded_on": dialect.encode(DateTime(), now),
    }
    if state_id is None:
        new = _new_state(table, number, credit_id, now, dialect)
        await _insert(execute, dialect, "account_state", state | new)
    else:
        await _update_state(execute, dialect, state_id, state)


@dataclass(frozen=True, slots=True)
class _Entry:
    table: _CreditTable
    credit_id: int
    sequence: int
    kind: int
    amounts: Mapping[str, int]
    actor: str
    reason: str
    recorded: datetime

    def encode(self) -> bytes:
        """The bytes of format 1, without source, key, reversal and use row."""
        microseconds = (self.recorded - _EPOCH) // (datetime.resolution)
        actor, reason = self.actor.encode(), self.reason.encode()
        numbers = (self.credit_id, self.sequence, *self.amounts.values(), _RULES_VERSION, microseconds, microseconds)
        absent = (0, 0, 0)
        lengths = (0, len(actor), len(reason), 0)
        return _pack_entry(1, self.table.code, self.kind, 0, *numbers, *absent, *lengths) + actor + reason

    def values(self, digest: str, dialect: Dialect) -> dict[str, Any]:
        """The columns of the line, but for its references."""
        return {
            **_text("credit_kind", self.table.kind),
            "credit_id": self.credit_id,
            "sequence": self.sequence,
            **_text("kind", _KIND_NAMES[self.kind]),
            **{name: amount * self.table.scale for name, amount in self.amounts.items()},
            **_text("actor", self.actor),
            **_text("reason", self.reason),
            **_text("cause", _CAUSES[self.kind]),
            "format_version": 1,
            "rule_version": _RULES_VERSION,
            "effective_on": dialect.encode(DateTime(), self.recorded),
            "recorded_on": dialect.encode(DateTime(), self.recorded),
            "override": dialect.encode(Boolean(), False),
            **_text("digest", digest),
            **_base_values(self.recorded, self.actor, dialect),
        }


def _text(column: str, value: str) -> dict[str, str]:
    return {column: value, f"{column}_fold": fold_case(value)}


def _base_values(now: datetime, by: str, dialect: Dialect) -> dict[str, Any]:
    seconds = dialect.encode(DateTime(), now.replace(microsecond=0))
    return {"created_on": seconds, "updated_on": seconds, "unique_id": str(uuid4()), **_text("updated_by", by)}


def _new_state(table: _CreditTable, number: int, credit_id: int, now: datetime, dialect: Dialect) -> dict[str, Any]:
    return {
        "id": 2 * credit_id + number,
        **_text("credit_kind", table.kind),
        "credit_id": credit_id,
        "held": 0,
        "priority": _DEFAULT_PRIORITY,
        **_text("funding", "unknown"),
        "times_rolled": 0,
        **_base_values(now, "", dialect),
    }


async def _insert(execute: Execute, dialect: Dialect, table: str, values: Mapping[str, Any]) -> None:
    if "id" not in values:
        values = {"id": await _next_id(execute, dialect, table), **values}
    parameters = _parameters(values)
    text = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(map(str, parameters))})"
    bound = Fragment(text, parameters).numbered(dialect).bind(tuple(values.values()))
    await execute(bound.text, bound.values)


async def _update_state(execute: Execute, dialect: Dialect, state_id: int, values: Mapping[str, Any]) -> None:
    parameters = _parameters(values)
    sets = ", ".join(f"{parameter.name} = {parameter}" for parameter in parameters)
    text = f"UPDATE account_state SET {sets} WHERE id = {state_id}"
    bound = Fragment(text, parameters).numbered(dialect).bind(tuple(values.values()))
    await execute(bound.text, bound.values)


def _parameters(values: Mapping[str, Any]) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, position) for position, name in enumerate(values))


async def _next_id(execute: Execute, dialect: Dialect, table: str) -> int:
    if dialect.name == "sqlite":
        text = (
            f"INSERT INTO id_sequence (name, last) VALUES ('{table}', 1) "
            "ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last"
        )
    else:
        text = f"SELECT nextval('{table}_ids')"
    ((number,),) = await execute(text, ())
    return int(number)


MIGRATIONS = (
    Migration(
        24,
        "grants of credits without a journal",
        "Writes the first entries of credits that stand without any; later ones must be adopted.",
        _write_grants,
        StepKind.CONTRACT,
    ),
)
