"""Imports as JSON documents of the API."""

from __future__ import annotations

import json
from typing import Any, Final

from creditdesk.entities.ledger.import_batch import ImportBatch
from creditdesk.entities.ledger.import_part import ImportPart
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import NotFound
from creditdesk.schema.query import Order, where
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.transfer.id_ranges import format_id_ranges, parse_id_ranges
from creditdesk.transfer.import_batches import KINDS, NEXT_STATE, BatchState

MAX_MESSAGES: Final = 500
_LATEST: Final = 20
_SAMPLES: Final = 3
_COUNTS: Final = ("Added", "Changed", "Unchanged", "Refused", "Adjusted", "Deleted", "MessageCount")
_PART_COLUMNS: Final = ("Id", "RowCount", "Taken", "IsDone", "AddedIds", "Ignored", *_COUNTS)

_TEXTS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "string"}}
_OPTIONAL: Final[dict[str, Any]] = {"type": ["string", "null"]}
_SUMMARY_PROPERTIES: Final[dict[str, Any]] = {
    "Id": {"type": "integer"},
    "Records": {"type": "string"},
    "Entity": {"type": "string"},
    "FileName": _OPTIONAL,
    "State": {"type": "string", "enum": [state.value for state in BatchState]},
    "IsRunning": {"type": "boolean"},
    **{name: {"type": "integer"} for name in ("Rows", "Taken", *_COUNTS, "Ignored")},
    "UpdatedOn": {"type": "string", "format": "date-time"},
    "UpdatedBy": _OPTIONAL,
}
_BATCH_PROPERTIES: Final[dict[str, Any]] = {
    **_SUMMARY_PROPERTIES,
    "Headings": _TEXTS,
    "Fields": {"type": ["array", "null"], "items": _OPTIONAL},
    "Numbers": {"type": "string"},
    "Dates": {"type": "string"},
    "Samples": {"type": "array", "items": _TEXTS},
    "AddedIds": {"type": "string"},
    "Messages": _TEXTS,
}
BATCH_SCHEMA: Final = {"type": "object", "properties": _BATCH_PROPERTIES, "required": [*_BATCH_PROPERTIES]}
SUMMARIES_SCHEMA: Final = {
    "type": "array",
    "items": {"type": "object", "properties": _SUMMARY_PROPERTIES, "required": [*_SUMMARY_PROPERTIES]},
}


async def list_batches(store: Store) -> list[dict[str, Any]]:
    """The latest imports, without their messages."""
    order = Order(ImportBatch.meta().columns["Id"], descending=True)
    async with store.read_session() as session:
        batches = await session.find(ImportBatch, (), order, _LATEST)
        return [_summary(batch, await _parts(session, batch["Id"])) for batch in batches]


async def batch_document(store: Store, batch_id: int) -> dict[str, Any]:
    """An import with its first messages, and the first rows of a file that is not imported. Raises NotFound."""
    async with store.read_session() as session:
        found = await session.find(ImportBatch, where(ImportBatch, Id=batch_id))
        if not found:
            raise NotFound
        batch, parts = found[0], await _parts(session, batch_id)
        added = [each for part in parts for each in parse_id_ranges(part["AddedIds"])]
        return {
            **_summary(batch, parts),
            "Headings": json.loads(batch["Headings"]),
            "Fields": json.loads(batch["Fields"]) if batch["Fields"] else None,
            "Numbers": batch["Numbers"],
            "Dates": batch["Dates"],
            "Samples": await _samples(session, parts),
            # The ids that a check was given are not those of records.
            "AddedIds": "" if batch["State"] in _CHECKS else format_id_ranges(added),
            "Messages": await _messages(session, parts),
        }


_CHECKS: Final = (BatchState.UPLOADED, BatchState.CHECKING, BatchState.CHECKED)


async def _parts(session: ReadSession, batch_id: int) -> list[Record]:
    return await session.find(ImportPart, where(ImportPart, BatchId=batch_id), columns=_PART_COLUMNS)


def _summary(batch: Record, parts: list[Record]) -> dict[str, Any]:
    is_undo = batch["State"] in (BatchState.UNDOING, BatchState.UNDONE)
    taken = sum(part["RowCount"] if part["IsDone"] else 0 if is_undo else part["Taken"] for part in parts)
    return {
        "Id": batch["Id"],
        "Records": batch["Kind"],
        "Entity": KINDS[batch["Kind"]].__name__,
        "FileName": batch["FileName"],
        "State": batch["State"],
        "IsRunning": batch["State"] in NEXT_STATE,
        "Rows": batch["RowCount"],
        "Taken": taken,
        **{name: sum(part[name] for part in parts) for name in _COUNTS},
        # Each part ignores the same columns.
        "Ignored": max((part["Ignored"] for part in parts), default=0),
        "UpdatedOn": format_datetime(batch["UpdatedOn"]),
        "UpdatedBy": batch["UpdatedBy"],
    }


async def _samples(session: ReadSession, parts: list[Record]) -> list[list[str]]:
    if not parts:
        return []
    [first] = await session.find(ImportPart, where(ImportPart, Id=parts[0]["Id"]), columns=("Rows",))
    lines = [json.loads(line) for line in first["Rows"].split("\n")[:_SAMPLES] if line]
    return [line for line in lines if isinstance(line, list)]


async def _messages(session: ReadSession, parts: list[Record]) -> list[str]:
    """The first messages, each once."""
    shown: dict[str, None] = {}
    for part in parts:
        if not part["MessageCount"] or len(shown) >= MAX_MESSAGES:
            continue
        [row] = await session.find(ImportPart, where(ImportPart, Id=part["Id"]), columns=("Messages",))
        shown.update(dict.fromkeys(json.loads(row["Messages"])))
    return list(shown)[:MAX_MESSAGES]
