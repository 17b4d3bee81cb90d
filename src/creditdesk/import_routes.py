"""The API of imports: files that are imported in parts, and the rows of one call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.administration import require_full_administrator
from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext, Route, json_success
from creditdesk.api.openapi_operations import object_schema
from creditdesk.api.responses import JsonBytesResponse, action_body, json_response
from creditdesk.api.serializer import encode
from creditdesk.api.write_handlers import delete_record
from creditdesk.import_documents import BATCH_SCHEMA, SUMMARIES_SCHEMA, batch_document, list_batches
from creditdesk.job_control import JOB_CONTROL
from creditdesk.scheduler.jobs import IMPORT_JOB
from creditdesk.schema.conflicts import retry_conflict
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.fields import Boolean, Text
from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext
from creditdesk.telemetry.metrics import RETRIES
from creditdesk.transfer.file_lines import StoredLines, read_lines
from creditdesk.transfer.file_rows import MalformedFile
from creditdesk.transfer.files import FILE_SUFFIXES
from creditdesk.transfer.import_batches import (
    KINDS,
    BatchState,
    FileIds,
    begin,
    delete_abandoned,
    delete_batch,
    find_running,
    store_batch,
    take_part,
)

_ResultT = TypeVar("_ResultT")
MAX_IMPORT_ROWS: Final = 200_000
MAX_FILE_BYTES: Final = 25_000_000
MAX_CALL_ROWS: Final = 2000
"""The most rows of one call, which responds when all are imported."""
INLINE_SECONDS: Final = 2.0
"""How long a request imports parts before it responds, in seconds; the scheduled job imports the rest."""
ABANDONED_AFTER: Final = timedelta(days=1)
"""The age at which a file that was not imported is deleted, because it may name people."""
_PATH: Final = "/api/admin/imports"
_KIND: Final = Param("Records", required=True, choices=tuple(sorted(KINDS)), description="The kind of record.")
_ROWS: Final = Param("Csv", Text(max_length=1_000_000), required=True, description="CSV whose first line names fields.")
_NUMBERS: Final = Param("Numbers", choices=("standard", "european"), description="`european` is 1.234,50.")
_DATES: Final = Param("Dates", choices=("iso", "dmy", "mdy"), description="`dmy` is 31/12/2026.")
_FILE_NAME: Final = Param("FileName", Text(max_length=200), description="For the audit trail.")
_DRY_RUN: Final = Param("DryRun", Boolean(), description="Only answer what would happen; write nothing.")
_REQUIRED_NAME: Final = Param(
    "FileName", Text(max_length=200), required=True, description="Its end tells CSV, XLSX and JSON apart."
)
_FIELDS: Final = Param(
    "Fields", Text(max_length=20_000), required=True,
    description="The field of each column, separated by commas; one without a field is left out.",
)  # fmt: skip
_FILE_PARAMS: Final = (_KIND, _REQUIRED_NAME)
_CHECK_PARAMS: Final = (_FIELDS, _NUMBERS, _DATES)
_PARAMS: Final = (_KIND, _ROWS, _NUMBERS, _DATES, _FILE_NAME, _DRY_RUN)


def import_routes() -> tuple[Route, ...]:
    """The paths of imports, for full administrators only: an import is not limited by roles and locations."""
    batch = f"{_PATH}/batches/{{id}}"
    return (
        Route("GET", _PATH, _list_kinds, _KINDS_OPERATION),
        Route("POST", _PATH, _import, _OPERATION, has_own_retries=True),
        Route("POST", f"{_PATH}/files", _upload, _FILE_OPERATION),
        Route("GET", f"{_PATH}/batches", _list_batches, _BATCHES_OPERATION),
        Route("GET", batch, _show_batch, _BATCH_OPERATION),
        Route("POST", f"{batch}/check", _check, _CHECK_OPERATION, has_own_retries=True),
        Route("POST", f"{batch}/run", _run, _operation("Run", "Import the file", has_id=True), has_own_retries=True),
        Route("POST", f"{batch}/undo", _undo, _operation("Undo", _UNDO_TITLE, has_id=True), has_own_retries=True),
    )


async def run_imports(api: ApiContext, seconds: float) -> str:
    """Imports waiting parts for at most this many seconds; if any are left, the job is due again."""
    await delete_abandoned(api.store, api.clock() - ABANDONED_AFTER)
    done = 0
    running, file_ids = await find_running(api.store), FileIds()
    ends = time.monotonic() + seconds
    for batch_id in running:
        while time.monotonic() < ends and await take_part(
            api.store, batch_id, partial(delete_record, api), api.clock(), file_ids
        ):
            done += 1
    if await find_running(api.store):
        async with api.store.write_session() as session:
            await JOB_CONTROL.request(session, IMPORT_JOB, api.clock())
    return f"{done} parts taken"


async def _take_parts(api: ApiContext, batch_id: int, seconds: float) -> None:
    """Imports parts of a batch for at most this many seconds."""
    ends, file_ids = time.monotonic() + seconds, FileIds()
    while await take_part(api.store, batch_id, partial(delete_record, api), api.clock(), file_ids):
        if time.monotonic() >= ends:
            return


async def _list_kinds(_api: ApiContext, _request: Request, context: RequestContext, _id: int) -> Response:
    """The kinds of records that can be imported."""
    require_full_administrator(context.principal)
    return json_response(200, [{"Records": name, "Entity": entity.__name__} for name, entity in sorted(KINDS.items())])


async def _list_batches(api: ApiContext, _request: Request, context: RequestContext, _id: int) -> Response:
    require_full_administrator(context.principal)
    return json_response(200, await list_batches(api.store))


async def _show_batch(api: ApiContext, _request: Request, context: RequestContext, batch_id: int) -> Response:
    require_full_administrator(context.principal)
    return json_response(200, await batch_document(api.store, batch_id))


async def _upload(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """Stores a file, whose content is the body."""
    require_full_administrator(context.principal)
    params = Params(_FILE_PARAMS, request.query_params)
    params.raise_errors()
    suffix = Path(params[_REQUIRED_NAME]).suffix.lower()
    if suffix not in FILE_SUFFIXES:
        raise invalid_field("FileName", f"must end in {', '.join(FILE_SUFFIXES)}", params[_REQUIRED_NAME])
    content = await read_body(request, MAX_FILE_BYTES, api.settings.body_seconds)
    file = await _read_file(content, suffix, MAX_IMPORT_ROWS, "Content")
    async with api.store.write_session() as session:
        batch_id = await store_batch(session, params[_KIND], params[_REQUIRED_NAME], file, context)
    return await _answer(api, context, batch_id, "The file was read.")


async def _read_file(content: bytes, suffix: str, max_rows: int, name: str) -> StoredLines:
    try:
        return await asyncio.to_thread(read_lines, content, suffix, max_rows)
    except MalformedFile as error:
        raise invalid_field(name, str(error)) from None


async def _check(api: ApiContext, request: Request, context: RequestContext, batch_id: int) -> Response:
    """Sets the fields of a file's columns, and starts to check what an import would do."""
    require_full_administrator(context.principal)
    params = await _body(api, request, _CHECK_PARAMS)
    document = await batch_document(api.store, batch_id)
    fields = [name.strip() for name in params[_FIELDS].split(",")]
    named = [name.lower() for name in fields if name]
    if len(fields) != len(document["Headings"]):
        params.add_error(_FIELDS, f"must name a field for each of the {len(document['Headings'])} columns")
    elif not named or len(set(named)) < len(named):
        params.add_error(_FIELDS, "must name at least one field, and none twice")
    params.raise_errors()
    changes = _mapping(params, fields)
    return await _start(api, context, batch_id, BatchState.CHECKING, changes)


