"""The page of any record: all its fields, its commands, and the forms that create, edit and delete it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from creditdesk.console.api_client import ApiError
from creditdesk.console.csv_export import MAX_EXPORT_ROWS, stream_csv
from creditdesk.console.displays import CellText, cell, naming_reference
from creditdesk.console.inputs import CONTROLS, FormField, form_field
from creditdesk.console.journal_table import lines_of_source
from creditdesk.console.labels import column_title, entity_plural, entity_title
from creditdesk.console.links import fields_path, list_path, record_path
from creditdesk.console.list_query import ListAddress
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.reference_names import reference_names
from creditdesk.console.screens.record_lists import entity_of_path, with_location
from creditdesk.console.security import PAGE_HEADERS
from creditdesk.console.sources import source_kind_of
from creditdesk.console.translations import mark
from creditdesk.console.xlsx_export import XLSX_MEDIA_TYPE, stream_xlsx
from creditdesk.schema.entity import BASE_FIELDS, Column, Entity, entity_by_name
from creditdesk.schema.errors import NotFound, PermissionDenied

MAX_REFERENCE_CHOICES: Final = 200
_MAX_FIRST_FIELDS: Final = 14
_CHANGED_MEANWHILE: Final = mark("Somebody has changed this record in the meantime. Compare before you save again.")
_TOO_MANY_ROWS: Final = mark("A file has at most %(most)s rows, and this list has %(total)s. Add a filter.")


def record_name(page: ConsolePage, entity: type[Entity], record: Mapping[str, Any]) -> str:
    """The name of a record in headings: its label, else its kind and number."""
    label = record.get("ToStringText") or ""
    return (
        str(label) if label and not label.startswith("#") else f"{entity_title(entity, page.language)} #{record['Id']}"
    )


async def _show(page: ConsolePage) -> Response:
    entity, record = await _read(page)
    formatter = page.format_at(record.get("BusinessId"))
    meta = entity.meta()
    shown = [c for c in meta.columns.values() if c.visible and not c.field.write_only and c.name != "Id"]
    names = await reference_names(page, shown, [record])
    facts: list[tuple[str, CellText]] = []
    system: list[tuple[str, CellText]] = []
    empty: list[str] = []
    for column in shown:
        value = record.get(column.name)
        if naming_reference(column) in names:
            continue
        if value is None or value in ("", [], False):
            empty.append(column_title(column, page.language))
            continue
        (system if column.name in BASE_FIELDS else facts).append(
            (column_title(column, page.language), cell(formatter, column, record, names.get(column.name)))
        )
    return page.render(
        "record.html",
        entity=entity, record=record, name=record_name(page, entity, record), plural=entity_plural(entity, page.language),
        list_path=list_path(entity), path=fields_path(entity, record["Id"]), facts=facts, system=system,
        empty=empty, own_screen=_own_screen(entity, record["Id"]),
        may_edit=page.may(entity, "update"), may_delete=page.may(entity, "delete"),
        commands=await _commands(page, entity),
        lines=await lines_of_source(page, source_kind_of(entity), record["Id"]),
    )  # fmt: skip


async def _read(page: ConsolePage) -> tuple[type[Entity], dict[str, Any]]:
    entity = entity_of_path(page)
    record = await page.client.get(f"{entity.path()}/{page.request.path_params['id']}")
    return entity, record


def _own_screen(entity: type[Entity], record_id: int) -> str:
    path = record_path(entity, record_id)
    return path if path != fields_path(entity, record_id) else ""


async def _commands(page: ConsolePage, entity: type[Entity]) -> list[tuple[str, str]]:
    """Key and name of the entity's commands that the user may run."""
    if not page.may(entity, "update"):
        return []
    listed = page.context.actions.get(entity.__name__, ())
    return [(action.key, action.name) for action in listed if action.role is None or page.has_role(action.role)]


async def _new(page: ConsolePage) -> Response:
    entity = entity_of_path(page)
    values = dict(page.query)
    return await _form(page, entity, values, None)


async def _create(page: ConsolePage) -> Response:
    entity = entity_of_path(page)
    form = await page.form()
    body = _body(page, entity, form, {}, creating=True)
    try:
        answer = await page.client.post(entity.path(), body, str(form.get("key", "")))
    except ApiError as error:
        return await _form(page, entity, body, None, form, _fields_only(error))
    created = answer["Value"]
    return page.redirect(record_path(entity, created["Id"]), notice=mark("Created"))


async def _edit(page: ConsolePage) -> Response:
    entity, record = await _read(page)
    return await _form(page, entity, record, record)


async def _update(page: ConsolePage) -> Response:
    entity, record = await _read(page)
    form = await page.form()
    if form.get("read") != record["UpdatedOn"] and "again" not in form:
        error = ApiError(HTTPStatus.CONFLICT, page.translate(_CHANGED_MEANWHILE))
        return await _form(page, entity, record, record, form, error, again=True)
    body = _body(page, entity, form, record, creating=False)
    try:
        await page.client.put(f"{entity.path()}/{record['Id']}", body)
    except ApiError as error:
        return await _form(page, entity, record, record, form, _fields_only(error))
    return page.redirect(record_path(entity, record["Id"]), notice=mark("Saved"))


