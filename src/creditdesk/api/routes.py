"""Dispatches requests by one dictionary of case-insensitive paths, and turns every error into a response."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from hashlib import sha256
from typing import Final, TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from creditdesk.api import read_handlers, reference_data
from creditdesk.api.access_trail import AccessTrail, is_file
from creditdesk.api.action_handlers import RunAction, list_actions
from creditdesk.api.browser_requests import (
    SAFE_METHODS,
    is_browser,
    require_declared_type,
    require_own_site,
)
from creditdesk.api.context import ApiContext, ReplicaUse, Route
from creditdesk.api.disconnects import CallerDisconnected, DisconnectWatch
from creditdesk.api.error_handlers import (
    error_response,
    internal_error_response,
    unavailable_response,
)
from creditdesk.api.origin import client_address, first_header
from creditdesk.api.replica_reads import ReplicaReads
from creditdesk.api.security_headers import add_security_headers
from creditdesk.api.write_handlers import CreateRecord, DeleteRecord, UpdateRecord
from creditdesk.schema.conflicts import retry_conflict
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import (
    DomainError,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
    Unavailable,
    invalid_field,
)
from creditdesk.schema.fields import MAX_INTEGER
from creditdesk.schema.service import RequestContext
from creditdesk.telemetry.metrics import ERRORS, RETRIES
from creditdesk.telemetry.request_record import SCOPE_KEY, RequestRecord

MAX_KEY_LENGTH: Final = 255
KEY_DIGITS: Final = 12
"""The number of digits of an idempotency key's digest in the request log."""
_AnswerT = TypeVar("_AnswerT")
_ID: Final = re.compile(r"/0{0,9}([1-9][0-9]{0,18})(?=/|$)", re.ASCII)


class Api:
    """The ASGI application."""

    def __init__(self, api: ApiContext, pages: Iterable[Route] = ()) -> None:
        self.context = api
        self._allowed_origins = frozenset(
            origin.strip().lower().rstrip("/") for origin in api.settings.allowed_origins.split(",")
        ) - {""}
        self._access_trail = AccessTrail(api)
        self._disconnects = DisconnectWatch()
        self._replica_reads = ReplicaReads(api, api.replica) if api.replica else None
        self._routes: dict[str, dict[str, Route]] = {}
        for route in (*_entity_routes(api), *_REFERENCE_ROUTES, *api.extra_routes, *pages):
            self._routes.setdefault(route.path.lower(), {})[route.method] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            if scope["method"] in SAFE_METHODS:
                response = await self._disconnects.watch(receive, self._dispatch(request))
            else:
                response = await self._dispatch(request)
        except CallerDisconnected:
            return
        except DomainError as error:
            ERRORS.count(type(error).__name__)
            response = error_response(error, offers_basic=not is_browser(scope["headers"]))
        except ClientDisconnect:
            # A body with a broken encoding ends in the same way, but that client is still connected.
            response = error_response(invalid_field("Body", "ended before it was complete"))
        except self.context.transient_errors as error:
            ERRORS.count(Unavailable.__name__)
            response = unavailable_response(error)
        except Exception as error:  # the trace goes to the log, never to a client
            ERRORS.count("InternalError")
            response = internal_error_response(error)
        add_security_headers(response, scope["path"])
        await response(scope, receive, send)

    async def _dispatch(self, request: Request) -> Response:
        path = request.scope["path"].lower().rstrip("/")
        record_id = 0
        methods = self._routes.get(path)
        if methods is None:
            path, record_id = _split_id(path)
            methods = self._routes.get(path)
            if methods is None:
                raise NotFound
        record: RequestRecord | None = request.scope.get(SCOPE_KEY)
        if record is not None:
            record.route = path or "/"
        route = methods.get(request.scope["method"])
        if route is None:
            response = error_response(MethodNotAllowed("This path does not support the method"))
            response.headers["Allow"] = ", ".join(methods)
            return response
        if route.method not in SAFE_METHODS and is_browser(request.scope["headers"]):
            self._check_site(request.headers, route)
        if route.is_public:
            return await _run(route, partial(route.handler, self.context, request))
        context = await self._authenticate(request.scope)
        if record is not None:
            record.user_id = context.principal.user_id
            if context.idempotency_key is not None:
                record.key = sha256(context.idempotency_key.encode()).hexdigest()[:KEY_DIGITS]
        try:
            response = await _run(route, partial(self._handle, route, request, context, record_id))
        except PermissionDenied as error:
            await _again(partial(self._access_trail.record_denial, context, route, error))
            raise
        if is_file(response):
            await _again(partial(self._access_trail.record_file, context, route, request))
        return response

    async def _handle(self, route: Route, request: Request, context: RequestContext, record_id: int) -> Response:
        if self._replica_reads is None:
            return await route.handler(self.context, request, context, record_id)
        return await self._replica_reads.handle(
            route, request, lambda api: route.handler(api, request, context, record_id)
        )

    def _check_site(self, headers: Headers, route: Route) -> None:
        """Rejects writes that a browser sends for another site. The token endpoint reads a form whatever its type."""
        require_own_site(headers, self._allowed_origins)
        if not route.is_public:
            require_declared_type(headers)

    async def _authenticate(self, scope: Scope) -> RequestContext:
        """Identifies the caller and counts the request. Raises Unauthenticated or RateLimited."""
        api, method = self.context, scope["method"]
        now = api.clock()
        address = client_address(scope, api.proxy_hops)
        sent = first_header(scope, b"authorization")
        principal = await _again(partial(api.authenticator.authenticate, sent, now, address))
        if api.rate_limiter.is_active:
            await api.rate_limiter.check(principal, method, now)
        return RequestContext(principal, now, _idempotency_key(scope) if method == "POST" else None, address)


