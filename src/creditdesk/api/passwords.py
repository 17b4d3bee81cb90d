"""Passwords and second factors: changing one's password, a member's first password, a lost second factor.

Sessions that these calls end are void on every worker before the response is sent.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext, Route
from creditdesk.api.openapi_operations import object_schema
from creditdesk.api.origin import request_origin
from creditdesk.api.responses import JsonBytesResponse, action_body
from creditdesk.api.sessions import require_user
from creditdesk.api.token import MAX_TOKEN_FORM_BYTES
from creditdesk.auth.audit_trail import AuditAction, event_of_request, record_event
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.credentials import save_credential
from creditdesk.entities.sys.user import User
from creditdesk.schema.errors import NotFound, PermissionDenied, StateConflict
from creditdesk.schema.fields import Integer, Text
from creditdesk.schema.params import Param, Params
from creditdesk.schema.records import update_stamp
from creditdesk.schema.service import RequestContext

PASSWORD_PATH: Final = "/api/auth/password"  # noqa: S105 - a path
FIRST_PASSWORD_PATH: Final = "/api/auth/first-password"  # noqa: S105 - a path
SECOND_FACTOR_PATH: Final = "/api/auth/second-factor/remove"
MAX_FACTOR_REASON: Final = 500
_EMAIL: Final = Param("Email", required=True)
_PASSWORD: Final = Param("Password", required=True, description="The present password.")
_NEW_PASSWORD: Final = Param("NewPassword", required=True)
_CODE: Final = Param("Totp", description="The one-time code of a user with a second factor.")
_PASSWORD_CHANGE: Final = (_EMAIL, _PASSWORD, _NEW_PASSWORD, _CODE)
_USER_ID: Final = Param("UserId", Integer(minimum=1), required=True)
_REASON: Final = Param(
    "Reason", Text(max_length=MAX_FACTOR_REASON), required=True, description="Stands in the audit trail."
)
_REMOVAL: Final = (_USER_ID, _REASON)


def password_routes(authenticator: Authenticator) -> tuple[Route, ...]:
    """The paths about passwords and second factors."""
    return (
        Route("POST", PASSWORD_PATH, partial(_change_password, authenticator), _PASSWORD_OPERATION, is_public=True),
        Route("POST", FIRST_PASSWORD_PATH, partial(_set_first_password, authenticator), _FIRST_OPERATION),
        Route("POST", SECOND_FACTOR_PATH, _remove_second_factor, _REMOVAL_OPERATION),
    )


async def _read_params(api: ApiContext, request: Request, params: tuple[Param, ...]) -> Params:
    body = await read_body(request, MAX_TOKEN_FORM_BYTES, api.settings.body_seconds)
    parsed = Params(params, parse_body(body, request.headers.get("content-type", "")))
    parsed.raise_errors()
    return parsed


async def _change_password(authenticator: Authenticator, api: ApiContext, request: Request) -> Response:
    """Changes the caller's password. Public, because a user who must set a new one cannot get a token."""
    params = await _read_params(api, request, _PASSWORD_CHANGE)
    now = api.clock()
    keep = await authenticator.session_of_token(request.headers.get("authorization", ""), now)
    await authenticator.sign_in_service.change_password(
        params[_EMAIL], params[_PASSWORD], params[_CODE], params[_NEW_PASSWORD], now, request_origin(api, request),
        keep_session=keep,
    )  # fmt: skip
    message = "The password was successfully changed."
    return JsonBytesResponse(action_body(message, None, now.replace(microsecond=0), params[_EMAIL]))


async def _set_first_password(
    authenticator: Authenticator, api: ApiContext, request: Request, context: RequestContext, _id: int
) -> Response:
    params = await _read_params(api, request, (_NEW_PASSWORD,))
    principal = context.principal
    await authenticator.sign_in_service.set_first_password(
        principal.user_id, principal.session_id, params[_NEW_PASSWORD], context.now, request_origin(api, request)
    )
    message = "The password was successfully set."
    return JsonBytesResponse(action_body(message, None, context.now.replace(microsecond=0), principal.email))


async def _remove_second_factor(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """Removes the second factor of a user who lost it, and ends the user's sessions."""
    params = await _read_params(api, request, _REMOVAL)
    user_id, principal, now = params[_USER_ID], context.principal, context.now
    if user_id == principal.user_id:
        raise PermissionDenied("Another user must remove your second factor")
    async with api.store.write_session() as session:
        await require_user(session, user_id, principal, "update")
        user = await session.get(User, user_id)
        if user is None:
            raise NotFound
        if not user["TwoFactorEnabled"]:
            raise StateConflict("This user has no second factor.")
        await save_credential(session, user_id, user["Email"], now, totp_secret="")
        change = {"TwoFactorEnabled": False, **update_stamp(now, principal.email)}
        await session.update(User, [(user_id, change)])
        details = {"Reason": params[_REASON]}
        event = event_of_request(context, AuditAction.SECOND_FACTOR_REMOVED, User.__name__, user_id, details)
        await record_event(session, event, now)
    message = "The second factor was successfully removed."
    return JsonBytesResponse(action_body(message, user_id, now.replace(microsecond=0), principal.email))


def _body_of(params: tuple[Param, ...], example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": object_schema(params), "example": example}
    return {"required": True, "content": {"application/json": content}}


_PASSWORD_OPERATION: Final[dict[str, Any]] = {
    "operationId": "changePassword",
    "tags": ["auth"],
    "summary": "Change one's own password",
    "description": "Ends all sessions of the user, and satisfies `MustResetPassword`. Needs no token; if one"
    " is sent, its session stays open until the token expires.",
    "security": [],
    "requestBody": _body_of(
        _PASSWORD_CHANGE,
        {"Email": "ada@example.com", "Password": "correct horse battery", "NewPassword": "analytical engine no. 2"},
    ),
}
_FIRST_OPERATION: Final[dict[str, Any]] = {
    "operationId": "firstPassword",
    "tags": ["auth"],
    "summary": "Set the first password of a member",
    "description": "For a member without a password, in the session of a sign-in link.",
    "requestBody": _body_of((_NEW_PASSWORD,), {"NewPassword": "analytical engine no. 2"}),
}
_REMOVAL_OPERATION: Final[dict[str, Any]] = {
    "operationId": "removeSecondFactor",
    "tags": ["auth"],
    "summary": "Remove the second factor of a user who lost it",
    "description": "Ends all sessions of the user. Needs the role User-Edit and every right of that user, and is not"
    " for oneself. The reason is recorded in the audit trail.",
    "requestBody": _body_of(_REMOVAL, {"UserId": 2, "Reason": "Lost her phone; identified in person"}),
}
