"""POST /api/token: a form in, tokens or an OAuth error out.

The body is read as a form whatever its Content-Type says, except JSON, which is refused as the
real system does. An Authorization header plays no part here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from creditdesk.api.rate_limit import client_address
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.token_responses import TokenError, unsupported_grant_type
from creditdesk.schema.errors import RateLimited

MAX_FORM_BYTES: Final = 16_384
MAX_FORM_FIELDS: Final = 32
_NO_STORE_HEADERS: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

TokenHandler = Callable[[Request], Awaitable[Response]]


def token_handler(
    authenticator: Authenticator, clock: Callable[[], datetime], proxy_hops: int = 0
) -> TokenHandler:
    """The endpoint over an authenticator; `clock` tells the instant of each request."""

    async def token(request: Request) -> Response:
        try:
            form = await _read_token_form(request)
            client_id = request.headers.get("client_id") or request.headers.get("client-id")
            address = client_address(request.scope, proxy_hops)
            grant = await authenticator.issue_tokens(form, client_id, clock(), address)
        except TokenError as refusal:
            return _oauth_error(refusal.error, refusal.message, 400)
        except RateLimited as refusal:
            answer = _oauth_error("slow_down", refusal.message, refusal.status)
            answer.headers["Retry-After"] = str(refusal.retry_after_seconds)
            return answer
        return JSONResponse(asdict(grant), headers=_NO_STORE_HEADERS)

    return token


async def _read_token_form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise TokenError("invalid_request", "The form is too large")
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared.endswith("json") or bytes(body).lstrip()[:1] in (b"{", b"["):
        raise unsupported_grant_type()
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError:
        raise TokenError("invalid_request", "The form cannot be read") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise TokenError("invalid_request", "A field was sent twice")
    return form


def _oauth_error(error: str, description: str, status: int) -> JSONResponse:
    content = {"error": error, "error_description": description}
    return JSONResponse(content, status, headers=_NO_STORE_HEADERS)
