"""The API page: every call with examples that run, and reads that can be tried as the signed-in user."""

from __future__ import annotations

import ast
import re
import shlex

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.api.openapi import openapi_document
from creditdesk.app import build_context
from creditdesk.console.api_reference import ApiCall, api_calls, curl_example, python_example
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.console.conftest import browser
from tests.support.api_client import ApiClient
from tests.support.users import create_location, create_user_role, create_user_token

PATH = "/console/api"
ADDRESS = "https://desk.example.com"


@pytest.fixture(scope="module")
def calls(store: Store) -> list[ApiCall]:
    context = build_context(store, Settings())
    groups = api_calls(openapi_document(context.entities, context.extra_routes))
    return [call for group in groups.values() for call in group]


def test_every_call_has_examples_that_a_shell_and_python_can_read(calls: list[ApiCall]) -> None:
    assert len(calls) > 300
    assert len({call.key for call in calls}) == len(calls)
    for call in calls:
        words = shlex.split(curl_example(call, ADDRESS).replace("\\\n", " "))
        assert words[0] == "curl"
        assert any(word.startswith(ADDRESS) and "{" not in word for word in words), call.path
        tree = ast.parse(python_example(call, ADDRESS))
        assert any(isinstance(node, ast.Call) for node in ast.walk(tree))


async def test_the_list_is_searched_and_leads_to_a_call(console: httpx.AsyncClient) -> None:
    found = (await console.get(f"{PATH}?q=ledger/spends")).text
    assert re.findall(r"<code>(/api[^<]+)</code>", found) == ["/api/ledger/spends"]
    [link] = re.findall(rf'href="({PATH}/\w+)"', found)
    page = (await console.get(link)).text
    assert "curl -X POST" in page
    assert "Idempotency-Key: $(uuidgen)" in page
    assert "httpx.post(" in page
    assert "Try it" not in page
    assert (await console.get(f"{PATH}/nothing")).status_code == 404


async def test_a_read_is_tried_as_the_signed_in_user(
    app: ASGIApp, console: httpx.AsyncClient, api: ApiClient, store: Store
) -> None:
    credit = await api.create_credit(12, Description="Seen in the answer")
    path, form = f"{PATH}/getCoworkerBookingCredit", {"p-id": str(credit)}
    assert "Seen in the answer" in (await console.post(path, data=form)).text
    wrong = (await console.post(f"{PATH}/listCoworkerBookingCredit", data={"query": "size=none"})).text
    assert '<h3 role="status">400</h3>' in wrong
    assert (await console.post(f"{PATH}/createCoworkerBookingCredit", data={})).status_code == 404
    north = await create_location(store)
    role = await create_user_role(store, north, ("CoworkerBookingCredit-Read",))
    token = await create_user_token(
        store, f"api{north}@example.com", is_admin=False, business_ids=[north], user_role_id=role
    )
    async with browser(app, token) as away:
        tried = (await away.post(path, data=form)).text
    assert '<h3 role="status">404</h3>' in tried
    assert "Seen in the answer" not in tried
