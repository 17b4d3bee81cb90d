"""Reads on a replica of PostgreSQL that has replayed everything that the caller has seen.

A position is the timeline and the end of the write-ahead log, such as `2-0/16B3748`. A replica of the same timeline
that has replayed up to it has every transaction committed before.
"""

from __future__ import annotations

import re
from asyncio import sleep, timeout
from dataclasses import dataclass
from time import monotonic
from typing import Final

import asyncpg

from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import Store
from creditdesk.storage.postgresql import PostgreSQLStore, connect
from creditdesk.storage.urls import POSTGRESQL_PREFIXES, single_host_urls

REPLAY_SECONDS: Final = 0.1
"""How long a read waits for a replica to replay a position before the primary serves it."""

POLL_SECONDS: Final = 0.005
REPLICA_REST_SECONDS: Final = 1.0
"""How long a replica is not used after a failure."""

_POSITION: Final = re.compile(r"([0-9]{1,10})-([0-9A-F]{1,8}/[0-9A-F]{1,8})", re.ASCII | re.IGNORECASE)
_FAILURES: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A timeline, which a failover raises, and a place in the write-ahead log."""

    timeline: int
    log_place: str

    @classmethod
    def parse(cls, text: str, field: str) -> LogPosition:
        """The position of a text; raises an InvalidFields that names `field`."""
        found = _POSITION.fullmatch(text)
        if found is None:
            raise invalid_field(field, "must be a position that a write answered, such as 1-0/16B3748")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.timeline}-{self.log_place}"


class ReadReplica:
    """One replica beside its primary. `store` serves reads once `has_reached` says so."""

    def __init__(self, primary: PostgreSQLStore, store: PostgreSQLStore) -> None:
        self.store = store
        self._primary = primary
        self._resting_until = 0.0

    async def written(self) -> str | None:
        """The position after everything committed on the primary so far; None while it does not report one."""
        statement = (
            "SELECT ('x' || left(pg_walfile_name(place), 8))::bit(32)::bigint, place::text"
            " FROM pg_current_wal_insert_lsn() AS place"
        )
        try:
            async with self._primary.read_session(snapshot=False) as session:
                [(timeline, place)] = await session.fetch(statement, ())
        except _FAILURES:
            return None
        return str(LogPosition(timeline, place))

    async def has_reached(self, text: str, field: str) -> bool:
        """Whether the replica has this position, or has it within REPLAY_SECONDS.

        Raises an InvalidFields that names `field` for a text that is no position.
        """
        position = LogPosition.parse(text, field)
        if monotonic() < self._resting_until:
            return False
        replayed = False
        try:
            async with timeout(REPLAY_SECONDS):
                # A replica sends no notice of what it replays.
                while not (replayed := await self._has_replayed(position)):  # noqa: ASYNC110 - nothing to wait for
                    await sleep(POLL_SECONDS)
        except TimeoutError:
            return replayed
        except _FAILURES:
            self.rest()
        return replayed

    async def _has_replayed(self, position: LogPosition) -> bool:
        statement = (
            "SELECT timeline_id = $1 AND pg_last_wal_replay_lsn() >= $2::text::pg_lsn FROM pg_control_checkpoint()"
        )
        async with self.store.read_session(snapshot=False) as session:
            [(replayed,)] = await session.fetch(statement, (position.timeline, position.log_place))
        return bool(replayed)

    def rest(self) -> None:
        """Stops using the replica for REPLICA_REST_SECONDS after a failure."""
        self._resting_until = monotonic() + REPLICA_REST_SECONDS

    async def close(self) -> None:
        """Closes the connections to the replica."""
        await self.store.close()


async def open_replica(primary: Store, url: str, *, connections: int, statement_seconds: float | None) -> ReadReplica:
    """The replica at a URL, which need not be reachable yet. Raises ValueError for an unusable URL."""
    if not isinstance(primary, PostgreSQLStore) or not url.startswith(POSTGRESQL_PREFIXES):
        raise ValueError("Only a database of PostgreSQL has read replicas")
    if len(list(single_host_urls(url))) != 1:
        raise ValueError("The replica must be one host, as one connection asks for its position and others read")
    return ReadReplica(primary, await connect(url, connections, statement_seconds, min_connections=0))
