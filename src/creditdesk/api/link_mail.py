"""Sign-in links by e-mail: requested by members who are not signed in, or by operators for a customer.

Requests are stored, and a scheduled job sends the e-mails, so no call waits for the mail server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext, Route, json_success
from creditdesk.api.ledger.params import COWORKER_ID
from creditdesk.api.members import LINK_MINUTES, MAX_LINK_BODY_BYTES, require_customer
from creditdesk.api.openapi_operations import object_schema, read_operation, write_operation
from creditdesk.api.origin import request_origin
from creditdesk.api.responses import JsonBytesResponse, action_body, json_response
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.link_requests import (
    OWN_LINK_MINUTES,
    LinkRequestState,
    find_requests_of,
    link_request_state,
    request_link_for,
    request_own_link,
)
from creditdesk.auth.member_links import DEFAULT_LINK_MINUTES
from creditdesk.auth.permission import require_role
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import StateConflict
from creditdesk.schema.fields import Text
from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext
from creditdesk.settings import AuthSettings

OWN_LINK_PATH: Final = "/api/members/link-requests"
SEND_LINK_PATH: Final = "/api/members/links/send"
_MAX_LANGUAGE: Final = 10
_ON_ITS_WAY: Final = "If a customer has this address, a link is on its way."
_NO_SERVER: Final = "No mail server is set: see the settings under mail."
_EMAIL: Final = Param("Email", required=True)
_LANGUAGE: Final = Param("Language", Text(max_length=_MAX_LANGUAGE), description="Code such as `es`; English without.")
_OWN: Final = (_EMAIL, _LANGUAGE)
_SEND: Final = (COWORKER_ID, LINK_MINUTES, _LANGUAGE)


@dataclass(frozen=True, slots=True)
class LinkMailRoutes:
    """The paths of sign-in links. `request_job` makes the sending job due; it is None without a mail server."""

    authenticator: Authenticator
    settings: AuthSettings
    request_job: Callable[[WriteSession, datetime], Awaitable[object]] | None

    def routes(self) -> tuple[Route, ...]:
        send = write_operation(
            SEND_LINK_PATH, "Send a sign-in link to a customer by e-mail", Coworker.roles["update"], _SEND,
            {"CoworkerId": 1, "Minutes": 1440, "Language": "es"},
        )  # fmt: skip
        return (
            Route("POST", OWN_LINK_PATH, self._request_own, _OWN_OPERATION, is_public=True),
            Route("POST", SEND_LINK_PATH, self._send, send),
            Route("GET", OWN_LINK_PATH, _list_requests, _LIST_OPERATION),
        )

    async def _request_own(self, api: ApiContext, request: Request) -> Response:
        """Queues a link. The response is the same whether or not the address is known."""
        params = await self._read(api, request, _OWN)
        now, address = api.clock(), request_origin(api, request).address
        async with api.store.write_session() as session:
            await request_own_link(session, params[_EMAIL], address, params[_LANGUAGE] or "", self.settings, now)
            await self._request_job(session, now)
        value = {"Minutes": OWN_LINK_MINUTES}
        return JsonBytesResponse(action_body(_ON_ITS_WAY, value, now.replace(microsecond=0), params[_EMAIL]))

    async def _send(self, api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
        require_role(context.principal, Coworker, "update")
        params = await self._read(api, request, _SEND)
        now = context.now
        signer = await self.authenticator.link_signer(now)
        minutes = params[LINK_MINUTES] or DEFAULT_LINK_MINUTES
        async with api.store.write_session() as session:
            await require_customer(session, params[COWORKER_ID], context.principal)
            language = params[_LANGUAGE] or ""
            email = await request_link_for(session, params[COWORKER_ID], language, minutes, signer, context)
            await self._request_job(session, now)
        value = {"Email": email, "Minutes": minutes}
        body = action_body("The link will be sent.", value, now.replace(microsecond=0), context.principal.email)
        return JsonBytesResponse(body)

    async def _read(self, api: ApiContext, request: Request, declared: tuple[Param, ...]) -> Params:
        """The parameters of a request. Raises StateConflict without a mail server."""
        if self.request_job is None:
            raise StateConflict(_NO_SERVER)
        body = await read_body(request, MAX_LINK_BODY_BYTES, api.settings.body_seconds)
        params = Params(declared, parse_body(body, request.headers.get("content-type", "")))
        params.raise_errors()
        return params

    async def _request_job(self, session: WriteSession, now: datetime) -> None:
        if self.request_job is not None:
            await self.request_job(session, now)


async def _list_requests(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """The state of the links that were recently requested for a customer, by operators or by itself."""
    require_role(context.principal, Coworker, "update")
    params = Params((COWORKER_ID,), request.query_params)
    params.raise_errors()
    async with api.store.read_session() as session:
        await require_customer(session, params[COWORKER_ID], context.principal)
        customer = await session.get(Coworker, params[COWORKER_ID])
        found = await find_requests_of(session, customer) if customer else []
    return json_response(200, {"Records": [_show_request(each) for each in found]})


def _show_request(request: Record) -> dict[str, Any]:
    """A request as JSON; `RequestedBy` is null if the customer itself made it."""
    next_attempt = request["NextAttemptOn"]
    state = link_request_state(request)
    return {
        "Id": request["Id"],
        "RequestedOn": format_datetime(request["CreatedOn"]),
        "RequestedBy": request["RequestedBy"],
        "Minutes": request["Minutes"],
        "State": state.value,
        "Reason": "" if state is LinkRequestState.SENT else request["Result"] or "",
        "Attempts": request["Attempts"],
        "NextAttemptOn": format_datetime(next_attempt) if next_attempt else None,
    }


_REQUEST_PROPERTIES: Final[dict[str, Any]] = {
    "Id": {"type": "integer"},
    "RequestedOn": {"type": "string", "format": "date-time"},
    "RequestedBy": {"type": ["string", "null"]},
    "Minutes": {"type": "integer"},
    "State": {"enum": [each.value for each in LinkRequestState]},
    "Reason": {"type": "string"},
    "Attempts": {"type": "integer"},
    "NextAttemptOn": {"type": ["string", "null"], "format": "date-time"},
}
_REQUEST: Final = {"type": "object", "properties": _REQUEST_PROPERTIES, "required": list(_REQUEST_PROPERTIES)}
_LIST_OPERATION: Final = {
    **read_operation(
        OWN_LINK_PATH,
        "What became of the links that were asked for by e-mail in the last day",
        Coworker.roles["update"],
        (COWORKER_ID,),
    ),
    **json_success(
        {
            "type": "object",
            "properties": {"Records": {"type": "array", "items": _REQUEST}},
            "required": ["Records"],
        }
    ),
}
_OWN_OPERATION: Final[dict[str, Any]] = {
    "operationId": "requestOwnLink",
    "tags": ["ledger"],
    "summary": "Ask for a sign-in link by e-mail",
    "description": "For customers who are not signed in. The response is the same whether or not a customer has the"
    " address; requests are limited like failed sign-ins.",
    "security": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": object_schema(_OWN),
                "example": {"Email": "ada@example.com", "Language": "en"},
            }
        },
    },
}
