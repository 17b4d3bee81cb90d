"""`/api/sys/savedviews`: the named lists of a user, and those that others share with its location or role."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body
from creditdesk.api.context import ApiContext, Route, json_success
from creditdesk.api.openapi_operations import object_schema
from creditdesk.api.query_params import parse_list_query
from creditdesk.api.responses import JsonBytesResponse, action_body, json_response
from creditdesk.api.sessions import require_user
from creditdesk.api.token import MAX_TOKEN_FORM_BYTES
from creditdesk.auth.permission import holds_role
from creditdesk.auth.saved_views import VIEW_COLUMNS, listable_names, require_audience, visible_view, visible_views
from creditdesk.entities.sys.saved_view import SavedView
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Entity, Record, entity_by_name
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.fields import Boolean, Integer, Text
from creditdesk.schema.params import Param, Params
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import Principal, RequestContext

MAX_SAVED_VIEWS: Final = 200
_LIST: Final = Param("EntityName", required=True, description="What is listed, such as CoworkerBookingCredit.")
_NAME: Final = Param("Name", Text(max_length=100), required=True)
_QUERY: Final = Param(
    "Query", Text(max_length=4000), description="The query string of the list; `columns` names the columns shown."
)
_SHARED: Final = Param("Shared", Boolean(), description="Whether others see it.")
_BUSINESS: Final = Param("BusinessId", Integer(minimum=1), description="Shared with the users of this location.")
_ROLE: Final = Param("UserRoleId", Integer(minimum=1), description="Shared with the users who hold this user role.")
_CHANGED: Final = (_NAME, _QUERY, _SHARED, _BUSINESS, _ROLE)
_NOT_SAVED: Final = frozenset({"page", "view"})
_PATH: Final = "/api/sys/savedviews"


def saved_view_routes() -> tuple[Route, ...]:
    """The paths of saved views. They need no role: a view of a list exists for those who may list its records."""
    return (
        Route("GET", _PATH, _list, _READ),
        Route("POST", _PATH, _create, _write("SaveView", "Save a list under a name", (_LIST, *_CHANGED), _EXAMPLE)),
        Route("PUT", f"{_PATH}/{{id}}", _update, _with_id(_write("ChangeView", "Rename or change a saved view", _CHANGED, _CHANGE_EXAMPLE))),
        Route("DELETE", f"{_PATH}/{{id}}", _delete, _with_id(_operation("DeleteView", "Delete a saved view"))),
    )  # fmt: skip


async def _list(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """The views that the caller sees, by name; those of one list if `EntityName` is given."""
    wanted = request.query_params.get(_LIST.name, "").lower()
    principal = context.principal
    async with api.store.read_session() as session:
        found = await visible_views(session, principal, listable_names(principal, api.entities))
    return json_response(
        200, [_document(api, principal, view) for view in found if wanted in ("", view["EntityName"].lower())]
    )


async def _create(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """Saves a list. Overwrites the caller's view of that name, so that a request can be repeated."""
    principal = context.principal
    listable = listable_names(principal, api.entities)
    params = await _params(api, request, (_LIST, *_CHANGED))
    entity = next((each for each in api.entities if each.__name__.lower() == params[_LIST].lower()), None)
    if entity is None or entity.__name__ not in listable:
        raise invalid_field(_LIST.name, "is not a list that you may see", params[_LIST])
    async with api.store.write_session() as session:
        values = await _values(api, session, principal, entity, params)
        # Serialises requests of the user, so that a concurrent one for the same name finds this view.
        await session.lock(User, [principal.user_id], ("Id",))
        own = await _own_views(session, principal.user_id)
        same = [view["Id"] for view in own if (view["EntityName"], view["Name"]) == (entity.__name__, values["Name"])]
        if await session.lock(SavedView, same, ("Id",)):
            view_id = same[0]
            await session.update(SavedView, [(view_id, values | update_stamp(context.now, principal.email))])
        elif len(own) >= MAX_SAVED_VIEWS:
            raise StateConflict(f"You have {MAX_SAVED_VIEWS} saved views. Delete one first.")
        else:
            values |= {"UserId": principal.user_id, "EntityName": entity.__name__}
            [view_id] = await session.insert(SavedView, [new_record(SavedView, values, context.now, principal.email)])
        answer = await _document_of(api, session, principal, view_id)
    return _answered(context, answer, "The view was saved.")


async def _update(api: ApiContext, request: Request, context: RequestContext, view_id: int) -> Response:
    """Changes a view of the caller or, with the right to edit its user, of another."""
    principal = context.principal
    listable = listable_names(principal, api.entities)
    params = await _params(api, request, _CHANGED)
    async with api.store.write_session() as session:
        view = await _locked_view(session, principal, listable, view_id)
        values = await _values(api, session, principal, entity_by_name(view["EntityName"]), params)
        for other in await _own_views(session, view["UserId"]):
            same_list = (other["EntityName"], other["Name"]) == (view["EntityName"], values["Name"])
            if same_list and other["Id"] != view_id:
                raise invalid_field(_NAME.name, "is the name of another view of this list", values["Name"])
        await session.update(SavedView, [(view_id, values | update_stamp(context.now, principal.email))])
        answer = await _document_of(api, session, principal, view_id)
    return _answered(context, answer, "The view was changed.")


