"""Detects a silent database host before the deadline of a statement does.

A silent host keeps its connections open and answers nothing. A statement may legitimately take seconds, so its
duration alone proves nothing: the watch opens one more connection, and closes the others only if the host does
not answer that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from creditdesk.storage.pool import ConnectionPool

QUIET_SECONDS: Final = 1.5
"""How long a connection may be in use before its host is probed, and the time between two probes."""

INTERVAL_SECONDS: Final = 0.5
"""The time between two checks of the connections in use."""


async def watch_for_silence(pool: ConnectionPool, probe: Callable[[], Awaitable[bool]]) -> None:
    """Closes the connections in use whenever `probe` says that their host does not answer.

    Their statements fail as they do when a host goes away; the outcome of a commit among them is unknown. Runs until
    it is cancelled.
    """
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        if not pool.in_use_since(monotonic() - QUIET_SECONDS):
            continue
        if await probe():
            await asyncio.sleep(QUIET_SECONDS)
        else:
            pool.terminate_in_use()
