"""Sessions: their list, log-out and revocation (RFC 7009).

A session that is ended is void on every worker before the response is sent.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from creditdesk.api.context import ApiContext, Route, json_success
from creditdesk.api.origin import request_origin
from creditdesk.api.responses import JsonBytesResponse, action_body, json_response
from creditdesk.api.token import NO_STORE, read_token_form, token_error
from creditdesk.auth.audit_trail import AuditAction, event_of_request, record_event
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.permission import require_role
from creditdesk.auth.scope import scope_filters
from creditdesk.auth.sessions import EndReason, end_sessions, find_session, sessions_of
from creditdesk.auth.token_responses import TokenError
from creditdesk.auth.users import require_rights_over
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Record, Verb
from creditdesk.schema.errors import NotFound
from creditdesk.schema.fields import Integer
from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal, RequestContext

_USER_ID: Final = Param("UserId", Integer(minimum=1), description="The caller's own when left out.")
_SHOWN: Final = (
    "Id", "UserId", "ClientId", "Method", "Address", "UserAgent", "CreatedOn", "LastUsedOn",
    "ExpireDate", "EndedOn", "EndReason",
)  # fmt: skip


def session_routes(authenticator: Authenticator) -> tuple[Route, ...]:
    """The paths about sessions."""
    return (
        Route("POST", "/api/token/revoke", partial(_revoke, authenticator), _REVOKE_OPERATION, is_public=True),
        Route("GET", "/api/auth/sessions", _list_sessions, _LIST_OPERATION),
        Route("DELETE", "/api/auth/sessions/{id}", _end_session, _END_OPERATION),
    )


async def _revoke(authenticator: Authenticator, api: ApiContext, request: Request) -> Response:
    """Ends the session of a token. An unknown token is no error (RFC 7009, section 2.2)."""
    try:
        form = await read_token_form(request, api.settings.body_seconds)
    except TokenError as error:
        return token_error(error.error, error.message, 400)
    token = form.get("token")
    if not token:
        return token_error("invalid_request", "Send the token as a form", 400)
    await authenticator.revoke(token, api.clock(), request_origin(api, request))
    return JSONResponse({}, headers=NO_STORE)


async def _list_sessions(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """The sessions of the caller or, with the role that reads users, of another user; newest first."""
    params = Params((_USER_ID,), request.query_params)
    params.raise_errors()
    user_id = params[_USER_ID] or context.principal.user_id
    async with api.store.read_session() as session:
        await require_user(session, user_id, context.principal, "get")
        limit = await _customer_limit(session, context.principal)
        found = [each for each in await sessions_of(session, user_id) if limit in (None, each["CoworkerId"])]
    return json_response(200, [_show(each, context.principal) for each in reversed(found)])


async def _end_session(api: ApiContext, _request: Request, context: RequestContext, session_id: int) -> Response:
    """Ends a session of the caller or, with the right to edit it, of another user."""
    principal = context.principal
    async with api.store.write_session() as session:
        found = await find_session(session, session_id)
        if found is None or await _customer_limit(session, principal) not in (None, found["CoworkerId"]):
            raise NotFound
        await require_user(session, found["UserId"], principal, "update")
        is_own = found["UserId"] == principal.user_id
        reason = EndReason.SIGNED_OUT if is_own else EndReason.BY_OTHER
        if await end_sessions(session, [found], reason, context.now):
            event = event_of_request(
                context, AuditAction.SIGN_OUT, User.__name__, found["UserId"], {"SessionId": session_id}
            )
            await record_event(session, event, context.now)
    now = context.now.replace(microsecond=0)
    return JsonBytesResponse(action_body("The session has ended.", session_id, now, principal.email))


async def _customer_limit(session: ReadSession, principal: Principal) -> int | None:
    """The customer that the caller's session is limited to; it sees only sessions of this customer."""
    own = await find_session(session, principal.session_id) if principal.session_id is not None else None
    return own["CoworkerId"] if own else None


async def require_user(session: ReadSession, user_id: int, principal: Principal, verb: Verb) -> None:
    """Raises PermissionDenied or NotFound unless the principal may use this verb on the user."""
    if user_id == principal.user_id:
        return
    require_role(principal, User, verb)
    user = await session.get(User, user_id, scope_filters(principal, User))
    if user is None:
        raise NotFound
    if verb != "get":
        await require_rights_over(session, principal, user)


def _show(session: Record, principal: Principal) -> dict[str, Any]:
    return {name: session[name] for name in _SHOWN} | {"IsCurrent": session["Id"] == principal.session_id}


_TEXT: Final = {"type": ["string", "null"]}
_INSTANT: Final = {"type": ["string", "null"], "format": "date-time"}
_INTEGER: Final = {"type": "integer", "format": "int64"}
_SESSION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "Id": _INTEGER,
        "UserId": _INTEGER,
        "ClientId": {"type": "string"},
        "Method": {"type": "string"},
        "Address": _TEXT,
        "UserAgent": _TEXT,
        "CreatedOn": {"type": "string", "format": "date-time"},
        "LastUsedOn": {"type": "string", "format": "date-time"},
        "ExpireDate": {"type": "string", "format": "date-time"},
        "EndedOn": _INSTANT,
        "EndReason": _TEXT,
        "IsCurrent": {"type": "boolean"},
    },
    "required": [*_SHOWN, "IsCurrent"],
}
_REVOKE_OPERATION: Final[dict[str, Any]] = {
    "operationId": "revokeToken",
    "tags": ["auth"],
    "summary": "Log out: end the session of a token",
    "description": "RFC 7009. An access or refresh token; every token of its session is void at once.",
    "security": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {"token": {"type": "string", "minLength": 1}, "token_type_hint": {"type": "string"}},
                    "required": ["token"],
                },
                "example": {"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"},
            }
        },
    },
    "responses": {
        "200": {"description": "The token is void.", "content": {"application/json": {"schema": {"type": "object"}}}},
        "400": {"$ref": "#/components/responses/GrantRefused"},
    },
}
_LIST_OPERATION: Final[dict[str, Any]] = {
    "operationId": "Sessions",
    "tags": ["auth"],
    "summary": "The sessions of a user",
    "description": "One's own; those of another user need the role User-Read.",
    "parameters": [{"name": "UserId", "in": "query", "schema": {"type": "integer", "minimum": 1}}],
    **json_success({"type": "array", "items": _SESSION_SCHEMA}),
}
_END_OPERATION: Final[dict[str, Any]] = {
    "operationId": "Session",
    "tags": ["auth"],
    "summary": "End a session",
    "description": "One's own; those of another user need the role User-Edit and every right of that user.",
    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
}
