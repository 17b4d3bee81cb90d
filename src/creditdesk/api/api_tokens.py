"""POST /api/auth/tokens: creates a token for a program and shows it once. Its session is one like any other."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext, Route
from creditdesk.api.openapi_operations import object_schema
from creditdesk.api.responses import JsonBytesResponse, action_body
from creditdesk.api.sessions import require_user
from creditdesk.api.token import MAX_TOKEN_FORM_BYTES, NO_STORE
from creditdesk.auth.audit_trail import AuditAction, event_of_request
from creditdesk.auth.authenticator import MAX_CLIENT_ID_LENGTH, Authenticator
from creditdesk.auth.sessions import SignInMethod, find_session
from creditdesk.entities.sys.user import User
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.errors import PermissionDenied
from creditdesk.schema.fields import Integer, Text
from creditdesk.schema.params import Param, Params
from creditdesk.schema.service import RequestContext

MAX_TOKEN_DAYS: Final = 366
TOKEN_BY_TOKEN_MESSAGE: Final = "An API token cannot make another one: sign in with a password"  # noqa: S105
MEMBER_MESSAGE: Final = "A member has no API tokens"
_NAME: Final = Param("Name", Text(max_length=MAX_CLIENT_ID_LENGTH), required=True, description="What will use it.")
_DAYS: Final = Param("Days", Integer(minimum=1, maximum=MAX_TOKEN_DAYS), required=True)
_OWNER: Final = Param("UserId", Integer(minimum=1), description="The caller when left out.")
_PARAMS: Final = (_NAME, _DAYS, _OWNER)


def api_token_routes(authenticator: Authenticator) -> tuple[Route, ...]:
    """The path that creates tokens for programs."""
    return (Route("POST", "/api/auth/tokens", partial(_create, authenticator), _OPERATION),)


async def _create(
    authenticator: Authenticator, api: ApiContext, request: Request, context: RequestContext, _id: int
) -> Response:
    body = await read_body(request, MAX_TOKEN_FORM_BYTES, api.settings.body_seconds)
    params = Params(_PARAMS, parse_body(body, request.headers.get("content-type", "")))
    params.raise_errors()
    principal, now = context.principal, context.now.replace(microsecond=0)
    if principal.is_member:
        # A member link opens a session with fewer rights than its user; a token would have all of them.
        raise PermissionDenied(MEMBER_MESSAGE)
    user_id = params[_OWNER] or principal.user_id
    async with api.store.read_session() as session:
        current = await find_session(session, principal.session_id) if principal.session_id else None
        if current is not None and current["Method"] == SignInMethod.API_TOKEN:
            raise PermissionDenied(TOKEN_BY_TOKEN_MESSAGE)
        await require_user(session, user_id, principal, "update")
    expires = now + timedelta(days=params[_DAYS])
    details = {"Name": params[_NAME], "ExpireDate": format_datetime(expires)}
    event = event_of_request(context, AuditAction.TOKEN_ISSUED, User.__name__, user_id, details)
    session_id, token = await authenticator.issue_api_token(user_id, params[_NAME], now, expires, event)
    value = {"SessionId": session_id, "Token": token, "ExpireDate": format_datetime(expires)}
    answer = action_body("The token was created. It is shown only now.", value, now, principal.email)
    return JsonBytesResponse(answer, headers=NO_STORE)


_OPERATION: Final[dict[str, Any]] = {
    "operationId": "createApiToken",
    "tags": ["auth"],
    "summary": "Create a token for a program",
    "description": "A bearer token that lasts up to 366 days, shown once. It is a session of its user: "
    "`GET /api/auth/sessions` lists it, `DELETE /api/auth/sessions/{id}` voids it, and so does a new password. "
    "For another user it needs the role User-Edit and every right of that user.",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": object_schema(_PARAMS),
                "example": {"Name": "Accounting export", "Days": 90},
            }
        },
    },
}
