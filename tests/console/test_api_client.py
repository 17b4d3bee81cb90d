"""Calls of the API within the process."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from creditdesk.console.api_client import ApiError, InProcessClient

SCOPE: Scope = {"type": "http", "headers": [(b"x-forwarded-for", b"192.0.2.7"), (b"cookie", b"secret")]}


async def respond(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def test_call_has_one_body_and_its_caller_never_hangs_up() -> None:
    """A read that takes long watches for a disconnect: the second message must not come."""
    received: list[Message] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.01)
        await respond(send, 200, b'{"Value": 1.50}')

    answer = await InProcessClient(app, SCOPE, "token").post("/api/thing", {"Name": "x"})
    assert str(answer["Value"]) == "1.50"
    assert received == [{"type": "http.request", "body": b'{"Name":"x"}', "more_body": False}]


async def test_call_carries_the_session_and_the_address_and_no_cookie() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append(scope)
        await respond(send, 200, b"[]")

    await InProcessClient(app, SCOPE, "token").get("/api/thing", {"a": [1, 2]})
    headers = dict(seen[0]["headers"])
    assert headers[b"authorization"] == b"Bearer token"
    assert headers[b"x-forwarded-for"] == b"192.0.2.7"
    assert b"cookie" not in headers
    assert seen[0]["query_string"] == b"a=1&a=2"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b'"Not found"', (404, "Not found")),
        (200, b'{"Message": "No", "WasSuccessful": false}', (409, "No")),
        (400, b'{"error": "invalid_grant", "error_description": "Wrong"}', (400, "Wrong")),
        (503, b"", (503, "Service Unavailable")),
    ],
)
async def test_errors_keep_their_status_and_message(status: int, body: bytes, expected: tuple[int, str]) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, status, body)

    with pytest.raises(ApiError) as raised:
        await InProcessClient(app, SCOPE).get("/api/thing")
    assert (raised.value.status, raised.value.message) == expected
