"""Leader election by a lease in the database, which its holder renews and which expires by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from creditdesk.entities.ledger.leader_lease import LeaderLease
from creditdesk.schema.errors import Conflict
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store

LEASE_TIME: Final = timedelta(minutes=5)
"""How long a lease lasts, and so how long a dead leader delays its successor."""

_NAME: Final = "jobs"


async def take_lease(store: Store, holder: str, now: datetime) -> bool:
    """Takes or renews the lease for LEASE_TIME; returns whether `holder` is the leader."""
    try:
        async with store.write_session() as session:
            found = await session.find(LeaderLease, where(LeaderLease, Name=_NAME), columns=("Id",))
            values = {"Name": _NAME, "Holder": holder, "Until": now + LEASE_TIME}
            if not found:
                await session.insert(LeaderLease, [new_record(LeaderLease, values, now)])
                return True
            lease_id = found[0]["Id"]
            lease = (await session.lock(LeaderLease, [lease_id]))[lease_id]
            if lease["Holder"] != holder and lease["Until"] > now:
                return False
            await session.update(LeaderLease, [(lease_id, values)])
    except Conflict:
        # Another process created the first lease concurrently.
        return False
    return True


async def leader_until(store: Store) -> datetime | None:
    """When the current lease ends; None if there never was one."""
    async with store.read_session() as session:
        found = await session.find(LeaderLease, where(LeaderLease, Name=_NAME))
    return found[0]["Until"] if found else None


async def release_lease(store: Store, holder: str, now: datetime) -> None:
    """Lets another process lead at once."""
    async with store.write_session() as session:
        for lease in await session.find(LeaderLease, where(LeaderLease, Name=_NAME, Holder=holder)):
            await session.update(LeaderLease, [(lease["Id"], {"Until": now})])
