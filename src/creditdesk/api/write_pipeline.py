"""The one way every write request takes: authorize, parse, execute once, answer (rules 31, 32).

A write executes in a transaction of its own, or is handed to the ledger's queue, which executes
many in one. Either way the response is stored with its idempotency key in the same transaction.
The dispatch of requests runs a write again after a deadlock or a lost race.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Generic, TypeVar

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext
from creditdesk.api.origin import first_header
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.ledger.idempotency import SavedResponse, find_response, save_responses
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import Principal, RequestContext

ParsedT = TypeVar("ParsedT")


class WriteInput(Struct, frozen=True):
    """What a write is parsed from: its body, and the id in its path (0 without one)."""

    body: bytes
    content_type: str
    record_id: int

    def values(self) -> dict[str, Any]:
        """The named values of the body. Raises ValidationError when it has none."""
        return parse_body(self.body, self.content_type)

    def optional_values(self) -> Mapping[str, Any]:
        """The same; an empty body has no values."""
        return self.values() if self.body.strip() else {}


class WriteEndpoint(ABC, Generic[ParsedT]):
    """One kind of write request. Subclasses say how it is authorized, parsed and executed."""

    async def __call__(self, api: ApiContext, request: Request, context: RequestContext, record_id: int) -> Response:
        self.authorize(context.principal)
        body = await read_body(request, api.settings.body_limit_bytes, api.settings.body_seconds)
        content_type = first_header(request.scope, b"content-type") or ""
        parsed = self.parse(WriteInput(body, content_type, record_id))
        fingerprint = request_fingerprint(request, body) if context.idempotency_key else ""
        response = await self.submit(api, parsed, context, fingerprint)
        return JsonBytesResponse(response.body, response.status)

    @abstractmethod
    def authorize(self, principal: Principal) -> None:
        """Raises PermissionDenied."""

    @abstractmethod
    def parse(self, write_input: WriteInput) -> ParsedT:
        """The parsed request. Raises ValidationError with every error in field order."""

    @abstractmethod
    async def submit(
        self, api: ApiContext, parsed: ParsedT, context: RequestContext, fingerprint: str
    ) -> SavedResponse:
        """Executes the request, or returns the stored response of its key. Raises DomainError."""


class TransactionWrite(WriteEndpoint[ParsedT]):
    """A write that executes in a transaction of its own."""

    @abstractmethod
    async def execute(self, api: ApiContext, session: WriteSession, parsed: ParsedT, context: RequestContext) -> bytes:
        """Performs the write and returns the body of the response. Raises DomainError.

        Runs again, in a new transaction, after a deadlock or a lost race.
        """

    async def submit(
        self, api: ApiContext, parsed: ParsedT, context: RequestContext, fingerprint: str
    ) -> SavedResponse:
        async with api.store.write_session() as session:
            stored = await find_response(session, context, fingerprint)
            if stored is not None:
                return stored
            response = SavedResponse(200, await self.execute(api, session, parsed, context))
            await save_responses(session, [(context, fingerprint, response)])
        return response


def request_fingerprint(request: Request, body: bytes) -> str:
    """A digest of method, path and body: a key that returns with another one is refused."""
    path = request.scope["path"].lower().rstrip("/")
    digest = sha256(f"{request.method} {path}\n".encode())
    digest.update(body)
    return digest.hexdigest()
