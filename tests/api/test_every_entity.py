"""Every convention of reading on every entity, on both engines."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.schema.entity import BASE_FIELDS, Column, Entity, FilterParameter
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Enum,
    Guid,
    Object,
    Text,
)
from tests.support.entity_cases import whole_names
from tests.support.http_cases import FAILURE
from tests.support.own_requests import OWN_REQUESTS
from tests.support.record_builder import RecordBuilder

ENVELOPE = [
    "Records", "CurrentPageSize", "CurrentPage", "CurrentOrderField", "CurrentSortDirection",
    "FirstItem", "HasNextPage", "HasPreviousPage", "LastItem", "PageNumber", "PageSize",
    "TotalItems", "TotalPages",
]  # fmt: skip
every = pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda e: e.__name__)


def listed_names(entity: type[Entity]) -> list[str]:
    return [c.name for c in entity.meta().columns.values() if c.in_lists]


def expected_title(entity: type[Entity], record: dict[str, Any]) -> str:
    first, *others = re.findall(r"{(\w+)}", entity.title)
    if any(record[name] in (None, "") for name in others):
        return record[first] or ""
    return entity.title.format(**{**record, first: record[first] or ""})


@every
async def test_a_list_has_thirteen_keys_and_records_in_declared_order(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    made = await builder.create(entity)
    response = await client.get(entity.path(), params={"Id": made})
    assert response.status_code == 200, response.text
    body = response.json()
    assert list(body) == ENVELOPE
    [record] = body["Records"]
    assert list(record) == listed_names(entity)
    assert list(record)[-10:] == list(BASE_FIELDS)
    assert record["Id"] == made
    assert record["IsNew"] is False
    assert record["LocalizationDetails"] is None
    assert record["CreatedOn"] == "2026-03-10T12:00:00Z"
    assert record["ToStringText"] == expected_title(entity, record)
    assert [body[k] for k in ENVELOPE[1:]] == [
        25,
        1,
        entity.order,
        1,
        1,
        False,
        False,
        1,
        1,
        25,
        1,
        1,
    ]


@every
async def test_record_is_complete_with_collections_and_delta_fields(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    made = await builder.create(entity)
    response = await client.get(f"{entity.path()}/{made}")
    assert response.status_code == 200, response.text
    record = response.json()
    assert list(record) == whole_names(entity)
    for column in entity.meta().collection_columns:
        assert isinstance(record[column.name], list)
        if isinstance(column.field, Collection) and column.field.delta_fields:
            assert record[f"Added{column.name}"] is None
            assert record[f"Removed{column.name}"] is None
    for column in entity.meta().columns.values():
        if column.field.write_only:
            assert record[column.name] is None


@every
async def test_paths_match_without_case_and_with_a_slash(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    made = await builder.create(entity)
    shouted = entity.path().upper().replace("/API/", "/Api/")
    assert (await client.get(f"{shouted}/", params={"size": 1})).status_code == 200
    assert (await client.get(f"{shouted}/{made}/")).json()["Id"] == made
    assert (await client.get(f"{shouted}/Commands")).status_code == 200


@every
async def test_batch_is_an_array_in_the_requested_order(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    one, two = await builder.create(entity), await builder.create(entity)
    response = await client.get(f"{entity.path()}/?id=[{two},999999999,{one}]")
    assert response.status_code == 200, response.text
    assert [record["Id"] for record in response.json()] == [two, one]
    assert list(response.json()[0]) == whole_names(entity)


@every
async def test_a_missing_record_is_not_found(client: httpx.AsyncClient, entity: type[Entity]) -> None:
    for path in ("999999999", "0", "-1", "word", "99999999999999999999"):
        response = await client.get(f"{entity.path()}/{path}")
        assert (response.status_code, response.text) == (404, '"Not found"')


@every
async def test_unsupported_verb_is_405(client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]) -> None:
    made = await builder.create(entity)
    for verb, method, path in (
        ("create", "POST", ""), ("update", "PUT", ""), ("update", "PUT", f"/{made}"),
        ("delete", "DELETE", f"/{made}"),
    ):  # fmt: skip
        if verb not in entity.verbs and (method, entity.path() + path) not in OWN_REQUESTS:
            response = await client.request(method, entity.path() + path, json={})
            assert response.status_code == 405
            assert list(response.json()) == FAILURE
            assert method not in response.headers["Allow"]
    assert (await client.patch(entity.path(), json={})).status_code == 405


@every
async def test_every_filter_finds_its_record_by_value_and_by_presence(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    made = await builder.create(entity)
    record = (await client.get(f"{entity.path()}/{made}")).json()
    known = [f for f in entity.meta().filters.values() if f.name != "Id"]
    full = [f for f in known if has_value(record, f.column)]
    blank = [f for f in known if f.column.visible and not has_value(record, f.column)]
    for found in split_into_chunks([f for f in full if f.variant != "ids"]):
        params = {f.name: filter_value(f.column, record) for f in found}
        assert await total(client, entity, made, params) == 1, params
        present = {f.name: "notnull" for f in found}
        assert await total(client, entity, made, present) == 1, present
        absent = {found[0].name: "null"}
        assert await total(client, entity, made, absent) == 0, absent
    for found in split_into_chunks(blank):
        params = {f.name: filter_value(f.column, {}) for f in found}
        await total(client, entity, made, params)
        absent = {f.name: "null" for f in found if record.get(f.column.name) in (None, [])}
        assert await total(client, entity, made, absent) == 1, absent
    ids = {f"{entity.__name__}_Id": f"[{made},999999999]"}
    assert await total(client, entity, made, ids) == 1


async def total(client: httpx.AsyncClient, entity: type[Entity], made: int, params: dict[str, str]) -> int:
    response = await client.get(entity.path(), params=params | {"Id": made})
    assert response.status_code == 200, (params, response.text)
    return int(response.json()["TotalItems"])


def split_into_chunks(found: list[FilterParameter]) -> list[list[FilterParameter]]:
    return [found[at : at + 40] for at in range(0, len(found), 40)]


def has_value(record: dict[str, Any], column: Column) -> bool:
    if not column.visible or column.field.write_only:
        return False
    value = record.get(column.name)
    return value not in (None, "", [])


def filter_value(column: Column, record: dict[str, Any]) -> str:
    """A value for a filter: the record's own, or some value of its type."""
    if has_value(record, column):
        value = record[column.name]
        return str(value).lower() if isinstance(value, bool) else str(first(value))
    match column.field:
        case Boolean():
            return "true"
        case Enum(of=members):
            return str(int(next(iter(members))))
        case DateTime():
            return "2026-03-10T12:00"
        case Guid():
            return "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
        case Text():
            return "something"
    return "1"