def _mapping(params: Params, fields: list[str]) -> dict[str, str]:
    return {
        "Fields": encode(fields).decode(),
        "Numbers": params[_NUMBERS] or "standard",
        "Dates": params[_DATES] or "iso",
    }


async def _run(api: ApiContext, _request: Request, context: RequestContext, batch_id: int) -> Response:
    require_full_administrator(context.principal)
    if (await batch_document(api.store, batch_id))["Fields"] is None:
        raise StateConflict("The columns of the file have no fields yet")
    return await _start(api, context, batch_id, BatchState.IMPORTING, {})


async def _undo(api: ApiContext, _request: Request, context: RequestContext, batch_id: int) -> Response:
    require_full_administrator(context.principal)
    return await _start(api, context, batch_id, BatchState.UNDOING, {})


async def _start(
    api: ApiContext, context: RequestContext, batch_id: int, state: BatchState, changes: Mapping[str, Any]
) -> Response:
    """Begins a state; processes the first parts now, and leaves the rest to the job."""

    async def start(session: WriteSession) -> None:
        await begin(session, batch_id, state, changes, context)
        await JOB_CONTROL.request(session, IMPORT_JOB, context.now)

    await _transact(api, start)
    await _take_parts(api, batch_id, INLINE_SECONDS)
    return await _answer(api, context, batch_id, "The import was started.")


