"""Files that are imported in parts: stored, checked, imported and taken back, each part in its transaction.

A part's rows and its result are committed together, so another process can continue the batch of a killed one, and no
row is imported twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final

import msgspec

from creditdesk.auth.audit_trail import AuditAction, AuditEvent, record_event
from creditdesk.entities.ledger.import_batch import ImportBatch
from creditdesk.entities.ledger.import_part import ImportPart
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.conflicts import retry_conflict
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Conflict, DomainError, NotFound, StateConflict
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import Store, WriteSession, delete_matching, find_first
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.telemetry.metrics import RETRIES
from creditdesk.transfer.dependency_order import TRANSFERRED, refers_to_itself
from creditdesk.transfer.file_format import FileFormat
from creditdesk.transfer.file_lines import StoredLines, decode_line
from creditdesk.transfer.file_rows import BadRow, FileRow
from creditdesk.transfer.id_ranges import format_id_ranges, parse_id_ranges
from creditdesk.transfer.importer import number_imported_bookings
from creditdesk.transfer.part_writer import MAX_PART_MESSAGES, PartResult, link_part, row_ids, write_part

PART_ROWS: Final = 500
"""The rows of a part, which one transaction imports."""
_SIZES: Final = (PART_ROWS, 50, 5, 1, 0)
"""Rows that are tried after a conflict, which ends the transaction; 0 refuses the row that was tried alone."""
KINDS: Final = {entity.plural: entity for entity in TRANSFERRED}
"""The entities of files, by the name that files have."""
_ENDED_BEFORE: Final = "Another action is under way or came first; reload the page"
_NOTHING_DONE: Final = {
    "Taken": 0, "IsDone": False, "Added": 0, "Changed": 0, "Unchanged": 0, "Refused": 0, "Adjusted": 0, "Ignored": 0,
    "Deleted": 0, "AddedIds": "", "Messages": "[]", "MessageCount": 0,
}  # fmt: skip

RecordRemoval = Callable[[WriteSession, type[Entity], int, RequestContext], Awaitable[None]]
"""Deletes a record by the rules of its entity. Raises DomainError."""


class BatchState(StrEnum):
    """The state of a batch; states that end in -ing have waiting parts."""

    UPLOADED = "uploaded"
    CHECKING = "checking"
    CHECKED = "checked"
    IMPORTING = "importing"
    IMPORTED = "imported"
    UNDOING = "undoing"
    UNDONE = "undone"


NEXT_STATE: Final = {
    BatchState.CHECKING: BatchState.CHECKED,
    BatchState.IMPORTING: BatchState.IMPORTED,
    BatchState.UNDOING: BatchState.UNDONE,
}
_BEGINS_FROM: Final = {
    BatchState.CHECKING: (BatchState.UPLOADED, BatchState.CHECKED),
    BatchState.IMPORTING: (BatchState.UPLOADED, BatchState.CHECKED),
    BatchState.UNDOING: (BatchState.IMPORTED, BatchState.UNDONE),
}


async def store_batch(
    session: WriteSession, kind: str, file_name: str | None, file: StoredLines, context: RequestContext
) -> int:
    """Stores a file; returns the Id of its batch, which is uploaded."""
    by, now = context.principal, context.now
    values = {
        "Kind": kind, "FileName": file_name, "Headings": _encode(file.headings), "Numbers": "standard", "Dates": "iso",
        "State": BatchState.UPLOADED.value, "RowCount": len(file.lines), "RequestedBy": by.user_id,
    }  # fmt: skip
    [batch_id] = await session.insert(ImportBatch, [new_record(ImportBatch, values, now, by.email)])
    for start in range(0, len(file.lines), PART_ROWS):
        rows = file.lines[start : start + PART_ROWS]
        part = {
            "BatchId": batch_id, "FirstRow": start + 1, "RowCount": len(rows),
            "Rows": "\n".join(rows), **_NOTHING_DONE,
        }  # fmt: skip
        await session.insert(ImportPart, [new_record(ImportPart, part, now, by.email)])
    return batch_id


async def begin(
    session: WriteSession, batch_id: int, state: BatchState, changes: Mapping[str, Any], context: RequestContext
) -> None:
    """Makes every part of a batch wait for the state. Raises NotFound, and StateConflict from a wrong state.

    changes: further values of the batch, such as what its columns are.
    """
    batch = (await session.lock(ImportBatch, [batch_id])).get(batch_id)
    if batch is None:
        raise NotFound
    if batch["State"] not in _BEGINS_FROM[state]:
        raise StateConflict(_ENDED_BEFORE)
    entity = KINDS[batch["Kind"]]
    if state is BatchState.UNDOING and "delete" not in entity.verbs:
        raise StateConflict(f"{entity.__name__} cannot be deleted")
    stamp = update_stamp(context.now, context.principal.email)
    change = {"State": state.value, "RequestedBy": context.principal.user_id, **changes, **stamp}
    await session.update(ImportBatch, [(batch_id, change)])
    reset: Mapping[str, Any] = (
        {"IsDone": False, "Messages": "[]", "MessageCount": 0} if state is BatchState.UNDOING else _NOTHING_DONE
    )
    parts = await session.find(ImportPart, where(ImportPart, BatchId=batch_id), columns=("Id",))
    await session.update(ImportPart, [(part["Id"], reset) for part in parts])


@dataclass(slots=True)
class FileIds:
    """The records of a file, to which rows of any part may refer: read once, and kept while parts of it are taken."""

    _file: tuple[object, ...] = ()
    _ids: frozenset[int] = frozenset()

    async def of_batch(self, session: WriteSession, batch: Record) -> frozenset[int]:
        """The Ids that rows of the batch name as their own; none where its records do not refer to each other."""
        if not refers_to_itself(KINDS[batch["Kind"]]):
            return frozenset()
        file = tuple(batch[name] for name in ("Id", "Fields", "Numbers", "Dates"))
        if file != self._file:
            self._ids, self._file = await _read_file_ids(session, batch), file
        return self._ids


async def take_part(store: Store, batch_id: int, delete: RecordRemoval, now: datetime, file_ids: FileIds) -> bool:
    """Takes the next rows of a batch; False where nothing is left to do. Callers that go on pass the same `file_ids`."""
    for size in _SIZES[:-1]:
        with suppress(Conflict):
            return await _take(store, batch_id, size, delete, now, file_ids)
    return await _take(store, batch_id, _SIZES[-1], delete, now, file_ids)


async def _take(
    store: Store, batch_id: int, size: int, delete: RecordRemoval, now: datetime, file_ids: FileIds
) -> bool:
    async with store.write_session() as session:
        work = await _next_part(session, batch_id)
        if work is None:
            return False
        batch, part = work
        if part is not None and batch["State"] == BatchState.IMPORTING:
            await _save(session, part, size, await _write_rows(session, batch, part, size, now, file_ids), now)
            return True
    if part is None:
        await _end(store, batch, now)
        return False
    if batch["State"] == BatchState.UNDOING:
        await _undo_part(store, batch, part, delete, now)
        return True
    result = PartResult()
    with suppress(_RolledBack):
        async with store.write_session() as session:
            result = await _write_rows(session, batch, part, size, now, file_ids)
            raise _RolledBack
    async with store.write_session() as session:
        if await _next_part(session, batch_id) == work:
            await _save(session, part, size, result, now)
    return True


class _RolledBack(Exception):
    """Ends the transaction of a check."""


async def _next_part(session: WriteSession, batch_id: int) -> tuple[Record, Record | None] | None:
    """The locked batch with a waiting part, or None if all are done; None for a batch that does not run."""
    batch = (await session.lock(ImportBatch, [batch_id])).get(batch_id)
    if batch is None or batch["State"] not in NEXT_STATE:
        return None
    return batch, await find_first(session, ImportPart, where(ImportPart, BatchId=batch_id, IsDone=False))


async def _write_rows(
    session: WriteSession, batch: Record, part: Record, size: int, now: datetime, file_ids: FileIds
) -> PartResult:
    """Writes the next rows of a part; a size of 0 refuses the next row, which was alone in a conflict."""
    taken, entity = part["Taken"], KINDS[batch["Kind"]]
    rows = _rows(batch, part, slice(taken, taken + max(size, 1)))
    if not size:
        message = f"row {rows[0].number}: has a value of another record; the row is refused"
        return PartResult(refused=1, messages=[message], message_count=1)
    return await write_part(session, entity, rows, _format_of(batch), now, await file_ids.of_batch(session, batch))


def _format_of(batch: Record) -> FileFormat:
    return FileFormat(batch["Numbers"], batch["Dates"])


async def _read_file_ids(session: WriteSession, batch: Record) -> frozenset[int]:
    entity, found = KINDS[batch["Kind"]], set[int]()
    for named in await session.find(ImportPart, where(ImportPart, BatchId=batch["Id"]), columns=("Id",)):
        [part] = await session.find(ImportPart, where(ImportPart, Id=named["Id"]))
        found |= await asyncio.to_thread(
            lambda rows: row_ids(entity, _rows(batch, rows, slice(None)), _format_of(batch)), part
        )
    return frozenset(found)


async def _link_parts(store: Store, batch: Record, now: datetime) -> dict[int, list[str]]:
    """Sets references of rows to other parts; returns the new messages by the Id of the part. Safe to repeat."""
    found: dict[int, list[str]] = {}
    entity, mine = KINDS[batch["Kind"]], where(ImportPart, BatchId=batch["Id"])
    async with store.read_session() as reading:
        ids = [part["Id"] for part in await reading.find(ImportPart, mine, columns=("Id",))]
    for part_id in ids if len(ids) > 1 and refers_to_itself(entity) else ():
        async with store.write_session() as session:
            locked = (await session.lock(ImportBatch, [batch["Id"]])).get(batch["Id"])
            if locked is None or locked["State"] != batch["State"]:
                return {}
            [part] = await session.find(ImportPart, where(ImportPart, Id=part_id))
            messages = await link_part(session, entity, _rows(batch, part, slice(None)), _format_of(batch), now)
        known = set(msgspec.json.decode(part["Messages"]))
        found[part_id] = [message for message in messages if message not in known]
    return found


def _rows(batch: Record, part: Record, chosen: slice) -> list[FileRow | BadRow]:
    fields: list[str] = msgspec.json.decode(batch["Fields"])
    kept = [(place, name) for place, name in enumerate(fields) if name]
    found: list[FileRow | BadRow] = []
    for position, line in enumerate(part["Rows"].split("\n")[chosen], part["FirstRow"] + (chosen.start or 0)):
        number, cells = decode_line(line, position)
        if isinstance(cells, str):
            found.append(BadRow(number, cells))
        else:
            found.append(FileRow(number, {name: cells[place] for place, name in kept}, is_table=True))
    return found


async def _save(session: WriteSession, part: Record, size: int, result: PartResult, now: datetime) -> None:
    """Adds a result to that of earlier rows, and deletes imported rows, because they may name people."""
    messages = (msgspec.json.decode(part["Messages"]) + result.messages)[:MAX_PART_MESSAGES]
    taken = min(part["Taken"] + max(size, 1), part["RowCount"])
    change = {
        "Taken": taken,
        "IsDone": taken == part["RowCount"],
        "Added": part["Added"] + result.counts.added,
        "Changed": part["Changed"] + result.counts.changed,
        "Unchanged": part["Unchanged"] + result.counts.unchanged,
        "Refused": part["Refused"] + result.refused,
        "Adjusted": part["Adjusted"] + result.adjusted,
        "Ignored": part["Ignored"] + result.ignored,
        "AddedIds": format_id_ranges([*parse_id_ranges(part["AddedIds"]), *result.added_ids]),
        "Messages": _encode(messages),
        "MessageCount": part["MessageCount"] + result.message_count,
    }
    await session.update(ImportPart, [(part["Id"], change | update_stamp(now, None))])


async def _undo_part(store: Store, batch: Record, part: Record, delete: RecordRemoval, now: datetime) -> None:
    """Deletes the records that a part added, unless other records depend on them. Safe to repeat."""
    entity = KINDS[batch["Kind"]]
    context = RequestContext(Principal(batch["RequestedBy"], batch["UpdatedBy"], unrestricted=True), now)
    added = list(parse_id_ranges(part["AddedIds"]))
    kept: list[str] = []

    async def delete_one(record_id: int) -> None:
        async with store.write_session() as session:
            await delete(session, entity, record_id, context)

    for record_id in reversed(added):
        try:
            await retry_conflict(partial(delete_one, record_id), partial(RETRIES.count, "conflict"))
        except NotFound:
            continue
        except DomainError as error:
            kept.append(f"#{record_id}: {error}")
    change = {
        "IsDone": True, "Deleted": len(added) - len(kept), "Messages": _encode(kept), "MessageCount": len(kept),
    }  # fmt: skip
    async with store.write_session() as session:
        await session.update(ImportPart, [(part["Id"], change | update_stamp(now, None))])


async def _end(store: Store, batch: Record, now: datetime) -> None:
    """Sets the next state, once; records an import in the audit trail."""
    if batch["State"] == BatchState.IMPORTING and batch["Kind"] == Booking.plural:
        await number_imported_bookings(store.write_session, now)
    late = await _link_parts(store, batch, now) if batch["State"] == BatchState.IMPORTING else {}
    async with store.write_session() as session:
        locked = (await session.lock(ImportBatch, [batch["Id"]])).get(batch["Id"])
        if locked is None or locked["State"] != batch["State"]:
            return
        following = NEXT_STATE[BatchState(batch["State"])]
        await session.update(ImportBatch, [(batch["Id"], {"State": following.value})])
        if following is not BatchState.IMPORTED:
            return
        parts = await session.find(ImportPart, where(ImportPart, BatchId=batch["Id"]), columns=_COUNTED)
        # What is imported is in the records themselves, and files name people.
        await session.update(ImportPart, [(part["Id"], {"Rows": "", **_with_late(part, late)}) for part in parts])
        details = {
            "File": batch["FileName"],
            "Import": batch["Id"],
            "Rows": {name: sum(part[name] for part in parts) for name in ("Added", "Changed", "Unchanged")},
        }
        event = AuditEvent(
            AuditAction.IMPORTED, batch["UpdatedBy"], batch["RequestedBy"],
            subject=KINDS[batch["Kind"]].__name__, details=details,
        )  # fmt: skip
        await record_event(session, event, now)


_COUNTED: Final = ("Id", "Added", "Changed", "Unchanged", "Adjusted", "Messages", "MessageCount")


def _with_late(part: Record, late: Mapping[int, list[str]]) -> Record:
    """The changes of a part by the messages that were added when the whole file was stored."""
    messages = late.get(part["Id"])
    if not messages:
        return {}
    return {
        "Adjusted": part["Adjusted"] + len(messages),
        "Messages": _encode((msgspec.json.decode(part["Messages"]) + messages)[:MAX_PART_MESSAGES]),
        "MessageCount": part["MessageCount"] + len(messages),
    }


async def find_running(store: Store) -> list[int]:
    """The batches with waiting parts, oldest first."""
    state = ImportBatch.meta().columns["State"]
    async with store.read_session() as session:
        running = [Filter(state, Comparison.ONE_OF, tuple(each.value for each in NEXT_STATE))]
        return [batch["Id"] for batch in await session.find(ImportBatch, running, columns=("Id",))]


async def delete_batch(session: WriteSession, batch_id: int) -> None:
    """Deletes a batch with its parts."""
    await delete_matching(session, ImportPart, where(ImportPart, BatchId=batch_id))
    await session.delete(ImportBatch, [batch_id])


async def delete_abandoned(store: Store, older_than: datetime) -> int:
    """Deletes files that were not imported and not used since; returns their number."""
    columns = ImportBatch.meta().columns
    waiting = (BatchState.UPLOADED.value, BatchState.CHECKED.value)
    filters = [
        Filter(columns["State"], Comparison.ONE_OF, waiting),
        Filter(columns["UpdatedOn"], Comparison.AT_MOST, older_than),
    ]
    async with store.write_session() as session:
        found = await session.lock(ImportBatch, [each["Id"] for each in await session.find(ImportBatch, filters)])
        for batch_id in (each["Id"] for each in found.values() if each["State"] in waiting):
            await delete_batch(session, batch_id)
    return len(found)


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
