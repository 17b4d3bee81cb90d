"""Imports over the API: a file as rows, and rows of one kind of record, as `creditdesk import` reads them."""

from __future__ import annotations

import asyncio
import base64
import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.administration import require_full_administrator
from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext, Route, json_success
from creditdesk.api.openapi_operations import object_schema
from creditdesk.api.responses import JsonBytesResponse, action_body, json_response
from creditdesk.api.serializer import encode
from creditdesk.auth.audit_trail import AuditAction, event_of_request, record_event
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.fields import Boolean, Text
from creditdesk.schema.params import Param, Params
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.service import RequestContext
from creditdesk.transfer.dependency_order import TRANSFERRED
from creditdesk.transfer.file_format import FileFormat
from creditdesk.transfer.file_rows import BadRow, MalformedFile
from creditdesk.transfer.files import FILE_SUFFIXES, read_rows
from creditdesk.transfer.import_state import ImportState
from creditdesk.transfer.importer import Importer

MAX_IMPORT_ROWS: Final = 2000
"""Rows of one call: a dry run is one transaction. `creditdesk import` takes files of any length."""
TOO_MANY_ROWS: Final = f"must have at most {MAX_IMPORT_ROWS} rows; creditdesk import takes longer files"
MAX_MESSAGES: Final = 500
_KINDS: Final = {entity.plural: entity for entity in TRANSFERRED}
_KIND: Final = Param("Records", required=True, choices=tuple(sorted(_KINDS)), description="The kind of record.")
_ROWS: Final = Param("Csv", Text(max_length=1_000_000), required=True, description="CSV whose first line names fields.")
_NUMBERS: Final = Param("Numbers", choices=("standard", "european"), description="`european` is 1.234,50.")
_DATES: Final = Param("Dates", choices=("iso", "dmy", "mdy"), description="`dmy` is 31/12/2026.")
_FILE_NAME: Final = Param("FileName", Text(max_length=200), description="For the audit trail.")
_DRY_RUN: Final = Param("DryRun", Boolean(), description="Only answer what would happen; write nothing.")
_REQUIRED_NAME: Final = replace(_FILE_NAME, required=True, description="Its end tells CSV, XLSX and JSON apart.")
_CONTENT: Final = Param("Content", Text(max_length=1_000_000), required=True, description="The file in base64.")
_FILE_PARAMS: Final = (_REQUIRED_NAME, _CONTENT)
_PARAMS: Final = (_KIND, _ROWS, _NUMBERS, _DATES, _FILE_NAME, _DRY_RUN)


def import_routes() -> tuple[Route, ...]:
    """The paths of imports, for full administrators: an import passes by roles and locations."""
    return (
        Route("GET", "/api/admin/imports", _list_kinds, _KINDS_OPERATION),
        Route("POST", "/api/admin/imports", _import, _OPERATION),
        Route("POST", "/api/admin/imports/rows", _read_file, _FILE_OPERATION),
    )


async def _list_kinds(_api: ApiContext, _request: Request, context: RequestContext, _id: int) -> Response:
    """The kinds of records that can be imported."""
    require_full_administrator(context.principal)
    return json_response(200, [{"Records": name, "Entity": entity.__name__} for name, entity in sorted(_KINDS.items())])


