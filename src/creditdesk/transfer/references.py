"""References that lead nowhere: told, and left empty or given a stand-in.

It must not know files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from creditdesk.schema.entity import Column, Entity, entity_named
from creditdesk.schema.fields import Collection, Reference, Text
from creditdesk.schema.progress import Report
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Unit
from creditdesk.transfer.dependency_order import collections, references

REMEMBERED: Final = 200_000
_NAMESPACE: Final = UUID("b9a0a7c6-40d3-5b8e-8f6e-31d1fb0b6a44")


@dataclass(slots=True)
class Links:
    """Knows which records are there, and mends what points elsewhere.

    With `keep_dangling` a missing record is put in as a stand-in with its Id and a name that says
    so; otherwise the reference is left empty. Either way it is told, once for each missing record.
    """

    report: Report
    now: datetime
    keep_dangling: bool = False
    _there: dict[str, set[int]] = field(default_factory=dict)
    _told: set[tuple[str, int]] = field(default_factory=set)

    def forget(self) -> None:
        """Looks everything up anew, after what was put in has been undone."""
        self._there.clear()

    async def settle(
        self, unit: Unit, entity: type[Entity], rows: Sequence[dict[str, Any]]
    ) -> None:
        """Changes the rows so that every reference and collection leads to a record."""
        for column in references(entity):
            wanted = {row[column.name] for row in rows if row.get(column.name)}
            missing = await self._missing(unit, entity, column, wanted)
            for row in rows if missing else ():
                if row.get(column.name) in missing:
                    row[column.name] = None
        for column in collections(entity):
            assert isinstance(column.kind, Collection)
            if not column.kind.kept:
                continue
            wanted = {i for row in rows for i in row.get(column.name) or ()}
            missing = await self._missing(unit, entity, column, wanted)
            for row in rows if missing else ():
                if row.get(column.name):
                    row[column.name] = tuple(i for i in row[column.name] if i not in missing)

    async def _missing(
        self, unit: Unit, entity: type[Entity], column: Column, wanted: Iterable[int]
    ) -> set[int]:
        """The ids that stay missing; with stand-ins there are none."""
        target = target_of(column)
        there = self._there.setdefault(target.__name__, set())
        unknown = sorted(set(wanted) - there)
        if not unknown:
            return set()
        if len(there) > REMEMBERED:
            there.clear()
        identity = target.shape().columns["Id"]
        found = await unit.find(target, [Filter(identity, Test.ONE_OF, unknown)], names=("Id",))
        there.update(record["Id"] for record in found)
        missing = set(unknown) - there
        for record_id in sorted(missing):
            self._tell(entity, column, target, record_id)
        if missing and self.keep_dangling:
            await unit.insert(target, [self._stand_in(target, i) for i in sorted(missing)])
            there.update(missing)
            return set()
        return missing

    def _tell(
        self, entity: type[Entity], column: Column, target: type[Entity], record_id: int
    ) -> None:
        if (target.__name__, record_id) in self._told or len(self._told) > REMEMBERED:
            return
        self._told.add((target.__name__, record_id))
        end = "a stand-in is kept for it" if self.keep_dangling else "what names it is left empty"
        self.report.problem(
            f"{target.__name__} {record_id}, named by {entity.__name__}.{column.name},"
            f" is nowhere; {end}"
        )

    def _stand_in(self, target: type[Entity], record_id: int) -> dict[str, Any]:
        record = {column.name: column.kind.empty for column in target.shape().stored}
        for column in target.shape().stored:
            if isinstance(column.kind, Text) and column.kind.required:
                record[column.name] = f"Missing {target.__name__} {record_id}"
        unique_id = str(uuid5(_NAMESPACE, f"{target.__name__} {record_id}"))
        times = {"CreatedOn": self.now, "UpdatedOn": self.now}
        return record | times | {"Id": record_id, "UniqueId": unique_id}


def target_of(column: Column) -> type[Entity]:
    """The entity a reference or a collection leads to."""
    kind = column.kind
    assert isinstance(kind, Reference | Collection)
    return entity_named(kind.to if isinstance(kind, Reference) else kind.of)
