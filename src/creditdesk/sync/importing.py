"""Records in from a folder of files; the same files a second time change nothing.

Two readings: the first brings in records with the references whose targets come before them, the
second sets the references that point ahead, and the collections. Balances come as they are and
nothing is spent again; the journal of what came in is opened by the ledger. Each batch is a
transaction of its own, so memory stays flat and a broken run is simply repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from creditdesk.ledger.opening import open_imported
from creditdesk.ledger.records import BY_CREDIT, BY_HISTORY, SIDES, Side
from creditdesk.schema.entity import Entity
from creditdesk.schema.listing import Filter, Test
from creditdesk.schema.store import Store, Unit
from creditdesk.sync.files import ENDINGS, Broken, rows_of
from creditdesk.sync.links import Links
from creditdesk.sync.order import (
    CARRIED,
    collections,
    late_references,
    loading_order,
    two_sided,
)
from creditdesk.sync.reading import Reader, Said
from creditdesk.sync.report import Report, Silent

BATCH: Final = 1000
BALANCES: Final = {side.credit: (side.remaining, side.total) for side in SIDES.values()}
"""What a credit has left and its total: once here, only the journal moves them (rule 1)."""

Take = Callable[[Unit, type[Entity], Sequence[Said]], Awaitable[None]]


@dataclass(slots=True)
class Tally:
    """How many records of one entity were new, changed, or already so."""

    added: int = 0
    changed: int = 0
    same: int = 0


@dataclass(slots=True)
class Import:
    """One run over a folder or a single file."""

    store: Store
    report: Report
    now: datetime
    keep_dangling: bool = False
    tallies: dict[str, Tally] = field(default_factory=dict)
    touched: dict[str, set[int]] = field(default_factory=dict)
    links: Links = field(init=False)

    def __post_init__(self) -> None:
        self.links = Links(self.report, self.now, self.keep_dangling)

    async def run(self, path: Path) -> dict[str, Tally]:
        """Brings in every file that is named after an entity; says so of those that are not."""
        files = files_in(path, self.report)
        order = [entity for entity in loading_order() if entity.__name__ in files]
        for entity in order:
            self.tallies[entity.__name__] = Tally()
            for file in files[entity.__name__]:
                await self._each_batch(entity, file, self._bring_in)
        for entity in order:
            if late_references(entity) or collections(entity):
                for file in files[entity.__name__]:
                    await self._each_batch(entity, file, self._connect)
        for side in SIDES.values():
            await self._open_journals(side)
        return self.tallies

    async def _open_journals(self, side: Side) -> None:
        ids = sorted(self.touched.get(side.credit.__name__, ()))
        self.report.step(f"journal of {side.credit.plural}", len(ids))
        for start in range(0, len(ids), BATCH):
            async with self.store.writing() as unit:
                some = ids[start : start + BATCH]
                for sentence in await open_imported(unit, side, some, self.now):
                    self.report.problem(sentence)
            self.report.advance(len(some))

    async def _each_batch(self, entity: type[Entity], file: Path, take: Take) -> None:
        first = take == self._bring_in
        self.report.step(f"{file.name}" if first else f"{file.name}, links")
        reader = Reader(entity, file, self.report if first else Silent())
        rows = rows_of(file)
        while True:
            broken, said = _next_batch(reader, rows)
            if said:
                async with self.store.writing() as unit:
                    await take(unit, entity, said)
                self.report.advance(len(said))
            if broken and first:
                self.report.problem(f"{broken}; what follows in this file is left out")
            if broken or len(said) == 0:
                return

    async def _bring_in(self, unit: Unit, entity: type[Entity], said: Sequence[Said]) -> None:
        ids = await self._ids(unit, entity, said)
        stored = await unit.lock(entity, [i for i in ids.values() if i])
        late, linked = late_references(entity), {c.name for c in collections(entity)}
        tally = self.tallies[entity.__name__]
        rows: dict[str, dict[str, Any]] = {}
        for one in said:
            values = {k: v for k, v in one.values.items() if k not in late and k not in linked}
            record_id = ids[one.unique_id]
            before = stored.get(record_id) if record_id else None
            if before is not None:
                if entity.append_only:
                    values = {}
                elif entity in BALANCES:
                    values = {k: v for k, v in values.items() if k not in BALANCES[entity]}
                values = {k: v for k, v in values.items() if before[k] != v}
            rows[one.unique_id] = values
        await self.links.settle(unit, entity, [rows[one.unique_id] for one in said])
        new: list[dict[str, Any]] = []
        changes: list[tuple[int, dict[str, Any]]] = []
        for one in {one.unique_id: one for one in said}.values():
            values, record_id = rows[one.unique_id], ids[one.unique_id]
            if not record_id or record_id not in stored:
                record = self._whole(entity, record_id, one.unique_id, values)
                if _possible(entity, record, self.report):
                    new.append(record)
                continue
            values = {k: v for k, v in values.items() if stored[record_id][k] != v}
            if values:
                changes.append((record_id, values))
            else:
                tally.same += 1
        tally.added += len(new)
        tally.changed += len(changes)
        if new:
            self._touch(entity, await unit.insert(entity, new), new)
        if changes:
            await unit.update(entity, changes)

    def _touch(
        self, entity: type[Entity], ids: Sequence[int], records: Sequence[dict[str, Any]]
    ) -> None:
        """Remembers the credits whose journals are to be opened or to go on."""
        if side := BY_CREDIT.get(entity):
            self.touched.setdefault(side.credit.__name__, set()).update(ids)
        elif side := BY_HISTORY.get(entity):
            credits_ = {r[side.reference] for r in records if r[side.reference]}
            self.touched.setdefault(side.credit.__name__, set()).update(credits_)

    def _whole(
        self, entity: type[Entity], record_id: int | None, unique_id: str, said: dict[str, Any]
    ) -> dict[str, Any]:
        """The record with every column it stores; what the row left out is empty."""
        record = {c.name: c.kind.empty for c in entity.shape().stored} | said
        record["UniqueId"] = unique_id
        record["CreatedOn"] = record["CreatedOn"] or self.now
        record["UpdatedOn"] = record["UpdatedOn"] or record["CreatedOn"]
        if record_id:
            record["Id"] = record_id
        else:
            del record["Id"]
        if entity in BALANCES:
            remaining, total = BALANCES[entity]
            if remaining not in said:
                record[remaining] = record[total]
        return record

    async def _ids(
        self, unit: Unit, entity: type[Entity], said: Sequence[Said]
    ) -> dict[str, int | None]:
        """The Id of each row by its UniqueId; a row without an Id is looked up, or new."""
        ids = {one.unique_id: one.id for one in said}
        nameless = [one.unique_id for one in said if one.id is None]
        if nameless:
            unique = entity.shape().columns["UniqueId"]
            for record in await unit.find(entity, [Filter(unique, Test.ONE_OF, nameless)]):
                ids[record["UniqueId"]] = record["Id"]
        return ids

    async def _connect(self, unit: Unit, entity: type[Entity], said: Sequence[Said]) -> None:
        ids = await self._ids(unit, entity, said)
        late, linked = late_references(entity), [c.name for c in collections(entity)]
        wanted: list[tuple[int, dict[str, Any]]] = []
        for one in said:
            record_id = ids[one.unique_id]
            # Lists show every collection empty, so an empty one says nothing.
            values = {k: v for k, v in one.values.items() if (k in late) or (k in linked and v)}
            if values and record_id:
                wanted.append((record_id, values))
        await self.links.settle(unit, entity, [values for _, values in wanted])
        stored = await unit.many(entity, sorted({record_id for record_id, _ in wanted}))
        both = two_sided(entity)
        changes: list[tuple[int, dict[str, Any]]] = []
        for record_id, values in wanted:
            before = stored.get(record_id)
            if before is None:
                continue
            for name in both & values.keys():
                # Either side of the link may have more to say, so neither takes anything away.
                values[name] = tuple(sorted({*before[name], *values[name]}))
            values = {k: v for k, v in values.items() if before[k] != v}
            if values:
                changes.append((record_id, values))
        if changes:
            await unit.update(entity, changes)


def files_in(path: Path, report: Report) -> dict[str, list[Path]]:
    """Entity name -> its files, by the entity's plural; a file named otherwise is noted."""
    by_plural = {entity.plural.lower(): entity.__name__ for entity in CARRIED}
    found: dict[str, list[Path]] = {}
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        name = by_plural.get(file.stem.lower())
        if file.is_file() and name and file.suffix.lower() in ENDINGS:
            found.setdefault(name, []).append(file)
        else:
            report.note(f"{file.name} is not named after an entity's records and is skipped")
    return found


def _next_batch(reader: Reader, rows: Iterator[Any]) -> tuple[Broken | None, list[Said]]:
    said: list[Said] = []
    try:
        while len(said) == 0:
            taken = 0
            for row in islice(rows, BATCH):
                taken += 1
                one = reader.read(row)
                if one is not None:
                    said.append(one)
            if taken == 0:
                break
    except Broken as broken:
        return broken, said
    return None, said


def _possible(entity: type[Entity], record: dict[str, Any], report: Report) -> bool:
    """Whether a balance can be: what remains is from nothing to the total (rule 2)."""
    names = BALANCES.get(entity)
    if names is None:
        return True
    remaining, total = record[names[0]], record[names[1]]
    if remaining is not None and total is not None and 0 <= remaining <= total:
        return True
    report.problem(
        f"{entity.__name__} {record.get('Id', 'without an Id')}: {names[0]} is not from 0 to"
        f" {names[1]}; the record is left out"
    )
    return False