async def _run(route: Route, handle: Callable[[], Awaitable[Response]]) -> Response:
    """The handler's response. Retries a write of one transaction, but no read, after a deadlock or a lost race."""
    return await (handle() if route.method in SAFE_METHODS or route.has_own_retries else _again(handle))


async def _again(transact: Callable[[], Awaitable[_AnswerT]]) -> _AnswerT:
    return await retry_conflict(transact, partial(RETRIES.count, "conflict"))


def _idempotency_key(scope: Scope) -> str | None:
    key = (first_header(scope, b"idempotency-key") or "").strip()
    if len(key) > MAX_KEY_LENGTH:
        raise invalid_field("Idempotency-Key", f"must be at most {MAX_KEY_LENGTH} characters")
    return key or None


def _split_id(path: str) -> tuple[str, int]:
    """The path with its first number replaced by `{id}`, and that number; 0 if there is none."""
    found = _ID.search(path)
    if found is None:
        return path, 0
    record_id = int(found[1])
    if record_id > MAX_INTEGER:
        raise NotFound
    return f"{path[: found.start()]}/{{id}}{path[found.end() :]}", record_id


_REFERENCE_ROUTES: Final = (
    Route("GET", "/api/utils/enums", reference_data.list_enum),
    Route("GET", "/api/auth/me", reference_data.current_user),
)


def _entity_routes(api: ApiContext) -> Iterable[Route]:
    for entity in api.entities:
        for path in (entity.path(), *entity.aliases):
            yield from _routes_of(api, entity, path)


def _routes_of(api: ApiContext, entity: type[Entity], path: str) -> Iterable[Route]:
    if "list" in entity.verbs:
        yield Route("GET", path, partial(read_handlers.list_or_batch, entity), replica=ReplicaUse.AT_POSITION)
    if "create" in entity.verbs:
        create = api.create_endpoints.get(entity) or CreateRecord(entity)
        yield Route("POST", path, create)
    if "update" in entity.verbs:
        yield Route("PUT", path, UpdateRecord(entity))
    if "get" in entity.verbs:
        get_one = partial(read_handlers.get_one, entity)
        yield Route("GET", f"{path}/{{id}}", get_one, replica=ReplicaUse.AT_POSITION)
    if "update" in entity.verbs:
        yield Route("PUT", f"{path}/{{id}}", UpdateRecord(entity))
    if "delete" in entity.verbs:
        yield Route("DELETE", f"{path}/{{id}}", DeleteRecord(entity))
    yield Route("GET", f"{path}/commands", partial(list_actions, entity))
    actions = api.actions.get(entity.__name__, ())
    yield Route("POST", f"{path}/runcommand", RunAction(entity, actions))
