"""Records in from a folder of files; the same files a second time change nothing.

Two readings: the first brings in records with the references whose targets come before them, the
second sets the references that point ahead, and the collections. Balances come as they are and
nothing is spent again; the journal of what came in is opened by the ledger.

Each batch is a transaction of its own, so memory stays flat and a broken run is simply repeated. Into
a database without records much comes faster as two loads, records and then journal, each of which is
there whole or not at all. What a load cannot take comes batch by batch after all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.security.role import Role
from creditdesk.entities.security.user_role import UserRole
from creditdesk.ledger.journal.accounts import open_imported, take_imported
from creditdesk.ledger.journal.mapping import BY_HISTORY, SIDES, Side, where
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import Conflict
from creditdesk.schema.progress import Heard, Reminded, Report, Silent
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Store, Unit
from creditdesk.transfer.balances import BALANCES, moved_inside, possible
from creditdesk.transfer.dependency_order import (
    collections,
    late_references,
    loading_order,
    two_sided,
)
from creditdesk.transfer.file_discovery import Files, files_in, worth_a_load
from creditdesk.transfer.files import rows_about, rows_of
from creditdesk.transfer.references import Links
from creditdesk.transfer.role_assignments import RoleNumbers
from creditdesk.transfer.row_parser import Reader, Said, next_batch

BATCH: Final = 1000


class UnfitForLoad(Exception):
    """A record without an Id is looked for by its UniqueId, which a load cannot do."""


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
    roles: RoleNumbers = field(default_factory=RoleNumbers)
    links: Links = field(init=False)
    _load: Unit | None = None
    _blanks: dict[type[Entity], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.links = Links(self.report, self.now, self.keep_dangling)

    async def run(self, path: Path) -> dict[str, Tally]:
        """Brings in every file that is named after an entity; says so of those that are not."""
        files = files_in(path, self.report)
        order = [entity for entity in loading_order() if entity.__name__ in files]
        if await worth_a_load(self.store, files) and await self._load_records(order, files):
            async with self._loading((JournalLine, CreditState)):
                await self._open_journals()
        else:
            await self._bring_all(order, files)
            await self._open_journals()
        return self.tallies

    async def _load_records(self, order: Sequence[type[Entity]], files: Files) -> bool:
        """Whether the records came as one load; if not, it is as if it had not been tried."""
        report = self.report
        heard = self.report = self.links.report = Heard(report)
        try:
            async with self._loading(order):
                await self._bring_all(order, files)
        except UnfitForLoad:
            report.note("A record has no Id, so all are brought in anew, batch by batch")
        except Conflict:
            report.note("A UniqueId stands twice, so all are brought in anew, batch by batch")
        else:
            self.report = report
            return True
        self.report, self.roles = Reminded(report, heard), RoleNumbers()
        self.links = Links(self.report, self.now, self.keep_dangling)
        return False

    @asynccontextmanager
    async def _loading(self, entities: Sequence[type[Entity]]) -> AsyncIterator[None]:
        """All batches until the block ends are of one load."""
        async with self.store.loading(entities) as unit:
            self._load = unit
            try:
                yield
            finally:
                self._load = None

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Unit]:
        """A unit of the batch's own, or the load."""
        if self._load is not None:
            yield self._load
        else:
            async with self.store.writing() as unit:
                yield unit

    async def _bring_all(self, order: Sequence[type[Entity]], files: Files) -> None:
        for entity in order:
            self.tallies[entity.__name__] = Tally()
            for file in files[entity.__name__]:
                await self._each_batch(entity, file, self._bring_in)
        for entity in order:
            if _later(entity):
                for file in files[entity.__name__]:
                    await self._each_batch(entity, file, self._connect)

    async def _open_journals(self) -> None:
        """Opens what has no journal yet, also after an earlier run that broke off."""
        for side in SIDES.values():
            async with self._writing() as unit:
                total = await unit.count(side.credit)
            self.report.step(f"journal of {side.credit.plural}", total)
            await self._open_journals_of(side)

    async def _open_journals_of(self, side: Side) -> None:
        last = 0
        while True:
            async with self._writing() as unit:
                found = await unit.find(side.credit, limit=BATCH, after_id=last, names=("Id",))
                if not found:
                    return
                last = found[-1]["Id"]
                await open_imported(unit, side, [credit["Id"] for credit in found], self.now)
            self.report.advance(len(found))

    async def _each_batch(self, entity: type[Entity], file: Path, take: Take) -> None:
        first = take == self._bring_in
        label = file.name if first else f"{file.name}, links"
        self.report.step(label, rows_about(file))
        late = {*late_references(entity), *(column.name for column in collections(entity))}
        reader = (
            Reader(entity, file, self.report) if first else Reader(entity, file, Silent(), late)
        )
        rows = rows_of(file)
        following = asyncio.create_task(next_batch(reader, rows, BATCH))
        try:
            while True:
                broken, said = await following
                if said and not broken:
                    # Read while this one is stored: an engine elsewhere works at the same time.
                    following = asyncio.create_task(next_batch(reader, rows, BATCH))
                if said:
                    await self._take_batch(entity, said, take)
                    self.report.advance(len(said))
                if broken and first:
                    self.report.problem(f"{broken}; what follows in this file is left out")
                if broken or len(said) == 0:
                    return
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _take_batch(self, entity: type[Entity], said: list[Said], take: Take) -> None:
        try:
            async with self._writing() as unit:
                await take(unit, entity, said)
        except Conflict:
            if self._load is not None:
                raise
            # Nothing of the batch is there; its rows one by one show which of them it was.
            self.links.forget()
            if len(said) == 1:
                self._leave_out(entity, said[0], "another record has its UniqueId")
                return
            for one in said:
                await self._take_batch(entity, [one], take)

    async def _bring_in(self, unit: Unit, entity: type[Entity], said: Sequence[Said]) -> None:
        if entity is Role:
            await self.roles.learn(unit, said)
            said = self.roles.renumbered(said)
        said = self._distinct(entity, said)
        ids = await self._ids(unit, entity, said)
        stored = await unit.lock(entity, [i for i in ids.values() if i])
        later = _later(entity)
        rows: dict[str, dict[str, Any]] = {}
        for one in said:
            values = one.values.copy()
            for name in later & values.keys():
                del values[name]
            record_id = ids[one.unique_id]
            before = stored.get(record_id) if record_id else None
            if before is not None:
                if entity.append_only or entity is Role:
                    values = {}
                elif entity in BALANCES:
                    values = {k: v for k, v in values.items() if k not in moved_inside(entity)}
                values = {k: v for k, v in values.items() if before[k] != v}
            rows[one.unique_id] = values
        await self.links.settle(unit, entity, [rows[one.unique_id] for one in said])
        impossible = 0
        new: list[dict[str, Any]] = []
        changes: list[tuple[int, dict[str, Any]]] = []
        for one in said:
            values, record_id = rows[one.unique_id], ids[one.unique_id]
            if not record_id or record_id not in stored:
                record = self._whole(entity, record_id, one.unique_id, values)
                if possible(entity, record, self.report):
                    new.append(record)
                else:
                    impossible += 1
                continue
            values = {k: v for k, v in values.items() if stored[record_id][k] != v}
            if values:
                changes.append((record_id, values))
        if new:
            ids_given = await unit.insert(entity, new)
            if side := BY_HISTORY.get(entity):
                uses = [row | {"Id": i} for i, row in zip(ids_given, new, strict=True)]
                for sentence in await take_imported(unit, side, uses):
                    self.report.problem(sentence)
        if changes:
            await unit.update(entity, changes)
        tally = self.tallies[entity.__name__]
        tally.added += len(new)
        tally.changed += len(changes)
        tally.same += len(said) - len(new) - len(changes) - impossible

    def _whole(
        self, entity: type[Entity], record_id: int | None, unique_id: str, said: dict[str, Any]
    ) -> dict[str, Any]:
        """The record with every column it stores; what the row left out is empty."""
        blank = self._blanks.get(entity)
        if blank is None:
            blank = {column.name: column.kind.empty for column in entity.shape().stored}
            self._blanks[entity] = blank
        record = blank | said
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
        ids = {one.unique_id: one.id for one in reversed(said)}
        unique = entity.shape().columns["UniqueId"]
        for one in said:
            if one.id is None:
                if self._load is not None:
                    raise UnfitForLoad
                found = await unit.find(
                    entity, [Filter(unique, Test.IS, one.unique_id)], limit=1, names=("Id",)
                )
                ids[one.unique_id] = found[0]["Id"] if found else None
        return ids

    def _distinct(self, entity: type[Entity], said: Sequence[Said]) -> list[Said]:
        """The rows of a batch that can stand side by side: no Id and no UniqueId twice."""
        kept: dict[str, Said] = {}
        by_id: dict[int, Said] = {}
        for one in said:
            earlier = kept.get(one.unique_id) or (by_id.get(one.id) if one.id else None)
            if earlier is None:
                kept[one.unique_id] = one
                if one.id:
                    by_id[one.id] = one
            elif (earlier.id, earlier.values) != (one.id, one.values):
                self._leave_out(entity, one, f"row {earlier.number} has its Id or UniqueId")
        return list(kept.values())

    def _leave_out(self, entity: type[Entity], one: Said, because: str) -> None:
        self.report.problem(f"{entity.plural}: row {one.number}: {because}; the row is left out")

    async def _connect(self, unit: Unit, entity: type[Entity], said: Sequence[Said]) -> None:
        if entity is Role:
            said = self.roles.renumbered(said)
        ids = await self._ids(unit, entity, said)
        late, linked = late_references(entity), [c.name for c in collections(entity)]
        wanted: list[tuple[int, dict[str, Any]]] = []
        for one in said:
            record_id = ids[one.unique_id]
            # Lists show every collection empty, so an empty one says nothing.
            values = {k: v for k, v in one.values.items() if (k in late) or (k in linked and v)}
            if entity is UserRole and "Roles" in values:
                values["Roles"] = self.roles.of(values["Roles"])
            if values and record_id:
                wanted.append((record_id, values))
        await self.links.settle(unit, entity, [values for _, values in wanted])
        there = where(entity, Id=sorted({record_id for record_id, _ in wanted}))
        found = await unit.find(entity, there, names=("Id", *_later(entity))) if wanted else ()
        stored = {record["Id"]: record for record in found}
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


def _later(entity: type[Entity]) -> frozenset[str]:
    """What the second reading sets: references that point ahead, and collections."""
    return late_references(entity) | {column.name for column in collections(entity)}