def first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


@every
async def test_an_unparsable_value_names_its_parameter(client: httpx.AsyncClient, entity: type[Entity]) -> None:
    for found in entity.meta().filters.values():
        kind = found.column.field
        if isinstance(kind, Text | Guid | Object):
            continue
        response = await client.get(entity.path(), params={found.name: "no such thing"})
        assert response.status_code == 400, found.name
        body = response.json()
        assert list(body) == FAILURE
        [error] = body["Errors"]
        assert list(error) == ["AttemptedValue", "Message", "PropertyName"]
        assert error["PropertyName"] == found.name
        assert error["AttemptedValue"] == "no such thing"
        assert body["Message"] == f"{found.name}: {error['Message']}"
        break


@every
async def test_fields_sort_and_ties_break_by_id_across_pages(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    made = [await builder.create(entity) for _ in range(3)]
    ids: dict[str, str | int] = {f"{entity.__name__}_Id": f"[{','.join(map(str, made))}]"}
    for at, column in enumerate(full_body(entity)):
        direction = 1 if at % 2 else -1
        params = ids | {"orderBy": column.name.lower(), "dir": direction, "size": 2}
        pages = [(await client.get(entity.path(), params=params | {"page": n})) for n in (1, 2)]
        records = [record for page in pages for record in page.json()["Records"]]
        assert sorted(r["Id"] for r in records) == made, column.name
        assert pages[0].json()["CurrentOrderField"] == column.name
        assert pages[0].json()["CurrentSortDirection"] == direction
        if len({str(r[column.name]) for r in records}) == 1:
            assert [r["Id"] for r in records] == made[::direction], column.name


def full_body(entity: type[Entity]) -> list[Column]:
    """One column of each type, own and embedded: how a column is sorted depends on both."""
    kinds = {(type(c.field), len(c.path), c.as_text): c for c in entity.meta().list_columns}
    return list({c.name: c for c in [*kinds.values(), *list(entity.meta().list_columns)[-10:]]}.values())
