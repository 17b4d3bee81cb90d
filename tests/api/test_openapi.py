"""The OpenAPI document says what is there: it resolves, it is complete, and the page reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis

from creditdesk.api.openapi import openapi_document
from creditdesk.app import build_context
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.settings import Settings


@pytest.fixture(scope="session")
def openapi_json() -> dict[str, Any]:
    parts = build_context(None, Settings())
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


def test_every_ref_resolves(written):
    for ref in set(refs(written)):
        at = written
        for word in ref.removeprefix("#/").split("/"):
            at = at[word]


def test_operation_ids_are_unique(written):
    ids = [
        operation["operationId"]
        for item in written["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda e: e.__name__)
def test_every_verb_and_every_filter_is_documented(written, entity):
    paths = written["paths"]
    on_collection, on_record = paths[entity.path()], paths[entity.path() + "/{id}"]
    assert ("post" in on_collection) == ("create" in entity.verbs)
    assert ("put" in on_collection) == ("put" in on_record) == ("update" in entity.verbs)
    assert ("delete" in on_record) == ("delete" in entity.verbs)
    named = {ref["$ref"].rsplit("/", 1)[1] for ref in on_collection["get"]["parameters"]}
    assert {"page", "size", "orderBy", "dir"} <= named
    assert {found.parameter for found in entity.meta().filters.values()} <= named


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


def body_of(written: dict[str, Any], path: str) -> dict[str, Any]:
    operation = written["paths"][f"/api/ledger/{path}"]["post"]
    return operation["requestBody"]["content"]["application/json"]["schema"]


@pytest.mark.parametrize("path", LEDGER_BODIES)
def test_the_bodies_of_the_ledger_are_described(written, path):
    assert set(body_of(written, path)["properties"]) == LEDGER_BODIES[path]


def test_source_kinds_are_documented(written):
    source = body_of(written, "spends")["properties"]["Sources"]["items"]
    assert source["required"] == ["Kind", "Id"]
    assert "booking" in source["properties"]["Kind"]["enum"]
    assert set(source["properties"]) == {"Kind", "Id", "Amount", "FromTime", "ToTime", "Units"}


@pytest.mark.parametrize("path", [path for path in LEDGER_BODIES if "{" not in path])
async def test_required_ledger_params_are_enforced(written, client, path):
    needed = body_of(written, path).get("required", [])
    answer = await client.post(f"/api/ledger/{path}", json={})
    if not needed:
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert {error["PropertyName"] for error in answer.json()["Errors"]} <= set(needed)


def test_document_passes_strict_validator(written):
    schema = schemathesis.openapi.from_dict(written)
    schema.validate()
    assert len(list(schema.get_all_operations())) > 200


async def test_the_document_and_the_page_are_served(client):
    served = await client.get("/openapi.json")
    assert served.status_code == 200
    assert served.json()["openapi"] == "3.1.0"
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_health_and_readiness(client):
    assert (await client.get("/health")).json() == {"Status": "ok"}
    assert (await client.get("/ready")).json() == {"Status": "ready"}