async def _import(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """Imports the rows of one call, and responds when all are imported."""
    require_full_administrator(context.principal)
    params = await _body(api, request, _PARAMS)
    file = await _read_file(params[_ROWS].encode(), ".csv", MAX_CALL_ROWS, "Csv")
    is_check = bool(params[_DRY_RUN])

    async def start(session: WriteSession) -> int:
        stored = await store_batch(session, params[_KIND], params[_FILE_NAME], file, context)
        state = BatchState.CHECKING if is_check else BatchState.IMPORTING
        await begin(session, stored, state, _mapping(params, file.headings), context)
        return stored

    batch_id = await _transact(api, start)
    await _take_parts(api, batch_id, float("inf"))
    response = await _answer(api, context, batch_id, None)
    if is_check:
        await _transact(api, partial(delete_batch, batch_id=batch_id))
    return response


async def _transact(api: ApiContext, work: Callable[[WriteSession], Awaitable[_ResultT]]) -> _ResultT:
    """Runs one of the transactions of a call, and retries it after a lost race."""

    async def transact() -> _ResultT:
        async with api.store.write_session() as session:
            return await work(session)

    return await retry_conflict(transact, partial(RETRIES.count, "conflict"))


async def _body(api: ApiContext, request: Request, declared: tuple[Param, ...]) -> Params:
    body = await read_body(request, api.settings.body_limit_bytes, api.settings.body_seconds)
    params = Params(declared, parse_body(body, request.headers.get("content-type", "")))
    params.raise_errors()
    return params


async def _answer(api: ApiContext, context: RequestContext, batch_id: int, message: str | None) -> Response:
    document = await batch_document(api.store, batch_id)
    text = message or f"{document['Added']} new, {document['Changed']} changed, {document['Unchanged']} same."
    now = context.now.replace(microsecond=0)
    return JsonBytesResponse(action_body(text, document, now, context.principal.email))


_UNDO_TITLE: Final = "Delete the records that an import added, where nothing depends on them"


def _operation(name: str, title: str, *, has_id: bool = False) -> dict[str, Any]:
    in_path = [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}]
    return {
        "operationId": f"AdminImport{name}",
        "tags": ["admin"],
        "summary": title,
        "description": f"{title}. For full administrators.",
        "parameters": in_path if has_id else [],
    }


_BATCHES_OPERATION: Final = _operation("Batches", "The latest imports") | json_success(SUMMARIES_SCHEMA)
_BATCH_OPERATION: Final = _operation("Batch", "How far an import is, and its result", has_id=True) | json_success(
    BATCH_SCHEMA
)
_KINDS_OPERATION: Final[dict[str, Any]] = {
    "operationId": "AdminImportKinds",
    "tags": ["admin"],
    "summary": "The kinds of records that can be imported",
    "description": "For full administrators.",
    "parameters": [],
    **json_success(
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"Records": {"type": "string"}, "Entity": {"type": "string"}},
                "required": ["Records", "Entity"],
            },
        }
    ),
}
_FILE_OPERATION: Final[dict[str, Any]] = {
    "operationId": "AdminImportFile",
    "tags": ["admin"],
    "summary": "Upload a CSV, XLSX or JSON file",
    "description": f"The body is the file, of at most {MAX_IMPORT_ROWS:,} rows. Writes no records: `check` says what its "
    "columns are, `run` imports it. Both answer after two seconds at most; the job `imports` goes on, and `State` and "
    "`Taken` say how far it is. For full administrators.",
    "parameters": [
        {
            "name": param.name,
            "in": "query",
            "required": True,
            "description": param.description,
            "schema": object_schema((param,))["properties"][param.name],
        }
        for param in _FILE_PARAMS
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary"},
                "example": "FullName,Email\nAda Lovelace,ada@example.com\n",
            }
        },
    },
}
_CHECK_OPERATION: Final[dict[str, Any]] = _operation(
    "Check", "Say what the columns of a file are, and see what an import would do", has_id=True
) | {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": object_schema(_CHECK_PARAMS), "example": {"Fields": "FullName,Email"}}
        },
    },
}
_OPERATION: Final[dict[str, Any]] = {
    "operationId": "AdminImport",
    "tags": ["admin"],
    "summary": "Import rows of one kind of record",
    "description": "As `creditdesk import` reads a file; importing the same rows again changes nothing. For full "
    "administrators. `AddedIds` are the records that were not there before.",
    "parameters": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": object_schema(_PARAMS),
                "example": {
                    "Records": "coworkers",
                    "Csv": "FullName,Email\nAda Lovelace,ada@example.com\n",
                    "DryRun": True,
                },
            }
        },
    },
}
