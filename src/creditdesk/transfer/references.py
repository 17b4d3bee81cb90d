"""References to missing records: reported, and cleared or given a placeholder record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from creditdesk.schema.entity import Column, Entity, Record, entity_by_name
from creditdesk.schema.fields import Collection, Reference, Text
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.dependency_order import collection_columns, reference_columns

MAX_REMEMBERED_IDS: Final = 200_000
_NAMESPACE: Final = UUID("b9a0a7c6-40d3-5b8e-8f6e-31d1fb0b6a44")


@dataclass(slots=True)
class ReferenceChecker:
    """Looks up referenced records and remembers which exist.

    With `keep_dangling` a placeholder with the missing Id is inserted; otherwise the reference is
    cleared. Each missing record is reported once.
    """

    report: ProgressReporter
    now: datetime
    keep_dangling: bool = False
    _existing: dict[str, set[int]] = field(default_factory=dict)
    _reported: set[tuple[str, int]] = field(default_factory=set)

    def clear(self) -> None:
        """Forgets which records exist, after a rollback."""
        self._existing.clear()

    async def resolve(
        self, session: WriteSession, entity: type[Entity], rows: Sequence[dict[str, Any]]
    ) -> None:
        """Changes `rows` so that every reference and collection member exists."""
        for column in reference_columns(entity):
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
                if row.get(column.name):
                    row[column.name] = tuple(i for i in row[column.name] if i not in missing)

    async def _missing(
        self, session: WriteSession, entity: type[Entity], column: Column, wanted: Iterable[int]
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
        found = await session.find(
            target, [Filter(identity, Comparison.ONE_OF, unknown)], columns=("Id",)
        )
        existing.update(record["Id"] for record in found)
        missing = set(unknown) - existing
        for record_id in sorted(missing):
            self._report_missing(entity, column, target, record_id)
        if missing and self.keep_dangling:
            await session.insert(target, [self._placeholder(target, i) for i in sorted(missing)])
            existing.update(missing)
            return set()
        return missing

    def _report_missing(
        self, entity: type[Entity], column: Column, target: type[Entity], record_id: int
    ) -> None:
        key = (target.__name__, record_id)
        if key in self._reported or len(self._reported) > MAX_REMEMBERED_IDS:
            return
        self._reported.add(key)
        done = "a placeholder is created" if self.keep_dangling else "the reference is cleared"
        self.report.problem(
            f"{entity.__name__}.{column.name} refers to the missing {target.__name__} {record_id};"
            f" {done}"
        )

    def _placeholder(self, target: type[Entity], record_id: int) -> Record:
        name = f"{target.__name__} {record_id}"
        values: dict[str, Any] = {"Id": record_id, "UniqueId": str(uuid5(_NAMESPACE, name))}
        for column in target.meta().stored_columns:
            if isinstance(column.field, Text) and column.field.required:
                values[column.name] = f"Missing {name}"
        return new_record(target, values, self.now)


def target_of(column: Column) -> type[Entity]:
    """The entity that a reference or collection refers to."""
    field_ = column.field
    assert isinstance(field_, Reference | Collection)
    return entity_by_name(field_.to if isinstance(field_, Reference) else field_.of)
