"""References to missing records.

A row whose owner, location or other required record is missing, or a member of its limits, is held
back: without them it would be another credit. Other references are reported and cleared. With
placeholders instead, nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from creditdesk.schema.entity import Column, Entity, Record
from creditdesk.schema.fields import Collection, Text
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.dependency_order import (
    collection_columns,
    limit_collections,
    reference_columns,
    required_references,
    target_of,
)
from creditdesk.transfer.import_report import ImportReport
from creditdesk.transfer.row_parser import ParsedRow

MAX_REMEMBERED_IDS: Final = 200_000
_NAMESPACE: Final = UUID("b9a0a7c6-40d3-5b8e-8f6e-31d1fb0b6a44")


@dataclass(slots=True)
class ReferenceChecker:
    """Looks up referenced records and remembers which exist.

    With `keep_dangling` a placeholder with the missing Id is inserted; `placeholders` are their ids.
    Each missing record that an optional reference names is reported once, but not those of `expected`, by entity
    name: they come later.
    """

    report: ImportReport
    now: datetime
    keep_dangling: bool = False
    placeholders: dict[type[Entity], set[int]] = field(default_factory=dict)
    expected: Mapping[str, AbstractSet[int]] = field(default_factory=dict)
    _existing: dict[str, set[int]] = field(default_factory=dict)
    _reported: set[tuple[str, int]] = field(default_factory=set)

    def clear(self) -> None:
        """Forgets which records exist, after a rollback."""
        self._existing.clear()

    async def missing_requirements(
        self, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
    ) -> dict[int, str]:
        """Row number -> what the row lacks: a required record, or one that its limits list."""
        reasons: dict[int, str] = {}
        for column in (*required_references(entity), *limit_collections(entity)):
            ids = {row.number: _ids_of(row.values.get(column.name)) for row in rows}
            wanted = {i for of_row in ids.values() for i in of_row}
            missing = await self._missing(session, entity, column, wanted, reported=self.keep_dangling)
            for number, of_row in ids.items() if missing else ():
                if absent := [i for i in of_row if i in missing]:
                    target = target_of(column).__name__
                    reason = f"{column.name} refers to the missing {target} {absent[0]}"
                    reasons.setdefault(number, reason)
        return reasons

    async def resolve(self, session: WriteSession, entity: type[Entity], rows: Sequence[dict[str, Any]]) -> None:
        """Changes `rows` so that every optional reference and collection member exists.

        Limits with a missing member are left out of `rows`, so that none of them is widened.
        """
        limits = limit_collections(entity)
        required = required_references(entity)
        for column in reference_columns(entity):
            if column in required:
                continue
            wanted = {row[column.name] for row in rows if row.get(column.name)}
            missing = await self._missing(session, entity, column, wanted)
            for row in rows if missing else ():
                if row.get(column.name) in missing:
                    row[column.name] = None
        for column in collection_columns(entity):
            assert isinstance(column.field, Collection)
            if not column.field.is_local:
                continue
            wanted = {i for row in rows for i in row.get(column.name) or ()}
            missing = await self._missing(session, entity, column, wanted)
            for row in rows if missing else ():
                members = row.get(column.name) or ()
                if column in limits and not missing.isdisjoint(members):
                    del row[column.name]
                elif members:
                    row[column.name] = tuple(i for i in row[column.name] if i not in missing)

    async def _missing(
        self,
        session: WriteSession,
        entity: type[Entity],
        column: Column,
        wanted: Iterable[int],
        *,
        reported: bool = True,
    ) -> set[int]:
        """The ids that do not exist; with `keep_dangling` none, as placeholders are inserted."""
        target = target_of(column)
        existing = self._existing.setdefault(target.__name__, set())
        unknown = sorted(set(wanted) - existing)
        if not unknown:
            return set()
        if len(existing) > MAX_REMEMBERED_IDS:
            existing.clear()
        identity = target.meta().columns["Id"]
        found = await session.find(target, [Filter(identity, Comparison.ONE_OF, unknown)], columns=("Id",))
        existing.update(record["Id"] for record in found)
        missing = set(unknown) - existing
        for record_id in sorted(missing - self.expected.get(target.__name__, set())) if reported else ():
            self._report_missing(entity, column, target, record_id)
        if missing and self.keep_dangling:
            await session.insert(target, [self._placeholder(target, i) for i in sorted(missing)])
            existing.update(missing)
            self.placeholders.setdefault(target, set()).update(missing)
            return set()
        return missing

    def _report_missing(self, entity: type[Entity], column: Column, target: type[Entity], record_id: int) -> None:
        key = (target.__name__, record_id)
        if key in self._reported or len(self._reported) > MAX_REMEMBERED_IDS:
            return
        self._reported.add(key)
        done = "a placeholder is created" if self.keep_dangling else "the reference is cleared"
        self.report.adjust(
            f"{entity.__name__}.{column.name} refers to the missing {target.__name__} {record_id}; {done}"
        )

    def _placeholder(self, target: type[Entity], record_id: int) -> Record:
        name = f"{target.__name__} {record_id}"
        values: dict[str, Any] = {
            "Id": record_id,
            "UniqueId": placeholder_unique_id(target, record_id),
        }
        for column in target.meta().stored_columns:
            if isinstance(column.field, Text) and column.field.required:
                values[column.name] = f"Missing {name}"
        return new_record(target, values, self.now)


def placeholder_unique_id(entity: type[Entity], record_id: int) -> str:
    """The UniqueId of a placeholder, until the record itself is imported."""
    return str(uuid5(_NAMESPACE, f"{entity.__name__} {record_id}"))


def _ids_of(value: Any) -> tuple[int, ...]:
    """The ids in a reference or collection."""
    if not value:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)
