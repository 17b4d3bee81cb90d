"""The list of any entity, from its declaration: filters, order, pages and columns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError, RecordPage
from creditdesk.console.bulk_rows import ACTS, BulkAct
from creditdesk.console.code_texts import code_texts
from creditdesk.console.displays import CellText, cell, is_numeric
from creditdesk.console.journal_table import CREDIT_ENTITIES
from creditdesk.console.labels import choices_of, column_title, entity_plural, entity_summary
from creditdesk.console.links import list_path
from creditdesk.console.list_query import (
    COLUMNS_PARAM,
    OPERATORS,
    VIEW_PARAM,
    FilterChip,
    ListAddress,
    filter_columns,
    filter_pair,
    is_instant,
    parameter_name,
)
from creditdesk.console.numbers import record_number
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.reference_names import ReferenceNames, reference_names
from creditdesk.console.saved_views import read_views
from creditdesk.console.translations import mark
from creditdesk.entities.roles import CORRECT_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.conversions import ParseError, format_datetime, parse_datetime
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.errors import NotFound
from creditdesk.schema.fields import Boolean, Enum, Reference

PAGE_SIZES: Final = (25, 50, 100, 250)


@dataclass(frozen=True, slots=True)
class ColumnHeading:
    """A column of a table: its title, and the query string that sorts by it."""

    column: Column
    title: str
    numeric: bool
    sorted: str
    sort_query: str


def entity_of_path(page: ConsolePage) -> type[Entity]:
    """The entity that the address names. Raises NotFound."""
    area, plural = page.request.path_params["area"], page.request.path_params["plural"]
    for entity in page.context.entities:
        if (entity.area, entity.plural) == (area, plural):
            return entity
    raise NotFound


async def _catalog(page: ConsolePage) -> Response:
    """Every entity that the user may list."""
    areas: dict[str, list[tuple[str, str, str]]] = {}
    for entity in page.context.entities:
        if page.may(entity, "list"):
            title, summary = entity_plural(entity, page.language), entity_summary(entity, page.language)
            areas.setdefault(entity.area, []).append((title, list_path(entity), summary))
    groups = [(area, sorted(entries)) for area, entries in sorted(areas.items())]
    return page.render("catalog.html", groups=groups)


async def _list(page: ConsolePage) -> Response:
    entity = entity_of_path(page)
    address = ListAddress(entity, tuple(page.query))
    (listed, error), views = await asyncio.gather(_find(page, address), read_views(page, entity))
    view = next((each for each in views if str(each.id) == address.value(VIEW_PARAM)), None)
    columns = address.shown_columns
    names = await reference_names(page, columns, listed.records)
    return page.render(
        "record_list.html",
        400 if error else 200,
        entity=entity,
        title=entity_plural(entity, page.language),
        path=list_path(entity),
        address=address,
        listed=listed,
        error=error,
        headings=[_heading(page, address, listed, column) for column in columns],
        rows=[_row(page, columns, record, names) for record in listed.records],
        chips=[
            (column_title(chip.column, page.language), chip, await _chip_value(page, chip)) for chip in address.chips()
        ],
        filter_choices=_titled(page, filter_columns(entity)),
        column_choices=[(c, column_title(c, page.language), c in columns) for c in entity.meta().list_columns],
        operators=OPERATORS,
        page_sizes=PAGE_SIZES,
        may_create=page.may(entity, "create"),
        jump_column=_jump_column(entity, listed),
        bulk_acts=_bulk_acts(page, entity),
        bulk_kind=next((kind for kind, credit in CREDIT_ENTITIES.items() if credit is entity), "money"),
        row_ids=[record["Id"] for record in listed.records],
        views=views,
        view=view,
        view_differs=view is not None and view.differs_from(address),
    )


async def _find(page: ConsolePage, address: ListAddress) -> tuple[RecordPage, ApiError | None]:
    """The page of the list, or the error of its address."""
    try:
        return await page.client.find(address.entity.path(), with_location(page, address)), None
    except ApiError as error:
        if error.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise
        return RecordPage([], 0), error


def _titled(page: ConsolePage, columns: list[Column]) -> list[tuple[str, str]]:
    """The names and titles of columns, by title."""
    return sorted(((c.name, column_title(c, page.language)) for c in columns), key=lambda each: each[1].casefold())


def _bulk_acts(page: ConsolePage, entity: type[Entity]) -> list[BulkAct]:
    """The bulk changes that the list's records can be chosen for."""
    if not page.has_role(CORRECT_ROLE):
        return []
    if entity is Coworker:
        return [ACTS["grant"]]
    return [act for act in ACTS.values() if act.name != "grant"] if entity in CREDIT_ENTITIES.values() else []


def with_location(page: ConsolePage, address: ListAddress) -> list[tuple[str, str]]:
    """The API's parameters, limited to the chosen location unless the address names one."""
    pairs, entity = address.api_pairs, address.entity
    if page.location is None or entity.scope is None:
        return pairs
    meta = entity.meta()
    column = meta.columns.get(entity.scope) or meta.filter_only[entity.scope]
    names = {each.name.lower() for each in meta.filters.values() if each.column.name == column.name}
    if names & {name.lower() for name, _ in pairs}:
        return pairs
    return [*pairs, (parameter_name(entity, column, "equals"), str(page.location.id))]


