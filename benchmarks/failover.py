"""What an outage of the database costs: nothing that was acknowledged, and how many seconds without answers.

`python -m benchmarks.failover` starts a PostgreSQL primary with a synchronous standby and a server with two
workers, all on loopback. 32 clients post uses, each with an `Idempotency-Key` that it repeats until it is answered
200. Then one thing fails. Writes benchmarks/results/failover.md.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import httpx
from asyncpg.connect_utils import SessionAttribute

from benchmarks.failover_cluster import Cluster, Pooler, pooler_program
from benchmarks.server import running_server

CLIENTS: Final = 32
CREDITS: Final = 8
SECONDS_BEFORE: Final = 3.0
SECONDS_AFTER: Final = 12.0
RETRY_SECONDS: Final = 0.1
CALL_SECONDS: Final = 30.0
"""How long a client waits for one answer."""
USES_PATH: Final = "/api/billing/coworkerbookingcreditusehistories"
CREDITS_PATH: Final = "/api/billing/coworkerbookingcredits"
RESULT: Final = Path(__file__).parent / "results" / "failover.md"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one case showed. `gap_seconds` is the longest time in which nobody was answered 200."""

    case: str
    acknowledged: int
    lost: int
    doubled: int
    problems: int
    gap_seconds: float
    statuses: Counter[int]


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


def kill_primary(cluster: Cluster) -> None:
    """The primary loses its power; the standby is promoted at once."""
    cluster.primary.kill()
    cluster.standby.promote()


def switch_over(cluster: Cluster) -> None:
    """A planned change of the primary: it stops in order, then the standby is promoted."""
    cluster.primary.stop()
    cluster.standby.promote()


def silence_primary(cluster: Cluster) -> None:
    """The primary keeps its connections and answers nothing; the standby is promoted."""
    cluster.primary.signal(signal.SIGSTOP)
    cluster.standby.promote()


Failure = Callable[[Cluster], None]
CASES: Final[dict[str, Failure]] = {
    "primary killed, standby promoted": kill_primary,
    "planned switch-over": switch_over,
    "primary falls silent, standby promoted": silence_primary,
}
POOLER_CASE: Final = "PgBouncer killed and started again"


@contextmanager
def new_cluster() -> Iterator[tuple[Cluster, Path]]:
    """A running cluster and its folder, for a block."""
    with tempfile.TemporaryDirectory(prefix="creditdesk-failover-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            yield cluster, Path(folder)
        finally:
            cluster.close()


def prepare(url: str) -> tuple[str, str]:
    """Fills the database with a small demo; returns e-mail and password of its administrator."""
    output = _creditdesk("demo", "--uses", "20", "--database", url)
    found = [re.search(rf"^{name}: +(\S+)$", output, re.MULTILINE) for name in ("E-mail", "Password")]
    assert found[0]
    assert found[1]
    return found[0][1], found[1][1]


def _creditdesk(*arguments: str) -> str:
    command = [sys.executable, "-c", "from creditdesk.cli import main; main()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and arguments[0] != "verify":
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


async def new_credit(client: httpx.AsyncClient) -> dict[str, object]:
    """The body of a credit of some customer of the demo."""
    [first] = (await client.get(CREDITS_PATH, params={"size": 1})).json()["Records"]
    return {
        "CoworkerId": first["CoworkerId"],
        "BusinessId": first["BusinessId"],
        "TotalCredit": 100_000,
        "CaneBeUsedForBookings": True,
    }


async def _create_credits(address: str, credentials: tuple[str, str]) -> list[int]:
    async with httpx.AsyncClient(base_url=address, auth=credentials) as client:
        body = await new_credit(client)
        made = [(await client.post(CREDITS_PATH, json=body)).json() for _ in range(CREDITS)]
    return [answer["Value"]["Id"] for answer in made]


async def _run_load(address: str, credentials: tuple[str, str], failure: Callable[[], None]) -> Load:
    load = Load(address, credentials, await _create_credits(address, credentials))
    running = asyncio.create_task(load.run())
    await asyncio.sleep(SECONDS_BEFORE)
    await asyncio.to_thread(failure)
    await asyncio.sleep(SECONDS_AFTER)
    load.stopping = True
    await asyncio.wait_for(running, 2 * CALL_SECONDS)
    return load


async def _effects(url: str) -> Counter[str]:
    """How many journal lines each key wrote; each of these requests writes one."""
    connection = await asyncpg.connect(url, target_session_attrs=SessionAttribute.read_write)
    try:
        rows = await connection.fetch(
            "SELECT idempotency_key, count(*) FROM journal_line WHERE idempotency_key LIKE 'failover %' GROUP BY 1"
        )
    finally:
        await connection.close()
    return Counter({row[0]: row[1] for row in rows})


def run_case(case: str) -> Outcome:
    """Runs one case on a cluster of its own."""
    with new_cluster() as (cluster, folder):
        credentials = prepare(cluster.url)
        if case == POOLER_CASE:
            program = pooler_program()
            assert program
            pooler = Pooler(program, folder, cluster.primary)
            url, failure = pooler.url, pooler.restart
            pooler.start()
        else:
            url, failure = cluster.url, lambda: CASES[case](cluster)
        try:
            with running_server(url, 2, folder / "creditdesk.log") as server:
                load = asyncio.run(_run_load(f"http://127.0.0.1:{server.port}", credentials, failure))
        finally:
            if case == POOLER_CASE:
                pooler.kill()
        if case != POOLER_CASE:
            # A host that fell silent may not come back as a second primary.
            cluster.primary.kill()
        effects = asyncio.run(_effects(cluster.url))
        problems = _creditdesk("verify", "--database", cluster.url)
    agreed = "agree" in problems.splitlines()[-1]
    return Outcome(
        case=case,
        acknowledged=len(load.acknowledged),
        lost=sum(key not in effects for key in load.acknowledged),
        doubled=sum(count > 1 for count in effects.values()),
        problems=0 if agreed else len(problems.splitlines()),
        gap_seconds=load.longest_gap_seconds(),
        statuses=load.statuses,
    )


def _report(outcomes: Sequence[Outcome], skipped: Sequence[str]) -> str:
    lines = [
        "# Failover",
        "",
        f"{CLIENTS} clients post uses with a key that they repeat until it is answered 200; two workers; PostgreSQL",
        "with a synchronous standby, all on one machine. `make failover` writes this page.",
        "",
        "| case | acknowledged | lost | doubled | wrong balances | longest gap, s | answers |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for each in outcomes:
        answers = ", ".join(f"{count} × {status or 'none'}" for status, count in sorted(each.statuses.items()))
        lines.append(
            f"| {each.case} | {each.acknowledged:,} | {each.lost} | {each.doubled} | {each.problems} "
            f"| {each.gap_seconds:.1f} | {answers} |"
        )
    lines += ["", *(f"Not run, as PgBouncer 1.21 or newer is not installed: {case}." for case in skipped)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Runs every case that this machine can run; the exit code is 1 where something was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="run the cases whose name contains this text")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    cases = [case for case in (*CASES, POOLER_CASE) if options.only is None or options.only in case]
    skipped = [case for case in cases if case == POOLER_CASE and pooler_program() is None]
    outcomes = []
    for case in cases:
        if case not in skipped:
            outcomes.append(run_case(case))
            print(outcomes[-1], flush=True)
    options.out.write_text(_report(outcomes, skipped))
    return 1 if any(each.lost or each.doubled or each.problems for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
