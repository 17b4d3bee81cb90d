"""The command `serve`: Granian workers, each with its own store and application."""

from __future__ import annotations

import asyncio
import os
import resource
from contextlib import nullcontext
from functools import partial
from typing import Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.validators import Number
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.common import AbstractServer

from creditdesk.auth.encryption import SecretCipher, encrypt_stored_secrets
from creditdesk.auth.users_admin import count_users_who_can_sign_in
from creditdesk.cli.companions import companion
from creditdesk.cli.database import (
    DATABASE_VARIABLE,
    DatabaseOption,
    database_url,
    open_database,
    settings_for,
)
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.cli.observability import logs_as_text, served_metrics
from creditdesk.cli.output import echo
from creditdesk.cli.ports import free_port
from creditdesk.cli.schedule_commands import new_holder, run_scheduler
from creditdesk.cli.worker import WorkerApplication
from creditdesk.console.templating import warm_up
from creditdesk.settings import Settings, variable_of
from creditdesk.storage.urls import describe_url
from creditdesk.telemetry.log_format import log_configuration

MAX_PORTS_TRIED: Final = 100
STOP_SECONDS: Final = 10
"""How long workers may take to finish accepted requests before they are killed, in seconds."""

RELOAD_SECONDS: Final = 8
"""How long a new worker may take to start before a reload stops the one that it replaces, in seconds."""

RESERVED_FILES: Final = 256
"""The number of files that a worker opens besides client connections: database, logs, libraries."""


def serve(
    *,
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
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
        # Compiled once here, so that a worker that starts while others are busy has nothing to compile.
        warm_up()
    # Workers are new processes and read the database from the environment.
    os.environ.pop(variable_of("database"), None)
    os.environ[DATABASE_VARIABLE] = url
    server = http_server("creditdesk.cli.serve:application", host, port, workers, settings)
    shown = f"[{host}]" if ":" in host else host
    server.on_startup(partial(_print_start, f"http://{shown}:{port}", url, users))
    scheduler = companion("jobs", run_scheduler, url, new_holder()) if jobs else nullcontext()
    with served_metrics(url, settings.metrics), scheduler:
        server.serve()
    return 0


def http_server(application: str, host: str, port: int, workers: int, settings: Settings) -> AbstractServer[Any]:
    """The HTTP server over the ASGI application that the factory `application` creates in each worker."""
    return Granian(
        application,
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
        echo(f"Operator users who can sign in: {users}")
    else:
        echo("No operator user can sign in yet. Run: creditdesk init --admin EMAIL")


async def _check_database(url: str) -> int:
    """Encrypts unencrypted secrets, and returns the number of users who can sign in.

    Raises the error of a database that cannot be opened, before any worker starts.
    """
    async with open_database(url) as store, store.write_session() as session:
        cipher = SecretCipher(settings_with_key(url).auth.encryption_key)
        await encrypt_stored_secrets(session, cipher)
        return await count_users_who_can_sign_in(session)


def application() -> WorkerApplication:
    """The application of a worker; called once in every process."""
    return WorkerApplication(os.environ[DATABASE_VARIABLE])
