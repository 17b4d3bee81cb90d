"""Clients that post uses until each is acknowledged, for failover.py."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from uuid import uuid4

import httpx

CLIENTS: Final = 32
RETRY_SECONDS: Final = 0.1
CALL_SECONDS: Final = 30.0
"""How long a client waits for one answer."""
USES_PATH: Final = "/api/billing/coworkerbookingcreditusehistories"


@dataclass(slots=True)
class Load:
    """Clients that post uses until they are stopped, and never give a key up."""

    address: str
    credentials: tuple[str, str]
    credit_ids: Sequence[int]
    stopping: bool = False
    acknowledged: dict[str, float] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)

    async def run(self) -> None:
        """Runs every client to its end."""
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(
            base_url=self.address, auth=self.credentials, timeout=CALL_SECONDS, limits=limits
        ) as client:
            await asyncio.gather(*(self._spend(client, number) for number in range(CLIENTS)))

    async def _spend(self, client: httpx.AsyncClient, number: int) -> None:
        body = {"CoworkerBookingCreditId": self.credit_ids[number % len(self.credit_ids)], "CreditUsed": 0.01}
        while not self.stopping:
            await self._send_until_acknowledged(client, body, f"failover {uuid4()}")

    async def _send_until_acknowledged(self, client: httpx.AsyncClient, body: dict[str, float], key: str) -> None:
        while True:
            try:
                answer = await client.post(USES_PATH, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                self.statuses[0] += 1
            else:
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    self.acknowledged[key] = time.monotonic()
                    return
            await asyncio.sleep(RETRY_SECONDS)

    def longest_gap_seconds(self) -> float:
        """The longest time between two acknowledgements."""
        instants = sorted(self.acknowledged.values())
        return max((later - earlier for earlier, later in pairwise(instants)), default=0.0)
