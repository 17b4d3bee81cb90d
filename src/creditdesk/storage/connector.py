"""Opens connections to PostgreSQL: each host of a URL alone, with a deadline of its own.

The host that answered last is tried first, so a silent one delays the first connection only.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched

from creditdesk.storage.urls import single_host_urls
from creditdesk.telemetry.metrics import DATABASE_CONNECTS

CONNECT_SECONDS: Final = 2.0
"""How long one host may take to accept a connection and to sign in."""

PROBE_SECONDS: Final = 1.5
"""How long the host in use may take to answer a probe before it counts as silent."""

SILENT_REST_SECONDS: Final = 0.5
"""How long connections fail at once after all hosts were silent, so that waiting callers do not each time out."""

_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", None), 10),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", None), 5),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", None), 3),
    # Milliseconds that sent data may stay unacknowledged.
    (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", None), 10_000),
)


class HostConnector:
    """The `connect` function of an asyncpg pool, over a URL that may name several hosts.

    Uses the first host that accepts writes, unless the URL has another `target_session_attrs`.
    """

    def __init__(self, url: str) -> None:
        self._urls = list(single_host_urls(url))
        self._rests_until = 0.0

    async def __call__(self, _url: str, **options: Any) -> Any:
        """Opens a connection. Raises the error of the last host if none can be used."""
        started = monotonic()
        if started < self._rests_until:
            raise ConnectionError("no host answered a moment ago")
        failure: Exception | None = None
        for url in tuple(self._urls):
            try:
                connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, **options)
            except TargetServerAttributeNotMatched as error:
                failure = ConnectionError(f"no host that takes writes: {error}")
                continue
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                failure = error
                continue
            DATABASE_CONNECTS.count()
            _keep_alive(connection)
            self._rests_until = 0.0
            if self._urls[0] != url:
                self._urls.remove(url)
                self._urls.insert(0, url)
            return connection
        assert failure is not None
        # Hosts that refuse do so at once, and may be back as soon.
        if (ended := monotonic()) - started > SILENT_REST_SECONDS:
            self._rests_until = ended + SILENT_REST_SECONDS
        raise failure

    async def answers(self) -> bool:
        """Whether the host in use accepts one more connection in time; if not, it is tried last from now on."""
        url = self._urls[0]
        try:
            connection = await asyncpg.connect(url, timeout=PROBE_SECONDS)
        except OSError:
            self._urls.append(self._urls.pop(self._urls.index(url)))
            return False
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            # A host that refuses is not silent.
            return True
        connection.terminate()
        return True


def _keep_alive(connection: Any) -> None:
    # asyncpg offers no option for sockets, and no public name of its transport.
    plain = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if plain is None or plain.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, option, value in _KEEPALIVE:
        if option is not None:
            with suppress(OSError):
                plain.setsockopt(level, option, value)
