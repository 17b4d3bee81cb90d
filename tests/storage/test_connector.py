"""Hosts of a PostgreSQL URL that answer nothing delay the first connections only."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from creditdesk.storage import connector
from creditdesk.storage.connector import CONNECT_SECONDS, SILENT_REST_SECONDS, HostConnector

URL = "postgresql://desk@first,second/credit"


class Hosts:
    """Stands in for the driver and the clock; a silent host takes its whole deadline."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.attempts = 0
        self.error: Exception | None = TimeoutError()
        self.seconds = CONNECT_SECONDS
        monkeypatch.setattr(asyncpg, "connect", self._connect)
        monkeypatch.setattr(connector, "monotonic", lambda: self.now)
        monkeypatch.setattr(connector, "_keep_alive", lambda _: None)

    async def _connect(self, *_: Any, **__: Any) -> str:
        self.attempts += 1
        if self.error is not None:
            self.now += self.seconds
            raise self.error
        return "connection"


async def test_connections_fail_at_once_for_a_moment_after_all_hosts_were_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts, connect = Hosts(monkeypatch), HostConnector(URL)
    with pytest.raises(TimeoutError):
        await connect(URL)
    assert hosts.attempts == 2
    with pytest.raises(ConnectionError, match="a moment ago"):
        await connect(URL)
    assert hosts.attempts == 2
    hosts.now += SILENT_REST_SECONDS
    hosts.error = None
    assert await connect(URL) == "connection"
    assert await connect(URL) == "connection"


async def test_hosts_that_refuse_are_tried_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts, connect = Hosts(monkeypatch), HostConnector(URL)
    hosts.error, hosts.seconds = ConnectionRefusedError(), 0.001
    for attempts in (2, 4):
        with pytest.raises(ConnectionRefusedError):
            await connect(URL)
        assert hosts.attempts == attempts
