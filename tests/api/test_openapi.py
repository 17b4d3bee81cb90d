"""The OpenAPI document is valid and complete, and its page is served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import httpx
import jsonschema_rs
import pytest
import schemathesis

from creditdesk.api.openapi import openapi_document
from creditdesk.app import build_context
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.support.own_requests import OWN_REQUESTS


@pytest.fixture(scope="session")
def openapi_json() -> dict[str, Any]:
    parts = build_context(Mock(Store), Settings())
    return openapi_document(parts.entities, parts.extra_routes)


def refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def test_every_ref_resolves(openapi_json: dict[str, Any]) -> None:
    for ref in set(refs(openapi_json)):
        at = openapi_json
        for word in ref.removeprefix("#/").split("/"):
            at = at[word]


def test_operation_ids_are_unique(openapi_json: dict[str, Any]) -> None:
    ids = [
        operation["operationId"]
        for item in openapi_json["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda e: e.__name__)
def test_every_verb_and_every_filter_is_documented(openapi_json: dict[str, Any], entity: type[Entity]) -> None:
    paths = openapi_json["paths"]
    on_collection, on_record = paths[entity.path()], paths[entity.path() + "/{id}"]
    is_posted = "create" in entity.verbs or ("POST", entity.path()) in OWN_REQUESTS
    assert ("post" in on_collection) == is_posted
    assert ("put" in on_collection) == ("put" in on_record) == ("update" in entity.verbs)
    assert ("delete" in on_record) == ("delete" in entity.verbs)
    named = {ref["$ref"].rsplit("/", 1)[1] for ref in on_collection["get"]["parameters"]}
    assert {"page", "size", "orderBy", "dir"} <= named
    assert {found.name for found in entity.meta().filters.values()} <= named


LEDGER_BODIES = {
    "previews": {"CoworkerId", "BusinessId", "Sources"},
    "spends": {"CoworkerId", "BusinessId", "Sources"},
    "holds": {"CoworkerId", "BusinessId", "Sources", "Until"},
    "holds/{id}/confirm": set(),
    "holds/{id}/release": set(),
    "reversals": {"Kind", "Ids", "Amount", "Reason"},
    "adjustments": {"Kind", "Id", "Amount", "Reason", "EffectiveOn"},
    "renewals": {"DryRun", "Since"},
}


def body_of(openapi_json: dict[str, Any], path: str) -> dict[str, Any]:
    operation = openapi_json["paths"][f"/api/ledger/{path}"]["post"]
    schema: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    return schema


@pytest.mark.parametrize("path", LEDGER_BODIES)
def test_the_bodies_of_the_ledger_are_described(openapi_json: dict[str, Any], path: str) -> None:
    assert set(body_of(openapi_json, path)["properties"]) == LEDGER_BODIES[path]


def test_source_kinds_are_documented(openapi_json: dict[str, Any]) -> None:
    source = body_of(openapi_json, "spends")["properties"]["Sources"]["items"]
    assert source["required"] == ["Kind", "Id"]
    assert "booking" in source["properties"]["Kind"]["enum"]
    assert set(source["properties"]) == {"Kind", "Id", "Amount", "FromTime", "ToTime", "Units"}


@pytest.mark.parametrize("path", [path for path in LEDGER_BODIES if "{" not in path])
async def test_required_ledger_params_are_enforced(
    openapi_json: dict[str, Any], client: httpx.AsyncClient, path: str
) -> None:
    needed = body_of(openapi_json, path).get("required", [])
    response = await client.post(f"/api/ledger/{path}", json={})
    if not needed:
        assert response.status_code == 200
        return
    assert response.status_code == 400
    assert {error["PropertyName"] for error in response.json()["Errors"]} <= set(needed)


def test_document_passes_strict_validator(openapi_json: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(openapi_json)
    schema.validate()
    assert len(list(schema.get_all_operations())) > 200


async def test_the_document_and_the_page_are_served(client: httpx.AsyncClient) -> None:
    served = await client.get("/openapi.json")
    assert served.status_code == 200
    assert served.json()["openapi"] == "3.1.0"
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_docs_page_loads_only_files_that_are_served(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    files = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
    assert len(files) == 4
    for file in files:
        asset = await client.get(f"/{file}")
        assert asset.status_code == 200
        assert asset.headers["content-type"] == types[file.rpartition(".")[2]]


async def test_docs_page_has_no_inline_script_or_style(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy


def test_document_offers_bearer_and_basic(openapi_json: dict[str, Any]) -> None:
    schemes = openapi_json["components"]["securitySchemes"]
    assert {name: each["scheme"] for name, each in schemes.items()} == {
        "bearer": "bearer", "basic": "basic",
    }  # fmt: skip


async def test_docs_page_signs_in_with_a_password(client: httpx.AsyncClient, openapi_json: dict[str, Any]) -> None:
    """The page adds the OAuth password flow itself, as its token address must be absolute."""
    script = (await client.get("/docs/docs.js")).text
    [path] = re.findall(r'tokenUrl: new URL\("([^"]+)"', script)
    assert f"/{path}" in openapi_json["paths"]


@pytest.mark.parametrize("path", ["previews", "spends", "holds", "reversals", "adjustments"])
def test_ledger_examples_match_their_schema(openapi_json: dict[str, Any], path: str) -> None:
    body = openapi_json["paths"][f"/api/ledger/{path}"]["post"]["requestBody"]
    content = body["content"]["application/json"]
    jsonschema_rs.validate(content["schema"], content["example"])


async def test_health_and_readiness(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"Status": "ok"}
    assert (await client.get("/ready")).json() == {"Status": "ready"}


def with_components(openapi_json: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"components": openapi_json["components"]}


def test_every_body_has_one_media_type_and_an_example_that_matches_it(
    openapi_json: dict[str, Any],
) -> None:
    """Generators write code that cannot be imported for a body with two media types."""
    for path, methods in openapi_json["paths"].items():
        for method in methods.keys() - {"parameters"}:
            body = methods[method].get("requestBody")
            if body is None:
                continue
            [(media_type, content)] = body["content"].items()
            expected = {
                "/api/token": "application/x-www-form-urlencoded",
                "/api/token/revoke": "application/x-www-form-urlencoded",
                "/api/admin/imports/files": "application/octet-stream",
            }.get(path, "application/json")
            assert media_type == expected, path
            example, schema = content["example"], content["schema"]
            jsonschema_rs.validate(with_components(openapi_json, schema), example)


def test_every_operation_has_an_example_and_those_of_answers_match(openapi_json: dict[str, Any]) -> None:
    shared = openapi_json["components"]["examples"]
    for path, methods in openapi_json["paths"].items():
        for method in methods.keys() - {"parameters"}:
            operation = methods[method]
            has_example = "requestBody" in operation or any("example" in p for p in operation.get("parameters", ()))
            for content in operation["responses"]["200"].get("content", {}).values():
                examples = [shared[e["$ref"].rsplit("/", 1)[1]]["value"] for e in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                has_example |= bool(examples)
                for example in examples:
                    jsonschema_rs.validate(with_components(openapi_json, content["schema"]), example)
            assert has_example, (method, path)


async def test_commands_are_described_as_they_are_listed(
    openapi_json: dict[str, Any], client: httpx.AsyncClient
) -> None:
    path = "/api/spaces/bookings/commands"
    schema = openapi_json["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    listed = (await client.get(path)).json()
    assert listed
    jsonschema_rs.validate(schema, listed)


@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda entity: entity.__name__)
def test_a_list_has_one_schema_and_a_batch_its_own_operation(
    openapi_json: dict[str, Any], entity: type[Entity]
) -> None:
    def shown(path: str) -> Any:
        response = openapi_json["paths"][path]["get"]["responses"]["200"]
        return response["content"]["application/json"]["schema"]

    record = f"#/components/schemas/{entity.__name__}"
    assert shown(entity.path()) == {"$ref": f"{record}List"}
    batch = {"type": "array", "items": {"$ref": record}}
    assert shown(entity.path() + "/") == {"anyOf": [batch, {"$ref": f"{record}List"}]}


@pytest.mark.parametrize(
    "entity",
    [entity for entity in PUBLIC_ENTITIES if "update" in entity.verbs],
    ids=lambda entity: entity.__name__,
)
async def test_the_id_and_the_key_that_a_write_needs_are_required(
    openapi_json: dict[str, Any], client: httpx.AsyncClient, entity: type[Entity]
) -> None:
    schemas, path = openapi_json["components"]["schemas"], entity.path()
    assert "Id" in schemas[f"{entity.__name__}Update"]["required"]
    assert "Id" not in schemas[f"{entity.__name__}UpdateById"].get("required", ())
    refused = await client.put(path, json={})
    assert refused.status_code == 400
    assert [e["PropertyName"] for e in refused.json()["Errors"]] == ["Id"]
    run = openapi_json["paths"][f"{path}/runcommand"]["post"]["requestBody"]
    assert run["content"]["application/json"]["schema"]["required"] == ["Key"]


def test_integers_and_amounts_have_bounds(openapi_json: dict[str, Any]) -> None:
    schemas = openapi_json["components"]["schemas"]
    for name, schema in schemas.items():
        if not name.endswith(("Create", "Update", "UpdateById")):
            continue
        for field, described in schema["properties"].items():
            kinds = described["type"] if isinstance(described["type"], list) else [described["type"]]
            if {"integer", "number"} & set(kinds) and "enum" not in described:
                assert {"minimum", "maximum"} <= described.keys(), (name, field)
