"""POST /api/token: exchanges a form of credentials for tokens, or an OAuth error.

The body is read as a form whatever its Content-Type says, except JSON, which is refused as the
imitated system does. An Authorization header is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from creditdesk.api.body import parse_form, read_body
from creditdesk.api.context import ApiContext, Route
from creditdesk.api.error_handlers import BodyTooLarge
from creditdesk.api.origin import request_origin
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.token_responses import TokenError, unsupported_grant_type
from creditdesk.schema.errors import RateLimited, ValidationError

MAX_TOKEN_FORM_BYTES: Final = 16_384
MAX_TOKEN_FORM_FIELDS: Final = 32
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def token_route(authenticator: Authenticator) -> Route:
    """The public route that issues tokens."""
    handler = partial(_issue_tokens, authenticator)
    return Route("POST", "/api/token", handler, TOKEN_OPERATION, is_public=True)


async def _issue_tokens(authenticator: Authenticator, api: ApiContext, request: Request) -> Response:
    try:
        form = await read_token_form(request, api.settings.body_seconds)
        client_id = request.headers.get("client_id") or request.headers.get("client-id")
        tokens = await authenticator.issue_tokens(form, client_id, api.clock(), request_origin(api, request))
    except TokenError as error:
        return token_error(error.error, error.message, 400)
    except RateLimited as error:
        response = token_error("slow_down", error.message, error.status)
        response.headers["Retry-After"] = str(error.retry_after_seconds)
        return response
    return JSONResponse(asdict(tokens), headers=NO_STORE)


async def read_token_form(request: Request, max_seconds: float) -> Mapping[str, str]:
    """The form of a request about tokens. Raises TokenError."""
    try:
        body = await read_body(request, MAX_TOKEN_FORM_BYTES, max_seconds)
    except BodyTooLarge:
        raise TokenError("invalid_request", "The form is too large") from None
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type.endswith("json") or body.lstrip()[:1] in (b"{", b"["):
        raise unsupported_grant_type()
    try:
        form = parse_form(body, MAX_TOKEN_FORM_FIELDS)
    except ValidationError:
        raise TokenError("invalid_request", "The form cannot be read") from None
    if any(isinstance(value, list) for value in form.values()):
        raise TokenError("invalid_request", "A field was sent twice")
    return form


def token_error(error: str, description: str, status: int) -> JSONResponse:
    """An error in the form of RFC 6749."""
    content = {"error": error, "error_description": description}
    return JSONResponse(content, status, headers=NO_STORE)


TOKEN_OPERATION: Final[dict[str, Any]] = {
    "operationId": "token",
    "tags": ["auth"],
    "summary": "Exchange a password or a refresh token for tokens",
    "security": [],
    "parameters": [
        {
            "name": "client_id",
            "in": "header",
            "schema": {"type": "string", "maxLength": 320},
            "description": "Names the client a refresh token belongs to; the e-mail when left out. A refresh need not"
            " name a client that signed in with HTTP Basic credentials.",
        },
        {
            "name": "Device-Secret",
            "in": "header",
            "schema": {"type": "string", "minLength": 16, "maxLength": 500},
            "description": "A random text that this client keeps: after one sign-in with it, failed sign-ins of"
            " others do not slow this client.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["password", "refresh_token"]},
                        "username": {"type": "string"},
                        "password": {"type": "string"},
                        "totp": {"type": "string"},
                        "refresh_token": {"type": "string"},
                        "client_id": {"type": "string"},
                    },
                    "required": ["grant_type"],
                },
                "example": {
                    "grant_type": "password",
                    "username": "ada@example.com",
                    "password": "correct horse battery",
                },
            }
        },
    },
    "responses": {
        "200": {
            "description": "Tokens.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "access_token": {"type": "string"},
                            "token_type": {"const": "bearer"},
                            "expires_in": {"type": "integer"},
                            "refresh_token": {"type": "string"},
                        },
                        "required": ["access_token", "token_type", "expires_in", "refresh_token"],
                    }
                }
            },
        },
        "400": {"$ref": "#/components/responses/GrantRefused"},
        "429": {"$ref": "#/components/responses/GrantRefused"},
    },
}