def _fields_only(error: ApiError) -> ApiError:
    """The error, if a form can show it. Raises any other."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
        raise error
    return error


async def _confirm_delete(page: ConsolePage) -> Response:
    entity, record = await _read(page)
    return page.render(
        "record_delete.html",
        record=record, name=record_name(page, entity, record), title=entity_title(entity, page.language),
        path=fields_path(entity, record["Id"]), error=None,
    )  # fmt: skip


async def _delete(page: ConsolePage) -> Response:
    entity, record = await _read(page)
    try:
        await page.client.delete(f"{entity.path()}/{record['Id']}")
    except ApiError as error:
        return page.render(
            "record_delete.html", _fields_only(error).status,
            record=record, name=record_name(page, entity, record), title=entity_title(entity, page.language),
            path=fields_path(entity, record["Id"]), error=error,
        )  # fmt: skip
    return page.redirect(list_path(entity), notice=mark("Deleted"))


def _form_columns(entity: type[Entity], *, creating: bool) -> list[Column]:
    """The columns that a body may set."""
    return [
        column
        for column in entity.meta().writable_columns
        if not (
            column.field.read_only or column.field.internal
            or (column.field.update_only if creating else column.field.create_only)
        )
    ]  # fmt: skip


def _body(
    page: ConsolePage, entity: type[Entity], form: Mapping[str, Any], record: Mapping[str, Any], *, creating: bool
) -> dict[str, Any]:
    """The body of a write: the stored record with the form's values, because a PUT replaces a record."""
    formatter = page.format_at(record.get("BusinessId"))
    body: dict[str, Any] = {}
    for column in _form_columns(entity, creating=creating):
        control = CONTROLS[type(column.field)]
        if f"has.{column.name}" in form:
            value = control.to_api(formatter, str(form.get(column.name, "")))
            if value is not None or not creating:
                body[column.name] = value
        elif column.name in record:
            body[column.name] = record[column.name]
    return body


async def _form(
    page: ConsolePage,
    entity: type[Entity],
    values: Mapping[str, Any],
    record: Mapping[str, Any] | None,
    form: Mapping[str, Any] | None = None,
    error: ApiError | None = None,
    *,
    again: bool = False,
) -> Response:
    if not page.may(entity, "update" if record else "create"):
        raise PermissionDenied(f"The role {entity.roles['update' if record else 'create']} is needed")
    formatter = page.format_at(values.get("BusinessId"))
    fields: list[FormField] = []
    for column in _form_columns(entity, creating=record is None):
        text = None if form is None or f"has.{column.name}" not in form else str(form.get(column.name, ""))
        message = (error.fields.get(column.name) or error.fields.get(column.leaf, "")) if error else ""
        value = values.get(column.name, column.field.default_value if record is None else None)
        fields.append(form_field(formatter, column, value, message, text))
    first = [field for field in fields if field.required or field.text not in ("", "false") or field.error]
    first += [field for field in fields if field not in first][: max(0, _MAX_FIRST_FIELDS - len(first))]
    return page.render(
        "record_form.html",
        error.status if error else HTTPStatus.OK,
        entity=entity, record=record, error=error, again=again,
        first=[field for field in fields if field in first], rest=[field for field in fields if field not in first],
        title=entity_title(entity, page.language), plural=entity_plural(entity, page.language), list_path=list_path(entity),
        path=fields_path(entity, record["Id"]) if record else list_path(entity),
        options=await _reference_options(page, first),
    )  # fmt: skip


async def _reference_options(page: ConsolePage, fields: list[FormField]) -> dict[str, list[tuple[str, str]]]:
    """The records that the first fields may refer to, if they are few and the user may list them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in {field.target for field in fields if field.target}:
        target = entity_by_name(name)
        if not (target.public and page.may(target, "list")):
            continue
        try:
            listed = await page.client.find(target.path(), {"size": MAX_REFERENCE_CHOICES, "orderby": "ToStringText"})
        except ApiError:
            continue
        if listed.total <= MAX_REFERENCE_CHOICES:
            found[name] = [(str(record["Id"]), str(record["ToStringText"])) for record in listed.records]
    return found


async def _export(page: ConsolePage) -> Response:
    """The view as a file; one that is too long is refused, not cut."""
    entity = entity_of_path(page)
    address = ListAddress(entity, tuple(page.query))
    query = with_location(page, address)
    unpaged = [(name, value) for name, value in query if name.lower() not in ("page", "size")]
    listed = await page.client.find(entity.path(), [*unpaged, ("size", "1")])
    if listed.total > MAX_EXPORT_ROWS:
        most, total = page.format.units(MAX_EXPORT_ROWS), page.format.units(listed.total)
        raise ApiError(HTTPStatus.BAD_REQUEST, page.translate(_TOO_MANY_ROWS, most=most, total=total))
    columns, file_type = address.shown_columns, page.request.path_params["type"]
    if file_type == "xlsx":
        rows, media_type = stream_xlsx(page.client, entity, columns, query, page.format), XLSX_MEDIA_TYPE
    elif file_type == "csv":
        rows, media_type = stream_csv(page.client, entity, columns, query), "text/csv; charset=utf-8"
    else:
        raise NotFound
    headers = {**PAGE_HEADERS, "Content-Disposition": f'attachment; filename="{entity.plural}.{file_type}"'}
    return StreamingResponse(rows, media_type=media_type, headers=headers)


_PATH: Final = "/console/records/{area}/{plural}"
RECORD_SCREENS: Final = (
    Screen(f"{_PATH}/export.{{type}}", _export),
    Screen(f"{_PATH}/new", _new),
    Screen(f"{_PATH}/new", _create, ("POST",)),
    Screen(f"{_PATH}/{{id:int}}", _show),
    Screen(f"{_PATH}/{{id:int}}/edit", _edit),
    Screen(f"{_PATH}/{{id:int}}/edit", _update, ("POST",)),
    Screen(f"{_PATH}/{{id:int}}/delete", _confirm_delete),
    Screen(f"{_PATH}/{{id:int}}/delete", _delete, ("POST",)),
)
