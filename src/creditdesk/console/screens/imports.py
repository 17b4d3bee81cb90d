"""The import desk: upload a file, say what its columns are, look at a dry run, import, take back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError
from creditdesk.console.column_mapping import FileColumn, file_columns, importable_fields, renamed
from creditdesk.console.labels import entity_plural, translated_words
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.translations import mark
from creditdesk.console.uploads import UploadForm, read_upload
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import NotFound, PermissionDenied

IMPORT_PATH: Final = "/console/admin/imports"
MAX_FILE_BYTES: Final = 2_000_000
_MAX_UNDO: Final = 500
_MAX_NAME: Final = 200
_SHOWN_IMPORTS: Final = 20
_NO_FILE: Final = mark("Choose a file of type CSV, XLSX or JSON.")
_NO_COLUMNS: Final = mark("The first line of the file names no columns.")


async def _show(page: ConsolePage) -> Response:
    _require(page)
    return await _start(page, {})


async def _start(page: ConsolePage, fields: Mapping[str, str], message: str = "") -> Response:
    query = {"AuditRecord_Action": "imported", "orderby": "RecordedOn", "dir": "descending", "size": _SHOWN_IMPORTS}
    listed = await page.client.find(AuditRecord.path(), query)
    past = [(each, json.loads(each["Details"])) for each in listed.records]
    return page.render(
        "import.html", HTTPStatus.UNPROCESSABLE_ENTITY if message else HTTPStatus.OK,
        kinds=sorted((entity_plural(each, page.language), name) for name, each in (await _kinds(page)).items()), fields=fields, path=IMPORT_PATH,
        message=message, past=[(each, details) for each, details in past if details.get("Added")], words=partial(translated_words, language=page.language),
    )  # fmt: skip


async def _kinds(page: ConsolePage) -> dict[str, type[Entity]]:
    """The kinds of records that can be imported, by the name that files have."""
    listed = await page.client.get("/api/admin/imports")
    by_name = {entity.__name__: entity for entity in page.context.entities}
    return {each["Records"]: by_name[each["Entity"]] for each in listed}


async def _submit(page: ConsolePage) -> Response:
    """One step: the upload leads to the columns, these to the dry run, this to the import."""
    _require(page)
    async with read_upload(page.request, MAX_FILE_BYTES, MAX_FILE_BYTES) as upload:
        fields = upload.fields
        entity = (await _kinds(page)).get(fields.get("kind", ""))
        if entity is None:
            raise NotFound
        try:
            if "text" not in fields:
                fields["file_name"], fields["text"] = await _read_file(page, upload)
            fields["text"] = fields["text"].lstrip("\r\n")
            columns = file_columns(entity, fields["text"])
        except ValueError:
            return await _start(page, fields, page.translate(_NO_COLUMNS))
        except ApiError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
                raise
            return await _start(page, fields, "; ".join(error.fields.values()) or error.message)
    chosen = [fields.get(f"field-{place}") for place in range(len(columns))]
    if None not in chosen:
        columns = [
            FileColumn(each.heading, each.samples, str(field)) for each, field in zip(columns, chosen, strict=True)
        ]
    if "apply" in fields or "preview" in fields:
        return await _run(page, entity, fields, columns)
    return _columns(page, entity, fields, columns)


async def _run(
    page: ConsolePage, entity: type[Entity], fields: Mapping[str, str], columns: Sequence[FileColumn]
) -> Response:
    is_write = "apply" in fields
    body = {
        "Records": entity.plural,
        "Csv": renamed(fields["text"], [each.field for each in columns]),
        "Numbers": fields.get("numbers") or None,
        "Dates": fields.get("dates") or None,
        "FileName": fields.get("file_name", "")[:200] or None,
        "DryRun": not is_write,
    }
    try:
        answer = await page.client.post("/api/admin/imports", body)
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return _columns(page, entity, fields, columns, error)
    return page.render(
        "import_result.html",
        entity=entity, title=entity_plural(entity, page.language), result=answer["Value"], is_write=is_write, fields=fields,
        columns=columns, path=IMPORT_PATH,
    )  # fmt: skip


def _columns(
    page: ConsolePage,
    entity: type[Entity],
    fields: Mapping[str, str],
    columns: Sequence[FileColumn],
    error: ApiError | None = None,
) -> Response:
    return page.render(
        "import_columns.html", error.status if error else HTTPStatus.OK,
        title=entity_plural(entity, page.language), fields=fields, columns=columns, error=error, path=IMPORT_PATH,
        choices=[(name, translated_words(name, page.language)) for name in importable_fields(entity)],
    )  # fmt: skip


async def _read_file(page: ConsolePage, upload: UploadForm) -> tuple[str, str]:
    """The name of the file, and its rows as CSV with commas. Raises ApiError."""
    if upload.file is None or not upload.file.filename:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, page.translate(_NO_FILE))
    name = upload.file.filename[-_MAX_NAME:]
    content = base64.b64encode(await upload.file.read()).decode()
    answer = await page.client.post("/api/admin/imports/rows", {"FileName": name, "Content": content})
    return name, str(answer["Value"]["Csv"])


async def _undo(page: ConsolePage) -> Response:
    """Deletes the records that an import added, where nothing depends on them yet."""
    _require(page)
    record = await page.client.get(f"{AuditRecord.path()}/{page.request.path_params['id']}")
    entity = next((each for each in page.context.entities if each.__name__ == record["Subject"]), None)
    if entity is None or record["Action"] != "imported":
        raise NotFound
    deleted, refused = 0, list[tuple[int, str]]()
    ids = [each for each in _ids(json.loads(record["Details"]).get("Added", "")) if await _exists(page, entity, each)]
    for record_id in ids[:_MAX_UNDO]:
        try:
            await page.client.delete(f"{entity.path()}/{record_id}")
        except ApiError as error:
            refused.append((record_id, error.message))
        else:
            deleted += 1
    return page.render(
        "import_undo.html", entity=entity, title=entity_plural(entity, page.language), deleted=deleted, refused=refused,
        left=max(0, len(ids) - _MAX_UNDO), path=IMPORT_PATH, undo_path=page.request.url.path,
    )  # fmt: skip


async def _exists(page: ConsolePage, entity: type[Entity], record_id: int) -> bool:
    try:
        await page.client.get(f"{entity.path()}/{record_id}")
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True


def _ids(ranges: str) -> Iterator[int]:
    """The ids of `5-7,9`."""
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            yield from range(int(first), int(last or first) + 1)


def _require(page: ConsolePage) -> None:
    if not page.principal.unrestricted:
        raise PermissionDenied("Only a full administrator may import")


IMPORT_SCREENS: Final = (
    Screen(IMPORT_PATH, _show),
    Screen(IMPORT_PATH, _submit, ("POST",)),
    Screen(f"{IMPORT_PATH}/{{id:int}}/undo", _undo, ("POST",)),
)
