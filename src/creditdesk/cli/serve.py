"""The command `serve`: Granian workers, each with its own store and application."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
from collections.abc import Awaitable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from starlette.types import ASGIApp, Receive, Scope, Send

from creditdesk.app import build_app
from creditdesk.auth.encryption import SecretCipher, encrypt_stored_secrets
from creditdesk.auth.users_admin import count_users_who_can_sign_in
from creditdesk.cli.companions import companion
from creditdesk.cli.config import shown_settings
from creditdesk.cli.database import (
    DATABASE_VARIABLE,
    DatabaseOption,
    database_url,
    open_database,
    settings_for,
)
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.observability import (
    RequestListeners,
    count_for_server,
    logs_as_text,
    served_metrics,
)
from creditdesk.cli.output import echo
from creditdesk.cli.ports import free_port
from creditdesk.cli.schedule_commands import report_folder, run_scheduler
from creditdesk.console.templating import warm_up
from creditdesk.ledger.basket_search import load_solver
from creditdesk.schema.repository import Store
from creditdesk.settings import variable_of
from creditdesk.storage.engine import open_store
from creditdesk.storage.replica import ReadReplica, open_replica
from creditdesk.storage.urls import describe_url
from creditdesk.telemetry.log_format import log_configuration

MAX_PORTS_TRIED: Final = 100
STOP_SECONDS: Final = 10
"""How long workers may take to answer what they have accepted, before they are killed."""

RELOAD_SECONDS: Final = 8
"""How long a new worker may take to start, before a reload stops the one that it replaces."""

RESERVED_FILES: Final = 256
"""Files that a worker opens beside the connections of clients: database, logs, libraries."""

GC_THRESHOLD: Final = 50_000
"""Objects that a worker allocates between two collections of the youngest generation."""


def serve(
    *,
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65535), help="Port to listen on.")] = 8400,
    workers: Annotated[int, Parameter(validator=Number(gte=1), help="Worker processes; about one per core.")] = 1,
    port_or_next: Annotated[
        bool, Parameter(negative="", help="Use the next free port when this one is in use.")
    ] = False,
    jobs: Annotated[
        bool, Parameter(negative="", help="Also run the scheduled jobs, as `creditdesk jobs run` does.")
    ] = False,
    database: DatabaseOption = None,
) -> int:
    """Serve the API and its pages until interrupted; prints the address."""
    url = database_url(database)
    settings = settings_for(url)
    users = asyncio.run(_check_database(url))
    port = free_port(host, port, MAX_PORTS_TRIED if port_or_next else 1)
    if settings.console.enabled:
        # Here once, so that a worker that starts beside busy ones has nothing to compile.
        warm_up()
    # Workers are new processes and read the database from the environment.
    os.environ.pop(variable_of("database"), None)
    os.environ[DATABASE_VARIABLE] = url
    server = Granian(
        "creditdesk.cli.serve:application",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        factory=True,
        respawn_failed_workers=True,
        respawn_interval=RELOAD_SECONDS,
        workers_kill_timeout=STOP_SECONDS,
        websockets=False,
        # With HTTP/2 the server would wait for the first byte of a connection without a deadline.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=1000 * settings.idle_seconds),
        backpressure=_allow_connections(settings.client_connections),
        log_enabled=True,
        log_level=LogLevels.warning,
        log_dictconfig=log_configuration(as_text=logs_as_text(settings.log)),
    )
    shown = f"[{host}]" if ":" in host else host
    server.on_startup(partial(_print_start, f"http://{shown}:{port}", url, users))
    with served_metrics(url, settings.metrics), companion("jobs", run_scheduler, url) if jobs else nullcontext():
        server.serve()
    return 0


def _allow_connections(wanted: int) -> int:
    """Raises the limit of open files for this many connections per worker; returns what it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = max(1, soft - RESERVED_FILES)
    echo(f"Clients may hold {allowed} connections per worker: this process may open {soft} files.")
    return allowed


def _print_start(address: str, url: str, users: int) -> None:
    echo(f"creditdesk serves {address}")
    echo(f"Database: {describe_url(url)}")
    if settings_for(url).console.enabled:
        echo(f"Console: {address}/console/")
    if settings_for(url).api.publish_docs:
        echo(f"Page: {address}/docs")
    if users:
        echo(f"Users who can sign in: {users}")
    else:
        echo("Nobody can sign in yet. Run: creditdesk init --admin EMAIL")


async def _check_database(url: str) -> int:
    """The number of users who can sign in. Secrets that are not encrypted yet are, from now on.

    Raises the error of a database that cannot be opened, before any worker starts.
    """
    async with open_database(url) as store, store.write_session() as session:
        cipher = SecretCipher(settings_with_key(url).auth.encryption_key)
        await encrypt_stored_secrets(session, cipher)
        return await count_users_who_can_sign_in(session)


def application() -> WorkerApplication:
    """The application of a worker; called once in every process."""
    return WorkerApplication(os.environ[DATABASE_VARIABLE])


class WorkerApplication:
    """Opens the store at startup, serves the API, and closes the store at shutdown."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: Store | None = None
        self._replica: ReadReplica | None = None
        self._app: ASGIApp | None = None
        self._listeners: RequestListeners | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return self._handle_lifespan(receive, send)
        assert self._app is not None
        return self._app(scope, receive, send)

    async def _handle_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    settings = settings_with_key(self._url)
                    count_for_server()
                    self._listeners = RequestListeners(settings)
                    settings = replace(settings, report_folder=str(report_folder(settings)))
                    self._store = await open_store(
                        self._url,
                        connections=settings.connections,
                        busy_seconds=settings.busy_seconds,
                        statement_seconds=settings.statement_seconds,
                    )
                    if settings.replica:
                        self._replica = await open_replica(
                            self._store,
                            settings.replica,
                            connections=settings.connections,
                            statement_seconds=settings.statement_seconds,
                        )
                    self._app = build_app(
                        self._store,
                        settings,
                        replica=self._replica,
                        request_listener=self._listeners,
                        shown_settings=shown_settings(),
                    )
                    await load_solver()
                    if settings.console.enabled:
                        warm_up()
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
                # Everything allocated so far lives as long as the worker.
                gc.collect()
                gc.freeze()
                gc.set_threshold(GC_THRESHOLD)
                await send({"type": "lifespan.startup.complete"})
            else:
                for opened in (self._replica, self._store):
                    if opened is not None:
                        await opened.close()
                if self._listeners is not None:
                    await asyncio.to_thread(self._listeners.close)
                await send({"type": "lifespan.shutdown.complete"})
                return
