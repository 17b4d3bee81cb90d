"""Caches users and sessions in memory; an entry is used only during the cache's lease.

A lease begins with reading the cache revision and lasts `CACHE_LEASE_MILLISECONDS`; a new revision clears the
cache. The response to a change of a user or session waits until all earlier leases have ended, so no caller that
knows of the change sees former values. This costs one small read per lease.
"""

from __future__ import annotations

from asyncio import Lock
from collections import OrderedDict
from time import monotonic
from typing import Final

from creditdesk.auth.principal import UserSnapshot, load_session_snapshot, load_user_snapshot
from creditdesk.schema.repository import CACHE_LEASE_MILLISECONDS, Store

MAX_CACHED_SNAPSHOTS: Final = 10_000

_Key = tuple[int, int | None]
"""A user, and its session; None for a user by its password."""


class SnapshotCache:
    """The snapshots of users and sessions of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[_Key, UserSnapshot] = OrderedDict()
        self._revision = -1
        self._lease_ends = 0.0
        self._renewing = Lock()

    def cached(self, user_id: int, session_id: int) -> UserSnapshot | None:
        """The snapshot of a session, if it is cached and the lease lasts."""
        if monotonic() >= self._lease_ends:
            return None
        return self._snapshots.get((user_id, session_id))

    async def get(self, user_id: int, session_id: int | None = None) -> UserSnapshot | None:
        """The snapshot of an open session, or of a user; None where there is none."""
        if monotonic() >= self._lease_ends:
            await self._renew_lease()
        key = (user_id, session_id)
        snapshot = self._snapshots.get(key)
        if snapshot is not None:
            return snapshot
        revision = self._revision
        async with self._store.read_session() as session:
            if session_id is None:
                snapshot = await load_user_snapshot(session, user_id)
            else:
                snapshot = await load_session_snapshot(session, user_id, session_id)
        # A snapshot that was read before a change must not outlive the lease that noticed it.
        if snapshot is not None and revision == self._revision:
            self._snapshots[key] = snapshot
            if len(self._snapshots) > MAX_CACHED_SNAPSHOTS:
                self._snapshots.popitem(last=False)
        return snapshot

    async def _renew_lease(self) -> None:
        async with self._renewing:
            started = monotonic()
            if started < self._lease_ends:
                return
            async with self._store.read_session(snapshot=False) as session:
                revision = await session.cache_revision()
            if revision != self._revision:
                self._snapshots.clear()
                self._revision = revision
            self._lease_ends = started + CACHE_LEASE_MILLISECONDS / 1000
