"""Every convention of writing on every entity, on both engines."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.schema.conversions import format_datetime, format_decimal
from creditdesk.schema.entity import BASE_FIELDS, COMPUTED_FIELDS, Entity
from creditdesk.schema.fields import (
    Collection,
    DateTime,
    Field,
    Guid,
    Object,
    Reference,
    Scaled,
    Text,
)
from tests.support.entity_cases import creatable, whole_names
from tests.support.http_cases import FAILURE
from tests.support.record_builder import RecordBuilder

ACTION = [
    "Status", "Message", "Value", "OpenInDialog", "OpenInWindow", "RedirectURL", "JavaScript",
    "UpdatedOn", "UpdatedBy", "Errors", "WasSuccessful",
]  # fmt: skip
KEPT_BY_RULES = {("CoworkerExtraService", "Price"), ("CoworkerExtraService", "BookingId")}
every_plain = pytest.mark.parametrize("entity", creatable, ids=lambda e: e.__name__)


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