def _heading(page: ConsolePage, address: ListAddress, listed: RecordPage, column: Column) -> ColumnHeading:
    is_sorted = column.name == listed.order
    descending = is_sorted and address.value("dir").lower() in ("descending", "-1")
    following = "ascending" if descending or not is_sorted else "descending"
    order = ("descending" if descending else "ascending") if is_sorted else "none"
    query = address.with_values(orderby=column.name, dir=following)
    return ColumnHeading(column, column_title(column, page.language), is_numeric(column), order, query)


def _row(
    page: ConsolePage, columns: tuple[Column, ...], record: Mapping[str, Any], names: ReferenceNames
) -> list[tuple[bool, CellText]]:
    """The cells of a record, each with whether it is a quantity."""
    formatter = page.format_at(record.get("BusinessId"))
    return [(is_numeric(column), cell(formatter, column, record, names.get(column.name))) for column in columns]


async def _chip_value(page: ConsolePage, chip: FilterChip) -> str:
    """The value of a filter; a reference is shown by name if the user may read it."""
    field = chip.column.field
    if not (isinstance(field, Reference) and field.is_local and record_number(chip.value) is not None):
        return dict(_value_choices(page, chip.column)).get(chip.value.lower(), chip.value)
    target = next((each for each in page.context.entities if each.__name__ == field.to), None)
    if target is None:
        return chip.value
    try:
        record = await page.client.get(f"{target.path()}/{chip.value}")
    except ApiError:
        return f"#{chip.value}"
    return str(record["ToStringText"] or f"#{chip.value}")


def _jump_column(entity: type[Entity], listed: RecordPage) -> Column | None:
    """The column by which the list is sorted, where a date can be looked up in it."""
    column = entity.meta().columns.get(listed.order)
    return column if column is not None and is_instant(column) and column.is_own else None


async def _add_filter(page: ConsolePage) -> Response:
    """Turns the filter form into the list's address."""
    entity = entity_of_path(page)
    own = {"field", "operator", "value"}
    pairs = [(name, value) for name, value in page.query if name not in own]
    chosen = page.request.query_params
    columns = {column.name: column for column in filter_columns(entity)}
    column = columns.get(chosen.get("field", ""))
    if column is None:
        raise NotFound
    address = ListAddress(entity, tuple(pairs))
    try:
        name, value = filter_pair(entity, column, chosen.get("operator", ""), chosen.get("value", "").strip())
    except KeyError:
        # Not every column has ranges; equality is the nearest comparison.
        name, value = filter_pair(entity, column, "is", chosen.get("value", "").strip())
    return _to_list(page, entity, address.with_values(**{name: value}))


async def _filter_value(page: ConsolePage) -> Response:
    """The field for the value of a filter, as it suits the column."""
    entity = entity_of_path(page)
    column = next((c for c in filter_columns(entity) if c.name == page.request.query_params.get("field")), None)
    if column is None:
        raise NotFound
    return page.render("filter_value.html", choices=_value_choices(page, column), is_date=is_instant(column))


def _value_choices(page: ConsolePage, column: Column) -> list[tuple[str, str]]:
    """The values of a column that has few, each with its title; empty for any other column."""
    if isinstance(column.field, Enum):
        return [*choices_of(column.field, page.language)]
    if isinstance(column.field, Boolean):
        return [("true", page.translate(mark("Yes"))), ("false", page.translate(mark("No")))]
    return [(code, page.translate(text)) for code, text in code_texts(column).items() if text]


async def _choose_columns(page: ConsolePage) -> Response:
    """Turns the column form into the list's address."""
    entity = entity_of_path(page)
    chosen = [value for name, value in page.query if name == "column"]
    address = ListAddress(entity, tuple(pair for pair in page.query if pair[0] != "column"))
    return _to_list(page, entity, address.with_values(**{COLUMNS_PARAM: ",".join(chosen)}))


async def _jump(page: ConsolePage) -> Response:
    """Shows the page on which a date begins, by counting the records before it."""
    entity = entity_of_path(page)
    address = ListAddress(entity, tuple(pair for pair in page.query if pair[0] not in ("date", "column")))
    column = entity.meta().columns.get(page.request.query_params.get("column", ""))
    if column is None or not is_instant(column):
        raise NotFound
    descending = address.value("dir").lower() in ("descending", "-1")
    try:
        day = parse_datetime(page.request.query_params.get("date", ""))[0].date()
        edge = datetime.combine(day + timedelta(days=1) if descending else day, time(), page.format.zone)
        bound = (edge if descending else edge - timedelta(microseconds=1)).astimezone(UTC)
    except (ParseError, OverflowError):
        # No date, or one at the end of the calendar.
        return _to_list(page, entity, address.with_values())
    variant = "from" if descending else "to"
    name = parameter_name(entity, column, variant)
    pairs = [
        (key, value) for key, value in with_location(page, address) if key.lower() not in (name.lower(), "page", "size")
    ]
    before = await page.client.find(entity.path(), [*pairs, (name, format_datetime(bound)), ("size", "1")])
    size = record_number(address.value("size")) or PAGE_SIZES[0]
    return _to_list(page, entity, address.with_values(page=before.total // size + 1))


def _to_list(page: ConsolePage, entity: type[Entity], query: str) -> Response:
    return page.redirect(f"{list_path(entity)}?{query}" if query else list_path(entity))


_PATH: Final = "/console/records/{area}/{plural}"
LIST_SCREENS: Final = (
    Screen("/console/records", _catalog),
    Screen(_PATH, _list),
    Screen(f"{_PATH}/filter", _add_filter),
    Screen(f"{_PATH}/filter-value", _filter_value),
    Screen(f"{_PATH}/columns", _choose_columns),
    Screen(f"{_PATH}/jump", _jump),
)
