"""A worker of the server: its store, its application, and its responses while there is no database."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from creditdesk.api.error_handlers import UNAVAILABLE_MESSAGE, error_response
from creditdesk.api.responses import json_response
from creditdesk.app import TRANSIENT_ERRORS, build_app
from creditdesk.cli.config import shown_settings
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.observability import RequestListeners, count_for_server
from creditdesk.cli.schedule_commands import report_folder
from creditdesk.console.templating import warm_up
from creditdesk.ledger.basket_search import load_solver
from creditdesk.schema.errors import Unavailable
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from creditdesk.storage.engine import open_store
from creditdesk.storage.replica import ReadReplica, open_replica

GC_THRESHOLD: Final = 50_000
"""The number of objects that a worker allocates between two collections of the youngest generation."""

OPEN_RETRY_SECONDS: Final = 0.5
"""How long a worker without a database waits before it tries to open it again, in seconds."""

REQUESTS_PER_CONNECTION: Final = 1_000
"""The average number of requests of a connection before the worker asks the client to open another one.

The operating system distributes new connections evenly over the workers. A proxy keeps busy connections open, so
without a limit they would stay with the worker that listened first, or that outlived another one.
"""

_AWAY: Final = (*TRANSIENT_ERRORS, OSError, Unavailable)
"""Errors of a database that cannot be opened now, but may be later."""

_logger = logging.getLogger("creditdesk.server")


class WorkerApplication:
    """Opens the store at startup, serves the API, and closes the store at shutdown.

    A worker that replaces a dead one while the database is away responds 503 until it can be opened. If it ended
    instead, the server would assume a program that cannot start, and end too.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened = AsyncExitStack()
        self._app: ASGIApp | None = None
        self._opening: asyncio.Task[None] | None = None
        self._listeners: RequestListeners | None = None
        self._requests = 0

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return self._handle_lifespan(receive, send)
        self._requests += 1
        if self._requests % REQUESTS_PER_CONNECTION == 0:
            # A request does not identify its connection, so the worker counts its own requests: the busier a
            # connection is, the sooner it is closed.
            send = _closing(send)
        return (self._app or _answer_without_store)(scope, receive, send)

    async def _handle_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            settings = settings_with_key(self._url)
            settings = replace(settings, report_folder=str(report_folder(settings)))
            count_for_server()
            self._listeners = RequestListeners(settings)
            await load_solver()
            if settings.console.enabled:
                warm_up()
            try:
                await self._open(settings)
            except _AWAY as error:
                _logger.warning("the database cannot be opened yet", exc_info=error)
                self._opening = asyncio.create_task(self._keep_opening(settings))
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self, settings: Settings) -> None:
        async with AsyncExitStack() as opened:
            store = await open_store(
                self._url,
                connections=settings.connections,
                busy_seconds=settings.busy_seconds,
                statement_seconds=settings.statement_seconds,
            )
            opened.push_async_callback(store.close)
            replica = await self._open_replica(store, settings, opened)
            app = build_app(
                store,
                settings,
                replica=replica,
                request_listener=self._listeners,
                shown_settings=shown_settings(),
            )
            # Everything allocated so far lives as long as the worker, so the collector need not scan it.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD)
            self._opened, self._app = opened.pop_all(), app

    async def _open_replica(self, store: Store, settings: Settings, opened: AsyncExitStack) -> ReadReplica | None:
        if not settings.replica:
            return None
        replica = await open_replica(
            store,
            settings.replica,
            connections=settings.connections,
            statement_seconds=settings.statement_seconds,
        )
        opened.push_async_callback(replica.close)
        return replica

    async def _keep_opening(self, settings: Settings) -> None:
        """Tries until the database can be opened. Logs the reason, such as the schema of a newer program."""
        while self._app is None:
            await asyncio.sleep(OPEN_RETRY_SECONDS)
            try:
                await self._open(settings)
            except Exception as error:
                _logger.warning("the database cannot be opened yet", exc_info=error)
        _logger.warning("the database is open")

    async def _close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            with suppress(asyncio.CancelledError):
                await self._opening
        await self._opened.aclose()
        if self._listeners is not None:
            await asyncio.to_thread(self._listeners.close)


def _closing(send: Send) -> Send:
    """Sends a response that is the last one of its connection."""

    def send_last(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        return send(message)

    return send_last


async def _answer_without_store(scope: Scope, receive: Receive, send: Send) -> None:
    response: Response = error_response(Unavailable(UNAVAILABLE_MESSAGE))
    if scope["path"] == "/health":
        response = json_response(200, {"Status": "ok"})
    await response(scope, receive, send)
