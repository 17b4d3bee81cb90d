"""The import desk: upload a file, map its columns, check, import, take back.

The file is stored once; the page of its import shows the next step, and the progress while it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError
from creditdesk.console.column_mapping import file_columns, importable_fields
from creditdesk.console.labels import entity_plural, translated_words
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.translations import mark
from creditdesk.console.uploads import UploadForm, read_upload
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import NotFound, PermissionDenied

IMPORT_PATH: Final = "/console/admin/imports"
MAX_UPLOAD_BYTES: Final = 25_000_000
_BATCHES: Final = "/api/admin/imports/batches"
_MAX_TEXT: Final = 10_000
_MAX_NAME: Final = 200
_NO_FILE: Final = mark("Choose a file of type CSV, XLSX or JSON.")
_STATES: Final = {
    "uploaded": mark("columns"), "checking": mark("being checked"), "checked": mark("what would happen"),
    "importing": mark("being imported"), "imported": mark("imported"), "undoing": mark("being taken back"),
    "undone": mark("taken back"),
}  # fmt: skip
_ACTS: Final = ("check", "run", "undo")


async def _show(page: ConsolePage) -> Response:
    _require(page)
    return await _start(page, {})


async def _start(page: ConsolePage, fields: Mapping[str, str], message: str = "") -> Response:
    kinds = await page.client.get("/api/admin/imports")
    by_name = {entity.__name__: entity for entity in page.context.entities}
    past = await page.client.get(_BATCHES)
    return page.render(
        "import.html", HTTPStatus.UNPROCESSABLE_ENTITY if message else HTTPStatus.OK,
        kinds=sorted((entity_plural(by_name[each["Entity"]], page.language), each["Records"]) for each in kinds),
        fields=fields, path=IMPORT_PATH, message=message, past=past, states=_STATES,
        titles={name: entity_plural(entity, page.language) for name, entity in by_name.items()},
    )  # fmt: skip


async def _upload(page: ConsolePage) -> Response:
    _require(page)
    async with read_upload(page.request, MAX_UPLOAD_BYTES, _MAX_TEXT) as upload:
        try:
            stored = await _store(page, upload)
        except ApiError as error:
            return await _start(page, upload.fields, _text_of(error))
    return page.redirect(f"{IMPORT_PATH}/{stored['Id']}")


async def _store(page: ConsolePage, upload: UploadForm) -> Mapping[str, Any]:
    if upload.file is None or not upload.file.filename:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, page.translate(_NO_FILE))
    query = {"Records": upload.fields.get("kind", ""), "FileName": upload.file.filename[-_MAX_NAME:]}
    answer = await page.client.post_file("/api/admin/imports/files", query, await upload.file.read())
    value: Mapping[str, Any] = answer["Value"]
    return value


def _text_of(error: ApiError) -> str:
    """What the API refused. Raises an error of another cause."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
        raise error
    return "; ".join(error.fields.values()) or error.message


async def _batch(page: ConsolePage) -> Response:
    """The next step for a file: its columns, or the progress and the result."""
    _require(page)
    return await _render(page)


async def _render(page: ConsolePage, message: str = "") -> Response:
    batch = await page.client.get(f"{_BATCHES}/{page.request.path_params['id']}")
    entity = _entity(page, batch)
    path = f"{IMPORT_PATH}/{batch['Id']}"
    shared = {
        "batch": batch, "entity": entity, "title": entity_plural(entity, page.language), "path": path,
        "state": page.translate(_STATES[batch["State"]]), "message": message, "start": IMPORT_PATH,
        "may_undo": "delete" in entity.verbs,
    }  # fmt: skip
    status = HTTPStatus.UNPROCESSABLE_ENTITY if message else HTTPStatus.OK
    is_open = batch["State"] in ("uploaded", "checked")
    if batch["State"] == "uploaded" or (is_open and ("edit" in page.request.query_params or message)):
        return page.render(
            "import_columns.html", status, **shared,
            columns=file_columns(entity, batch["Headings"], batch["Samples"], batch["Fields"]),
            choices=[(name, translated_words(name, page.language)) for name in importable_fields(entity)],
        )  # fmt: skip
    return page.render("import_progress.html" if page.is_fragment else "import_result.html", status, **shared)


def _entity(page: ConsolePage, batch: Mapping[str, Any]) -> type[Entity]:
    return next(each for each in page.context.entities if each.__name__ == batch["Entity"])


async def _act(page: ConsolePage) -> Response:
    """Starts to check, import or take back; the page then shows the progress."""
    _require(page)
    act, batch_id = page.request.path_params["act"], page.request.path_params["id"]
    if act not in _ACTS:
        raise NotFound
    form = await page.form()
    body: dict[str, Any] = {}
    if act == "check":
        columns = sum(name.startswith("field-") for name in form)
        body["Fields"] = ",".join(str(form.get(f"field-{place}", "")) for place in range(columns))
        body |= {"Numbers": form.get("numbers") or None, "Dates": form.get("dates") or None}
    try:
        await page.client.post(f"{_BATCHES}/{batch_id}/{act}", body)
    except ApiError as error:
        return await _render(page, _text_of(error))
    return page.redirect(f"{IMPORT_PATH}/{batch_id}")


def _require(page: ConsolePage) -> None:
    if not page.principal.unrestricted:
        raise PermissionDenied("Only a full administrator may import")


IMPORT_SCREENS: Final = (
    Screen(IMPORT_PATH, _show),
    Screen(IMPORT_PATH, _upload, ("POST",)),
    Screen(f"{IMPORT_PATH}/{{id:int}}", _batch),
    Screen(f"{IMPORT_PATH}/{{id:int}}/{{act}}", _act, ("POST",)),
)
