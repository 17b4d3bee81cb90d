"""References that lead nowhere: told, and left empty or given a stand-in.

It must not know files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import Collection, Reference, Text
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.dependency_order import collection_columns, reference_columns

MAX_REMEMBERED_IDS: Final = 200_000
_NAMESPACE: Final = UUID("b9a0a7c6-40d3-5b8e-8f6e-31d1fb0b6a44")


@dataclass(slots=True)
class ReferenceChecker:
    """Knows which records are there, and mends what points elsewhere.

    With `keep_dangling` a missing record is put in as a stand-in with its Id and a name that says
    so; otherwise the reference is left empty. Either way it is told, once for each missing record.
    """

    report: ProgressReporter
    now: datetime
    keep_dangling: bool = False
    _existing: dict[str, set[int]] = field(default_factory=dict)
    _reported: set[tuple[str, int]] = field(default_factory=set)

    def clear(self) -> None:
        """Looks everything up anew, after what was put in has been undone."""
        self._existing.clear()

    async def resolve(
        self, session: WriteSession, entity: type[Entity], rows: Sequence[dict[str, Any]]
    ) -> None:
        """Changes the rows so that every reference and collection leads to a record."""
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
        """The ids that stay missing; with stand-ins there are none."""
        target = target_of(column)
        there = self._existing.setdefault(target.__name__, set())
        unknown = sorted(set(wanted) - there)
        if not unknown:
            return set()
        if len(there) > MAX_REMEMBERED_IDS:
            there.clear()
        identity = target.meta().columns["Id"]
        found = await session.find(
            target, [Filter(identity, Comparison.ONE_OF, unknown)], columns=("Id",)
        )
        there.update(record["Id"] for record in found)
        missing = set(unknown) - there
        for record_id in sorted(missing):
            self._report_missing(entity, column, target, record_id)
        if missing and self.keep_dangling:
            await session.insert(target, [self._placeholder(target, i) for i in sorted(missing)])
            there.update(missing)
            return set()
        return missing

    def _report_missing(
        self, entity: type[Entity], column: Column, target: type[Entity], record_id: int
    ) -> None:
        if (target.__name__, record_id) in self._reported or len(
            self._reported
        ) > MAX_REMEMBERED_IDS:
            return
        self._reported.add((target.__name__, record_id))
        end = "a stand-in is kept for it" if self.keep_dangling else "what names it is left empty"
        self.report.problem(
            f"{target.__name__} {record_id}, named by {entity.__name__}.{column.name},"
            f" is nowhere; {end}"
        )

    def _placeholder(self, target: type[Entity], record_id: int) -> dict[str, Any]:
        record = {
            column.name: column.field.default_value for column in target.meta().stored_columns
        }
        for column in target.meta().stored_columns:
            if isinstance(column.field, Text) and column.field.required:
                record[column.name] = f"Missing {target.__name__} {record_id}"
        unique_id = str(uuid5(_NAMESPACE, f"{target.__name__} {record_id}"))
        times = {"CreatedOn": self.now, "UpdatedOn": self.now}
        return record | times | {"Id": record_id, "UniqueId": unique_id}


def target_of(column: Column) -> type[Entity]:
    """The entity a reference or a collection leads to."""
    kind = column.field
    assert isinstance(kind, Reference | Collection)
    return entity_by_name(kind.to if isinstance(kind, Reference) else kind.of)
