"""Every convention of the API on every entity, on both engines."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.schema.conversions import format_datetime, format_decimal
from creditdesk.schema.entity import BASE_FIELDS, COMPUTED_FIELDS, Column, Entity, FilterParameter
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Enum,
    Field,
    Guid,
    Object,
    Reference,
    Scaled,
    Text,
)
from tests.support.own_requests import OWN_REQUESTS
from tests.support.record_builder import RecordBuilder, entities_with_verb

ENVELOPE = [
    "Records", "CurrentPageSize", "CurrentPage", "CurrentOrderField", "CurrentSortDirection",
    "FirstItem", "HasNextPage", "HasPreviousPage", "LastItem", "PageNumber", "PageSize",
    "TotalItems", "TotalPages",
]  # fmt: skip
ACTION = [
    "Status", "Message", "Value", "OpenInDialog", "OpenInWindow", "RedirectURL", "JavaScript",
    "UpdatedOn", "UpdatedBy", "Errors", "WasSuccessful",
]  # fmt: skip
FAILURE = ["Message", "Value", "Errors", "WasSuccessful"]
USES = {"CoworkerBookingCreditUseHistory", "CoworkerExtraServiceUseHistory"}
KEPT_BY_RULES = {("CoworkerExtraService", "Price"), ("CoworkerExtraService", "BookingId")}
every = pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda e: e.__name__)
creatable = [e for e in entities_with_verb(PUBLIC_ENTITIES, "create") if e.__name__ not in USES]
every_plain = pytest.mark.parametrize("entity", creatable, ids=lambda e: e.__name__)


def whole_names(entity: type[Entity]) -> list[str]:
    """The keys of a full record, in order."""
    names = []
    for column in entity.meta().columns.values():
        if column.visible:
            names.append(column.name)
            if isinstance(column.field, Collection) and column.field.delta_fields:
                names += [f"Added{column.name}", f"Removed{column.name}"]
    return names


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


@every_plain
async def test_a_full_body_comes_back_as_it_was_sent(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    body = await builder.request_body(entity)
    response = await client.post(entity.path(), json=body)
    assert response.status_code == 200, response.text
    made = response.json()
    assert list(made) == ACTION
    assert (made["Status"], made["WasSuccessful"], made["Errors"]) == (200, True, None)
    assert made["Message"] == f"{entity.__name__} was successfully created."
    assert made["UpdatedBy"] == made["Value"]["UpdatedBy"] == "admin@example.com"
    assert list(made["Value"]) == whole_names(entity)
    for name, sent in body.items():
        kind = entity.meta().columns[name].field
        if not kind.write_only:
            assert made["Value"][name] == sent, name
    got = await client.get(f"{entity.path()}/{made['Value']['Id']}")
    assert got.json() == made["Value"]


@every_plain
async def test_required_fields_are_all_reported_in_field_order(client: httpx.AsyncClient, entity: type[Entity]) -> None:
    response = await client.post(entity.path(), json={"Id": None})
    wanted = [
        name for name, kind in entity.fields.items() if kind.required and not kind.read_only and not kind.update_only
    ]
    if not wanted:
        return
    assert response.status_code == 400
    body = response.json()
    assert list(body) == FAILURE
    assert body["Errors"] == [
        {"AttemptedValue": None, "Message": "is a required field", "PropertyName": name} for name in wanted
    ]
    assert body["Message"] == "; ".join(f"{name}: is a required field" for name in wanted)
    assert (body["Value"], body["WasSuccessful"]) == (None, False)


@every_plain
async def test_unknown_references_are_reported_under_the_relation(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    body = await builder.request_body(entity, only_required=True)
    wanted = []
    for name, kind in entity.fields.items():
        if kind.read_only or kind.update_only or name in COMPUTED_FIELDS:
            continue
        if isinstance(kind, Reference) and kind.is_local:
            body[f"{name}Id"] = 999_999_999
            wanted.append(name)
        elif isinstance(kind, Collection) and kind.is_local:
            body[name] = [999_999_999]
            wanted.append(name)
    response = await client.post(entity.path(), json=body)
    if wanted:
        assert response.status_code == 400, response.text
        errors = response.json()["Errors"]
        assert [e["PropertyName"] for e in errors] == wanted
        assert {e["Message"] for e in errors} == {"is not found"}


@every_plain
async def test_values_may_come_as_text_and_in_a_form(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    body = await builder.request_body(entity, only_required=True)
    for name, value in body.items():
        if isinstance(value, bool):
            body[name] = str(value).lower()
    response = await client.post(entity.path(), data=body)
    assert response.status_code == 200, response.text


@every_plain
async def test_wrong_types_are_all_reported(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    body, wanted = {}, []
    for name, column in entity.meta().columns.items():
        kind = column.field
        if not column.is_own or kind.read_only or kind.update_only or name in COMPUTED_FIELDS:
            continue
        if isinstance(kind, Collection | Text | Guid):
            continue
        body[name] = "neither" if not isinstance(kind, Object) else [1]
        wanted.append(column.leaf if isinstance(kind, Reference) else name)
    response = await client.post(entity.path(), json=body)
    assert response.status_code == 400
    reported = [e["PropertyName"] for e in response.json()["Errors"]]
    assert [name for name in reported if name in wanted] == wanted


@pytest.mark.parametrize(
    "entity",
    [e for e in creatable if "update" in e.verbs and e.__name__ != "User"],
    ids=lambda e: e.__name__,
)
async def test_put_clears_what_is_left_out_and_keeps_collections(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    full = (await client.post(entity.path(), json=await builder.request_body(entity))).json()["Value"]
    required = {
        c.name: full[c.name]
        for c in entity.meta().columns.values()
        if (c.field.required and c.is_own and not isinstance(c.field, Collection))
        or (entity.__name__, c.name) == ("CoworkerExtraService", "BookingId")
    }
    response = await client.put(entity.path(), json=required | {"Id": full["Id"], "UniqueId": "x"})
    assert response.status_code == 200, response.text
    made = response.json()
    assert made["Message"] == f"{entity.__name__} was successfully updated."
    after = made["Value"]
    assert (after["UniqueId"], after["CreatedOn"]) == (full["UniqueId"], full["CreatedOn"])
    for column in entity.meta().columns.values():
        kind = column.field
        if not column.is_own or column.name in BASE_FIELDS or kind.read_only or kind.write_only:
            continue
        if isinstance(kind, Collection) or kind.required or kind.create_only or kind.immutable:
            assert after[column.name] == full[column.name], column.name
        elif (entity.__name__, column.name) not in KEPT_BY_RULES:
            assert after[column.name] == empty_value(kind), column.name
    assert after["SystemId"] is None
    assert after["CustomFields"] is None


def empty_value(kind: Field) -> Any:
    empty = kind.default_value
    if isinstance(kind, Scaled) and empty is not None:
        return float(format_decimal(empty, kind.places))
    return format_datetime(empty) if isinstance(kind, DateTime) and empty else empty


@pytest.mark.parametrize(
    "entity",
    [e for e in creatable if "update" in e.verbs],
    ids=lambda e: e.__name__,
)
async def test_collections_change_in_place(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    for column in entity.meta().collection_columns:
        kind = column.field
        if not isinstance(kind, Collection) or not kind.is_local or not kind.delta_fields:
            continue
        if kind.read_only or kind.create_only:
            continue
        full = (await client.post(entity.path(), json=await builder.request_body(entity))).json()["Value"]
        [there] = full[column.name]
        [target] = [e for e in PUBLIC_ENTITIES if e.__name__ == kind.of]
        fresh = await builder.create(target)
        sent = {k: v for k, v in full.items() if not isinstance(v, list)}
        sent |= {f"Added{column.name}": [fresh], f"Removed{column.name}": [there]}
        response = await client.put(f"{entity.path()}/{full['Id']}", json=sent)
        assert response.status_code == 200, response.text
        assert response.json()["Value"][column.name] == [fresh]


@pytest.mark.parametrize("entity", [e for e in creatable if "delete" in e.verbs], ids=lambda e: e.__name__)
async def test_delete_answers_the_id_and_the_record_is_gone(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    body = await builder.request_body(entity, only_required=True)
    made = (await client.post(entity.path(), json=body)).json()["Value"]["Id"]
    response = await client.delete(f"{entity.path()}/{made}")
    assert response.status_code == 200, response.text
    if response.json()["WasSuccessful"]:
        assert response.json()["Value"] == made
        assert response.json()["Message"] == f"{entity.__name__} was successfully deleted."
        assert (await client.get(f"{entity.path()}/{made}")).status_code == 404
    assert (await client.delete(f"{entity.path()}/999999999")).status_code == 404


@every_plain
async def test_the_same_key_replays_byte_for_byte(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    body = await builder.request_body(entity, only_required=True)
    headers = {"Idempotency-Key": f"{entity.__name__}-key"}
    rejected = await client.post(entity.path(), json={}, headers=headers)
    first_response = await client.post(entity.path(), json=body, headers=headers)
    again = await client.post(entity.path(), json=body, headers=headers)
    other = await client.post(entity.path(), json=body | {"SystemId": "other"}, headers=headers)
    assert first_response.status_code == 200, (rejected.text, first_response.text)
    assert again.content == first_response.content
    assert other.status_code == 422