async def _read_file(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """The rows of a file as CSV with commas."""
    require_full_administrator(context.principal)
    body = await read_body(request, api.settings.body_limit_bytes, api.settings.body_seconds)
    params = Params(_FILE_PARAMS, parse_body(body, request.headers.get("content-type", "")))
    params.raise_errors()
    suffix = Path(params[_REQUIRED_NAME]).suffix.lower()
    if suffix not in FILE_SUFFIXES:
        raise invalid_field("FileName", f"must end in {', '.join(FILE_SUFFIXES)}", params[_REQUIRED_NAME])
    try:
        content = base64.b64decode(params[_CONTENT], validate=True)
    except ValueError:  # also for characters outside ASCII
        raise invalid_field("Content", "must be base64") from None
    try:
        text = await asyncio.to_thread(_csv_of, content, suffix)
    except MalformedFile as error:
        raise invalid_field("Content", str(error)) from None
    now = context.now.replace(microsecond=0)
    return JsonBytesResponse(action_body("The file was read.", {"Csv": text}, now, context.principal.email))


def _csv_of(content: bytes, suffix: str) -> str:
    with tempfile.TemporaryDirectory(prefix="creditdesk-upload-") as folder:
        path = Path(folder) / f"file{suffix}"
        path.write_bytes(content)
        written = StringIO()
        csv.writer(written, lineterminator="\n").writerows(_lines(path))
    return written.getvalue()


def _lines(path: Path) -> Iterator[list[str]]:
    """The heading and the rows. Raises MalformedFile, also for a row that cannot be read and for too many."""
    names: list[str] = []
    for number, row in enumerate(read_rows(path), 1):
        if isinstance(row, BadRow):
            raise MalformedFile(f"row {row.number} {row.message}")
        if number > MAX_IMPORT_ROWS:
            raise MalformedFile(TOO_MANY_ROWS)
        if not names:
            names = list(row.values)
            yield names
        yield [_cell(row.values.get(name)) for name in names]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return encode(value).decode() if isinstance(value, list | dict) else str(value)


class _Messages(NullReporter):
    """Keeps the first messages of an import, each once and without the file's name, and counts all."""

    def __init__(self, file_name: str) -> None:
        self._prefix = f"{file_name}: "
        self.shown: dict[str, None] = {}
        self.count = 0

    def note(self, message: str) -> None:
        self._keep(message)

    def problem(self, message: str) -> None:
        self._keep(message)

    def _keep(self, message: str) -> None:
        self.count += 1
        if len(self.shown) < MAX_MESSAGES:
            self.shown[message.removeprefix(self._prefix)] = None


async def _import(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    require_full_administrator(context.principal)
    body = await read_body(request, api.settings.body_limit_bytes, api.settings.body_seconds)
    params = Params(_PARAMS, parse_body(body, request.headers.get("content-type", "")))
    params.raise_errors()
    if params[_ROWS].count("\n") > MAX_IMPORT_ROWS + 1:
        raise invalid_field("Csv", TOO_MANY_ROWS)
    entity = _KINDS[params[_KIND]]
    messages = _Messages(f"{entity.plural}.csv")
    file_format = FileFormat(params[_NUMBERS] or "standard", params[_DATES] or "iso")
    importer = Importer(api.store, messages, context.now, file_format=file_format, dry_run=bool(params[_DRY_RUN]))
    state = await _run(importer, entity, params[_ROWS])
    ids = [] if params[_DRY_RUN] else state.inserted.get(entity.__name__, [])
    result = _Result(entity, state, messages, ids)
    if not params[_DRY_RUN]:
        details = {"File": params[_FILE_NAME], "Rows": result.counts, "Added": id_ranges(ids)}
        event = event_of_request(context, AuditAction.IMPORTED, entity.__name__, ids[0] if ids else 0, details)
        async with api.store.write_session() as session:
            await record_event(session, event, context.now)
    now = context.now.replace(microsecond=0)
    return JsonBytesResponse(action_body(result.message, result.document(), now, context.principal.email))


async def _run(importer: Importer, entity: type[Entity], text: str) -> ImportState:
    """Imports the text as the file of an entity."""
    with tempfile.TemporaryDirectory(prefix="creditdesk-import-") as folder:
        path = Path(folder) / f"{entity.plural}.csv"
        await asyncio.to_thread(path.write_text, text, "utf-8")
        return await importer.run(path)


@dataclass(frozen=True, slots=True)
class _Result:
    entity: type[Entity]
    state: ImportState
    messages: _Messages
    ids: Sequence[int]

    @property
    def counts(self) -> dict[str, int]:
        counted = self.state.counts[self.entity.__name__]
        return {"Added": counted.added, "Changed": counted.changed, "Unchanged": counted.unchanged}

    @property
    def message(self) -> str:
        counts = self.counts
        return f"{counts['Added']} new, {counts['Changed']} changed, {counts['Unchanged']} same."

    def document(self) -> dict[str, Any]:
        report = self.state.report
        return {
            **self.counts,
            "Refused": report.refused,
            "Adjusted": report.adjusted,
            "Ignored": report.ignored,
            "AddedIds": id_ranges(self.ids),
            "Messages": list(self.messages.shown),
            "MessageCount": self.messages.count,
        }


def id_ranges(ids: Sequence[int]) -> str:
    """Ids as text, neighbours as a range: `5-7,9`."""
    ranges: list[list[int]] = []
    for each in sorted(ids):
        if ranges and each == ranges[-1][1] + 1:
            ranges[-1][1] = each
        else:
            ranges.append([each, each])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


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
    "operationId": "AdminImportRows",
    "tags": ["admin"],
    "summary": "Read a CSV, XLSX or JSON file as CSV rows",
    "description": "Writes nothing: the rows are for `POST /api/admin/imports`. For full administrators.",
    "parameters": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": object_schema(_FILE_PARAMS),
                "example": {"FileName": "members.csv", "Content": "RnVsbE5hbWUKQWRhCg=="},
            }
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
