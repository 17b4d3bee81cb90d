"""Calls the HTTP API in process, as the signed-in user.

So a page can do no more than its user: roles, locations, limits and idempotency keys apply as to any other client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.types import ASGIApp, Message, Scope

from creditdesk.api.serializer import encode
from creditdesk.console.translations import SOURCE_LANGUAGE, translated_message

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_FORWARDED: Final = frozenset({b"x-forwarded-for", b"user-agent"})
"""Headers of the browser's request that are passed on to the API."""
MAX_PAGE_RECORDS: Final = 1000

QueryValues = Mapping[str, Any] | Sequence[tuple[str, Any]]


class ApiError(Exception):
    """An error response of the API.

    `fields` has the messages by property name, as the API sent them; `code` is the error code of the token endpoint.
    """

    def __init__(self, status: int, message: str, fields: Mapping[str, str] | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.fields = dict(fields or {})


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of a list, and its position among all that match."""

    records: list[dict[str, Any]]
    total: int
    page: int = 1
    size: int = 25
    order: str = ""
    first: int = 0
    last: int = 0
    pages: int = 1


@dataclass(frozen=True, slots=True)
class InProcessClient:
    """An API client of one browser request; `scope` is that request's."""

    api: ASGIApp
    scope: Scope
    token: str | None = field(default=None, repr=False)
    language: str = SOURCE_LANGUAGE

    async def get(self, path: str, query: QueryValues = ()) -> Any:
        """The body of a GET. Raises ApiError."""
        return await self._call("GET", path, urlencode(query, doseq=True))

    async def get_file(self, path: str, query: QueryValues = ()) -> bytes:
        """The bytes of a file that a GET answers. Raises ApiError."""
        status, content = await self._exchange("GET", path, urlencode(query, doseq=True), b"", {})
        if status >= HTTPStatus.BAD_REQUEST:
            _parse(status, content, self.language)
        return content

    async def find(self, path: str, query: QueryValues = ()) -> RecordPage:
        """A page of a list. Raises ApiError."""
        body = await self.get(path, query)
        return RecordPage(
            body["Records"],
            body["TotalItems"],
            body["CurrentPage"],
            body["PageSize"],
            body.get("CurrentOrderField", ""),
            body.get("FirstItem", 0),
            body.get("LastItem", 0),
            body.get("TotalPages", 1),
        )

    async def post(self, path: str, body: Mapping[str, Any], key: str | None = None) -> Any:
        """The body of a POST, executed once for a key. Raises ApiError."""
        return await self._call("POST", path, "", body, key)

    async def post_file(self, path: str, query: QueryValues, content: bytes) -> Any:
        """The body of a POST whose body is a file. Raises ApiError."""
        return await self._send(
            "POST", path, urlencode(query, doseq=True), content, {"content-type": "application/octet-stream"}
        )

    async def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._call("PUT", path, "", body)

    async def delete(self, path: str) -> Any:
        return await self._call("DELETE", path, "")

    async def run_command(
        self, path: str, command: str, ids: Sequence[int], parameters: Mapping[str, Any], key: str | None = None
    ) -> Any:
        """Runs a command of the entity at `path` on records; returns the body. Raises ApiError."""
        named = [{"Name": name, "Type": "string", "Value": value} for name, value in parameters.items()]
        return await self.post(f"{path}/runcommand", {"Key": command, "Ids": list(ids), "Parameters": named}, key)

    async def submit_form(self, path: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        """The body of a POST of a form, such as the token endpoint reads. Raises ApiError."""
        sent = {"content-type": "application/x-www-form-urlencoded", **headers}
        return await self._send("POST", path, "", urlencode(form).encode(), sent)

    async def _call(
        self, method: str, path: str, query: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Any:
        headers = {"content-type": "application/json"} if body is not None else {}
        if key:
            headers["idempotency-key"] = key
        return await self._send(method, path, query, b"" if body is None else encode(body), headers)

    async def _send(self, method: str, path: str, query: str, body: bytes, headers: Mapping[str, str]) -> Any:
        return _parse(*await self._exchange(method, path, query, body, headers), self.language)

    async def _exchange(
        self, method: str, path: str, query: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        sent = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        sent.append((b"content-length", str(len(body)).encode()))
        sent += [header for header in self.scope["headers"] if header[0] in _FORWARDED]
        if self.token:
            sent.append((b"authorization", f"Bearer {self.token}".encode("latin-1", "replace")))
        scope = {
            **{name: self.scope[name] for name in ("type", "http_version", "scheme", "client", "server")
               if name in self.scope},
            "asgi": {"version": "3.0"}, "method": method, "path": path, "raw_path": path.encode(),
            "root_path": "", "query_string": query.encode(), "headers": sent,
        }  # fmt: skip
        return await _exchange(self.api, scope, body)


async def _exchange(api: ASGIApp, scope: Scope, body: bytes) -> tuple[int, bytes]:
    status = 0
    chunks: list[bytes] = []

    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            # A caller in the same process never disconnects.
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            chunks.append(message.get("body", b""))

    await api(scope, receive, send)
    return status, b"".join(chunks)


def _parse(status: int, content: bytes, language: str) -> Any:
    """The value of a successful response. Raises ApiError for any other, also for 200 with WasSuccessful false.

    Translates the messages for people, also in successful responses.
    """
    value = _DECODER.decode(content) if content else None
    failed = isinstance(value, dict) and value.get("WasSuccessful") is False
    if status < HTTPStatus.BAD_REQUEST and not failed:
        if isinstance(value, dict) and "WasSuccessful" in value:
            value["Message"] = translated_message(value["Message"] or "", language)
        return value
    if not isinstance(value, dict):
        raise ApiError(status, str(value or HTTPStatus(status).phrase))
    fields: dict[str, str] = {}
    for error in value.get("Errors") or ():
        name, message = error["PropertyName"], translated_message(error["Message"], language)
        fields[name] = f"{fields[name]}; {message}" if name in fields else message
    message = value.get("Message") or value.get("error_description") or HTTPStatus(status).phrase
    error_status = HTTPStatus.CONFLICT if status == HTTPStatus.OK else status
    text, code = translated_message(message, language), str(value.get("error") or "")
    raise ApiError(error_status, text, fields, code)
