"""Which endpoint answers a method and a path under /api: one dictionary look-up, without case.

Every collection is there because a declaration is. Failures become answers here and nowhere else.
Must not know what any endpoint does.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from creditdesk.api import action_handlers, read_handlers, reference_data, write_handlers
from creditdesk.api.context import ApiContext, ExtraRoute
from creditdesk.api.error_handlers import (
    error_response,
    internal_error_response,
    unavailable_response,
)
from creditdesk.api.idempotency import parse_key
from creditdesk.api.rate_limit import client_address
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import DomainError, MethodNotAllowed, NotFound
from creditdesk.schema.fields import MAX_INTEGER
from creditdesk.schema.service import RequestContext

RouteHandler = Callable[..., Awaitable[Response]]
"""Answers a request and its call; on a record's path also given the record's id."""
_ID_PATTERN: Final = re.compile(r"0{0,9}[1-9][0-9]{0,18}", re.ASCII)


class Api:
    """The ASGI application of everything under /api."""

    def __init__(self, context: ApiContext) -> None:
        self.context = context
        self._entities_by_path = {entity.path().lower(): entity for entity in context.entities}
        self._collection_handlers = {
            path: self._handlers_of_collection(entity)
            for path, entity in self._entities_by_path.items()
        }
        self._record_handlers = {
            path: self._handlers_of_record(entity)
            for path, entity in self._entities_by_path.items()
        }
        self._extra_routes = tuple(
            (_compile_pattern(extra.path), extra) for extra in context.extra_routes
        )
        self._fixed_handlers: dict[str, dict[str, RouteHandler]] = {
            "/api/utils/enums": {"GET": lambda r, _: reference_data.list_enum(r.query_params)},
            "/api/auth/me": {"GET": lambda _, call: reference_data.current_user(context, call)},
        }
        for entity in context.entities:
            self._fixed_handlers |= self._handlers_of_actions(entity)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._dispatch(request)
        except DomainError as refusal:
            answer = error_response(refusal)
        except ClientDisconnect:
            return
        except self.context.transient_errors as fault:
            answer = unavailable_response(fault)
        except Exception as fault:  # no fault may show its trace to a caller
            answer = internal_error_response(fault)
        await answer(scope, receive, send)

    async def _dispatch(self, request: Request) -> Response:
        method = request.method
        path = request.scope["path"].lower().rstrip("/")
        offered = self._find_handlers(path)
        if offered is None:
            extras = [(m, e) for p, e in self._extra_routes if (m := p.match(path))]
            if not extras:
                raise NotFound
            return await self._dispatch_extra(request, extras)
        runs, named = offered
        run = runs.get(method)
        if run is None:
            return _method_not_allowed(tuple(runs))
        return await run(request, await self._request_context(request), *named)

    async def _dispatch_extra(
        self, request: Request, extras: list[tuple[re.Match[str], ExtraRoute]]
    ) -> Response:
        for match, extra in extras:
            if extra.method == request.method:
                request.scope["path_params"] = match.groupdict()
                if not extra.is_public:
                    request.state.call = await self._request_context(request)
                return await extra.endpoint(request)
        return _method_not_allowed(tuple(extra.method for _, extra in extras))

    async def _request_context(self, request: Request) -> RequestContext:
        scope, method = request.scope, request.scope["method"]
        now = self.context.clock()
        address = client_address(scope, self.context.proxy_hops)
        caller = await self.context.authenticator.authenticate(_authorization(scope), now, address)
        self.context.rate_limiter.check(caller, method, now)
        key = parse_key(request.headers) if method == "POST" else None
        return RequestContext(caller, now, key)

    def _find_handlers(self, path: str) -> tuple[dict[str, RouteHandler], tuple[int, ...]] | None:
        """What a path offers by method, and the record it names if it names one; None when there
        is no such path.
        """
        offered = self._collection_handlers.get(path)
        if offered is None:
            offered = self._fixed_handlers.get(path)
        if offered is not None:
            return offered, ()
        collection, _, last = path.rpartition("/")
        on_record = self._record_handlers.get(collection)
        if on_record is None or not _ID_PATTERN.fullmatch(last):
            return None
        record_id = int(last)
        return (on_record, (record_id,)) if record_id <= MAX_INTEGER else None

    def _handlers_of_collection(self, entity: type[Entity]) -> dict[str, RouteHandler]:
        parts = self.context
        offered: dict[str, RouteHandler] = {}
        if "list" in entity.verbs:
            offered["GET"] = lambda r, call: read_handlers.list_or_batch(parts, entity, r, call)
        if "create" in entity.verbs:
            offered["POST"] = lambda r, call: write_handlers.create(parts, entity, r, call)
        if "update" in entity.verbs:
            offered["PUT"] = lambda r, call: write_handlers.update(parts, entity, r, call, None)
        return offered

    def _handlers_of_record(self, entity: type[Entity]) -> dict[str, RouteHandler]:
        parts = self.context
        offered: dict[str, RouteHandler] = {}
        if "get" in entity.verbs:
            offered["GET"] = lambda _, call, of: read_handlers.get_one(parts, entity, of, call)
        if "update" in entity.verbs:
            offered["PUT"] = lambda r, call, of: write_handlers.update(parts, entity, r, call, of)
        if "delete" in entity.verbs:
            offered["DELETE"] = lambda _, call, of: write_handlers.delete(parts, entity, of, call)
        return offered

    def _handlers_of_actions(self, entity: type[Entity]) -> dict[str, dict[str, RouteHandler]]:
        parts, path = self.context, entity.path().lower()
        return {
            f"{path}/commands": {
                "GET": lambda _, call: action_handlers.list_actions(parts, entity, call)
            },
            f"{path}/runcommand": {
                "POST": lambda r, call: action_handlers.run_action(parts, entity, r, call)
            },
        }


def _authorization(scope: Scope) -> str | None:
    """The first Authorization header; servers give names in lower case."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            text: str = value.decode("latin-1")
            return text
    return None


def _compile_pattern(path: str) -> re.Pattern[str]:
    words = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path.lower().rstrip("/")))
    return re.compile(f"^{words}$")


def _method_not_allowed(methods: tuple[str, ...]) -> Response:
    answer = error_response(MethodNotAllowed("This method is not offered here"))
    answer.headers["Allow"] = ", ".join(methods)
    return answer