async def _delete(api: ApiContext, _request: Request, context: RequestContext, view_id: int) -> Response:
    """Deletes a view of the caller or, with the right to edit its user, of another."""
    principal = context.principal
    async with api.store.write_session() as session:
        await _locked_view(session, principal, listable_names(principal, api.entities), view_id)
        await session.delete(SavedView, [view_id])
    return _answered(context, view_id, "The view was deleted.")


async def _locked_view(session: WriteSession, principal: Principal, listable: frozenset[str], view_id: int) -> Record:
    """Loads a view and locks it against concurrent changes. Raises NotFound or PermissionDenied."""
    await session.lock(SavedView, [view_id], ("Id",))
    view = await visible_view(session, principal, listable, view_id)
    await require_user(session, view["UserId"], principal, "update")
    return view


async def _params(api: ApiContext, request: Request, declared: tuple[Param, ...]) -> Params:
    body = await read_body(request, MAX_TOKEN_FORM_BYTES, api.settings.body_seconds)
    params = Params(declared, parse_body(body, request.headers.get("content-type", "")))
    params.raise_errors()
    return params


async def _values(
    api: ApiContext, session: ReadSession, principal: Principal, entity: type[Entity], params: Params
) -> Record:
    """The values of a view to store. Raises ValidationError for a query that the list would reject."""
    name = params[_NAME].strip()
    if not name:
        raise invalid_field(_NAME.name, "is a required field")
    pairs = [pair for pair in parse_qsl(params[_QUERY] or "") if pair[0].lower() not in _NOT_SAVED]
    parse_list_query(entity, urlencode(pairs).encode(), api.settings)
    shared = bool(params[_SHARED] or params[_BUSINESS] or params[_ROLE])
    if shared:
        await require_audience(session, principal, params[_BUSINESS], params[_ROLE])
    return {
        "Name": name,
        "Query": urlencode(pairs),
        "Shared": shared,
        "BusinessId": None if params[_ROLE] else params[_BUSINESS],
        "UserRoleId": params[_ROLE],
    }


async def _own_views(session: WriteSession, user_id: int) -> list[Record]:
    return await session.find(SavedView, where(SavedView, UserId=user_id), columns=("Id", "EntityName", "Name"))


async def _document_of(api: ApiContext, session: ReadSession, principal: Principal, view_id: int) -> dict[str, Any]:
    [view] = await session.find(SavedView, where(SavedView, Id=view_id), columns=VIEW_COLUMNS)
    return _document(api, principal, view)


def _answered(context: RequestContext, value: Any, message: str) -> Response:
    now = context.now.replace(microsecond=0)
    return JsonBytesResponse(action_body(message, value, now, context.principal.email))


def _document(api: ApiContext, principal: Principal, view: Record) -> dict[str, Any]:
    is_own = view["UserId"] == principal.user_id
    may_change = is_own or holds_role(principal, api.user_entity.roles["update"])
    return {name: view[name] for name in VIEW_COLUMNS} | {"IsOwn": is_own, "MayChange": may_change}


def _operation(name: str, title: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": ["sys"],
        "summary": title,
        "description": f"{title}. A view that is shared with a location or a role is seen by its users, where they "
        "may list the records; another user's view is changed with the role User-Edit and every right of that user.",
        "parameters": [],
    }


def _write(name: str, title: str, params: tuple[Param, ...], example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": object_schema(params), "example": example}
    return _operation(name, title) | {"requestBody": {"required": True, "content": {"application/json": content}}}


def _with_id(operation: dict[str, Any]) -> dict[str, Any]:
    return operation | {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]}


_EXAMPLE: Final[dict[str, Any]] = {
    "EntityName": "CoworkerBookingCredit",
    "Name": "Expiring first",
    "Query": "from_CoworkerBookingCredit_RemainingCredit=0.01&orderby=ExpireDate&dir=ascending",
}
_CHANGE_EXAMPLE: Final = {name: value for name, value in _EXAMPLE.items() if name != "EntityName"} | {"Shared": True}
_ID: Final[dict[str, Any]] = {"type": ["integer", "null"], "format": "int64"}
_TEXT: Final[dict[str, Any]] = {"type": ["string", "null"]}
_VIEW: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "Id": {"type": "integer", "format": "int64"},
        "Name": {"type": "string"},
        "EntityName": {"type": "string"},
        "Query": {"type": "string"},
        "UserId": {"type": "integer", "format": "int64"},
        "UserFullName": _TEXT,
        "Shared": {"type": "boolean"},
        "BusinessId": _ID,
        "BusinessName": _TEXT,
        "UserRoleId": _ID,
        "UserRoleName": _TEXT,
        "IsOwn": {"type": "boolean"},
        "MayChange": {"type": "boolean"},
    },
    "required": [*VIEW_COLUMNS, "IsOwn", "MayChange"],
}
_READ: Final[dict[str, Any]] = _operation("SavedViews", "List the saved views that the caller sees") | {
    "parameters": [{"name": "EntityName", "in": "query", "required": False, "schema": {"type": "string"}}],
    **json_success({"type": "array", "items": _VIEW}),
}
