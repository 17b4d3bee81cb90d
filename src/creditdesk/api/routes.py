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
from creditdesk.api.context import ExtraPath, Parts
from creditdesk.api.error_handlers import answer_fault, answer_passing, answer_refusal
from creditdesk.api.idempotency import read_key
from creditdesk.api.rate_limit import client_address
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import NoSuchVerb, NotFound, Refusal
from creditdesk.schema.fields import LARGEST_INTEGER
from creditdesk.schema.service import Call

Run = Callable[..., Awaitable[Response]]
"""Answers a request and its call; on a record's path also given the record's id."""
_ID: Final = re.compile(r"0{0,9}[1-9][0-9]{0,18}", re.ASCII)


class Api:
    """The ASGI application of everything under /api."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._collections = {entity.path().lower(): entity for entity in parts.entities}
        self._on_collections = {
            path: self._on_collection(entity) for path, entity in self._collections.items()
        }
        self._on_records = {
            path: self._on_record(entity) for path, entity in self._collections.items()
        }
        self._extras = tuple((_pattern(extra.path), extra) for extra in parts.extras)
        self._fixed: dict[str, dict[str, Run]] = {
            "/api/utils/enums": {"GET": lambda r, _: reference_data.list_enum(r.query_params)},
            "/api/auth/me": {"GET": lambda _, call: reference_data.signed_in(parts, call)},
        }
        for entity in parts.entities:
            self._fixed |= self._commanded(entity)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Refusal as refusal:
            answer = answer_refusal(refusal)
        except ClientDisconnect:
            return
        except self.parts.passing as fault:
            answer = answer_passing(fault)
        except Exception as fault:  # no fault may show its trace to a caller
            answer = answer_fault(fault)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        method = request.method
        path = request.scope["path"].lower().rstrip("/")
        offered = self._offered(path)
        if offered is None:
            extras = [(m, e) for p, e in self._extras if (m := p.match(path))]
            if not extras:
                raise NotFound
            return await self._extra(request, extras)
        runs, named = offered
        run = runs.get(method)
        if run is None:
            return _not_offered(tuple(runs))
        return await run(request, await self._call(request), *named)

    async def _extra(
        self, request: Request, extras: list[tuple[re.Match[str], ExtraPath]]
    ) -> Response:
        for match, extra in extras:
            if extra.method == request.method:
                request.scope["path_params"] = match.groupdict()
                if not extra.open:
                    request.state.call = await self._call(request)
                return await extra.endpoint(request)
        return _not_offered(tuple(extra.method for _, extra in extras))

    async def _call(self, request: Request) -> Call:
        scope, method = request.scope, request.scope["method"]
        now = self.parts.clock()
        address = client_address(scope, self.parts.proxy_hops)
        caller = await self.parts.auth.caller(_authorization(scope), now, address)
        self.parts.throttle.check(caller, method, now)
        key = read_key(request.headers) if method == "POST" else None
        return Call(caller, now, key)

    def _offered(self, path: str) -> tuple[dict[str, Run], tuple[int, ...]] | None:
        """What a path offers by method, and the record it names if it names one; None when there
        is no such path.
        """
        offered = self._on_collections.get(path)
        if offered is None:
            offered = self._fixed.get(path)
        if offered is not None:
            return offered, ()
        collection, _, last = path.rpartition("/")
        on_record = self._on_records.get(collection)
        if on_record is None or not _ID.fullmatch(last):
            return None
        record_id = int(last)
        return (on_record, (record_id,)) if record_id <= LARGEST_INTEGER else None

    def _on_collection(self, entity: type[Entity]) -> dict[str, Run]:
        parts = self.parts
        offered: dict[str, Run] = {}
        if "list" in entity.verbs:
            offered["GET"] = lambda r, call: read_handlers.list_or_batch(parts, entity, r, call)
        if "create" in entity.verbs:
            offered["POST"] = lambda r, call: write_handlers.create(parts, entity, r, call)
        if "update" in entity.verbs:
            offered["PUT"] = lambda r, call: write_handlers.update(parts, entity, r, call, None)
        return offered

    def _on_record(self, entity: type[Entity]) -> dict[str, Run]:
        parts = self.parts
        offered: dict[str, Run] = {}
        if "get" in entity.verbs:
            offered["GET"] = lambda _, call, of: read_handlers.get_one(parts, entity, of, call)
        if "update" in entity.verbs:
            offered["PUT"] = lambda r, call, of: write_handlers.update(parts, entity, r, call, of)
        if "delete" in entity.verbs:
            offered["DELETE"] = lambda _, call, of: write_handlers.delete(parts, entity, of, call)
        return offered

    def _commanded(self, entity: type[Entity]) -> dict[str, dict[str, Run]]:
        parts, path = self.parts, entity.path().lower()
        return {
            f"{path}/commands": {
                "GET": lambda _, call: action_handlers.list_commands(parts, entity, call)
            },
            f"{path}/runcommand": {
                "POST": lambda r, call: action_handlers.run_command(parts, entity, r, call)
            },
        }


def _authorization(scope: Scope) -> str | None:
    """The first Authorization header; servers give names in lower case."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            text: str = value.decode("latin-1")
            return text
    return None


def _pattern(path: str) -> re.Pattern[str]:
    words = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path.lower().rstrip("/")))
    return re.compile(f"^{words}$")


def _not_offered(methods: tuple[str, ...]) -> Response:
    answer = answer_refusal(NoSuchVerb("This method is not offered here"))
    answer.headers["Allow"] = ", ".join(methods)
    return answer
