"""Write-then-read pairs through a read replica that replays later: how many reads missed the write before them.

`python -m benchmarks.replica` starts a PostgreSQL primary with a standby and a server with two workers that reads
from the standby, all on loopback. Clients create a credit and read it at the position of the answer. Writes
benchmarks/results/replica.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from benchmarks.failover import CREDITS_PATH, new_cluster, new_credit, prepare
from benchmarks.failover_cluster import DATABASE, Cluster
from benchmarks.server import running_server

CLIENTS: Final = 8
STATISTICS_SECONDS: Final = 2
DELAYS_MILLISECONDS: Final = (0, 500)
POSITION_HEADER: Final = "X-Creditdesk-Position"
RESULT: Final = Path(__file__).parent / "results" / "replica.md"


@dataclass(slots=True)
class Outcome:
    """What the pairs at one delay showed."""

    delay_milliseconds: int
    stale: int = 0
    served_by_replica: int = 0
    read_seconds: list[float] = field(default_factory=list)


async def _run_pairs(address: str, credentials: tuple[str, str], pairs: int, outcome: Outcome) -> None:
    remaining = iter(range(pairs))
    async with httpx.AsyncClient(base_url=address, auth=credentials, timeout=30) as client:
        body = await new_credit(client)

        async def run_client() -> None:
            for _ in remaining:
                created = await client.post(CREDITS_PATH, json=body)
                record_id = created.json()["Value"]["Id"]
                position = {POSITION_HEADER: created.headers[POSITION_HEADER]}
                began = time.monotonic()
                found = await client.get(f"{CREDITS_PATH}/{record_id}", headers=position)
                outcome.read_seconds.append(time.monotonic() - began)
                outcome.stale += found.status_code != 200

        await asyncio.gather(*(run_client() for _ in range(CLIENTS)))


def _delay_replica(cluster: Cluster, milliseconds: int) -> None:
    cluster.standby.configure(f"recovery_min_apply_delay = '{milliseconds}ms'")
    cluster.standby.reload()


def _reads_of_credits(url: str) -> int:
    """How often the replica has searched the table of credits."""

    async def ask() -> int:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("SELECT pg_stat_clear_snapshot()")
            statement = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'coworker_booking_credit'"
            return int(await connection.fetchval(statement))
        finally:
            await connection.close()

    # A process reports its statistics some time after a statement.
    time.sleep(STATISTICS_SECONDS)
    return asyncio.run(ask())


def measure(pairs: int) -> list[Outcome]:
    """Runs the pairs at each delay, on one cluster."""
    outcomes = []
    with new_cluster() as (cluster, folder):
        credentials = prepare(cluster.url)
        replica = f"postgresql://postgres@127.0.0.1:{cluster.standby.port}/{DATABASE}"
        os.environ["CREDITDESK_REPLICA"] = replica
        with running_server(cluster.url, 2, folder / "creditdesk.log") as server:
            for milliseconds in DELAYS_MILLISECONDS:
                _delay_replica(cluster, milliseconds)
                outcome = Outcome(milliseconds)
                before = _reads_of_credits(replica)
                asyncio.run(_run_pairs(f"http://127.0.0.1:{server.port}", credentials, pairs, outcome))
                outcome.served_by_replica = _reads_of_credits(replica) - before
                outcomes.append(outcome)
    return outcomes


def _report(outcomes: Sequence[Outcome]) -> str:
    lines = [
        "# Reads on a replica",
        "",
        f"{CLIENTS} clients create a credit and read it at the position of the answer; two workers, a primary and its",
        "replica on one machine. A read waits at most 100 ms for the replica, then the primary answers it.",
        "`python -m benchmarks.replica` writes this page.",
        "",
        "| replica replays later by, ms | pairs | stale | served by the replica | read p50, ms | read p99, ms |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for each in outcomes:
        milliseconds = sorted(1000 * seconds for seconds in each.read_seconds)
        p99 = milliseconds[len(milliseconds) * 99 // 100]
        lines.append(
            f"| {each.delay_milliseconds} | {len(milliseconds):,} | {each.stale} | {each.served_by_replica:,} "
            f"| {statistics.median(milliseconds):.1f} | {p99:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs the pairs; the exit code is 1 where a read was stale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replica", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs at each delay")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the page is written")
    options = parser.parse_args()
    outcomes = measure(options.pairs)
    page = _report(outcomes)
    options.out.write_text(page)
    print(page)
    return 1 if any(each.stale for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
