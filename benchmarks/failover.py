"""What an outage of the database costs: nothing that was acknowledged, and how many seconds without answers.

`python -m benchmarks.failover` starts a PostgreSQL primary with a synchronous standby and a server with two
workers, all on loopback. 32 clients post uses, each with an `Idempotency-Key` that it repeats until it is answered
200. Then one thing fails. Writes benchmarks/results/failover.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import httpx
from asyncpg.connect_utils import SessionAttribute

from benchmarks.failover_cluster import Cluster, Pooler, pooler_program
from benchmarks.failover_faults import network_namespace, small_disk
from benchmarks.failover_load import CALL_SECONDS, CLIENTS, Load
from benchmarks.patroni_cluster import PatroniCluster, patroni_programs
from benchmarks.server import running_server

CREDITS: Final = 8
SECONDS_BEFORE: Final = 3.0
SECONDS_AFTER: Final = 12.0
FULL_SECONDS: Final = 5
PATRONI_LEASE_SECONDS: Final = 20.0
"""`ttl` of deploy/patroni/patroni.yml."""
DATABASE_VARIABLE: Final = "CREDITDESK_DATABASE_URL"
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


def kill_primary(cluster: Cluster) -> None:
    """The primary loses its power; the standby is promoted at once."""
    cluster.primary.kill()
    cluster.standby.promote()


def switch_over(cluster: Cluster) -> None:
    """A planned change of the primary: it stops in order, then the standby is promoted."""
    cluster.primary.stop()
    cluster.standby.promote()


def lose_standby(cluster: Cluster) -> None:
    """The synchronous standby loses its power; two seconds later the primary no longer waits for one."""
    cluster.standby.kill()
    time.sleep(2)
    cluster.primary.configure("synchronous_standby_names = ''")
    cluster.primary.reload()


def silence_primary(cluster: Cluster) -> None:
    """The primary keeps its connections and answers nothing; the standby is promoted."""
    cluster.primary.signal(signal.SIGSTOP)
    cluster.standby.promote()


@dataclass(frozen=True, slots=True)
class Case:
    """A set-up and what happens to it; `missing` says what this machine lacks for it."""

    name: str
    set_up: Callable[[], AbstractContextManager[SetUp]]
    seconds_after: float = SECONDS_AFTER
    missing: str = ""


@dataclass(frozen=True, slots=True)
class SetUp:
    """A running database, where its own files are, and what is to fail.

    `url` is where the server connects, `database` where the effects are read; `settle` runs before they are.
    """

    folder: Path
    url: str
    database: str
    fail: Callable[[], None]
    settle: Callable[[], None] = lambda: None


def _failing(
    failure: Callable[[Cluster], None], *, primary_stays: bool = False
) -> Callable[[], AbstractContextManager[SetUp]]:
    """The set-up of two hosts of which nobody takes care."""

    @contextmanager
    def set_up() -> Iterator[SetUp]:
        with new_cluster() as (cluster, folder):
            # A host that fell silent may not come back as a second primary.
            settle = (lambda: None) if primary_stays else cluster.primary.kill
            yield SetUp(folder, cluster.url, cluster.url, partial(failure, cluster), settle)

    return set_up


@contextmanager
def _full_disk() -> Iterator[SetUp]:
    """The set-up of a primary on a small disk, which another program fills; five seconds later somebody frees it."""
    with tempfile.TemporaryDirectory(prefix="creditdesk-failover-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder))
        with small_disk(Path(folder) / "disk") as disk:
            cluster.primary.folder = disk / "primary"

            def fill() -> None:
                filling = disk / "filling"
                until = time.monotonic() + FULL_SECONDS
                with filling.open("wb", buffering=0) as file:
                    while time.monotonic() < until:
                        # Whatever the database frees meanwhile is taken too.
                        with suppress(OSError):
                            file.write(bytes(1 << 20))
                            continue
                        time.sleep(0.05)
                filling.unlink()
                if not cluster.primary.is_running():
                    cluster.primary.start()

            try:
                cluster.start()
                yield SetUp(Path(folder), cluster.url, cluster.url, fill)
            finally:
                cluster.close()


@contextmanager
def _cut_off() -> Iterator[SetUp]:
    """The set-up of a primary in a network namespace, whose cable is pulled; the standby is promoted."""
    with tempfile.TemporaryDirectory(prefix="creditdesk-failover-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder))
        with network_namespace() as network:
            cluster.primary.namespace, cluster.primary.address = network.name, network.address

            def cut() -> None:
                network.cut()
                cluster.standby.promote()

            try:
                cluster.start()
                yield SetUp(Path(folder), cluster.url, cluster.url, cut, cluster.primary.kill)
            finally:
                cluster.close()


@contextmanager
def _pooled() -> Iterator[SetUp]:
    """The set-up of PgBouncer in front of one host."""
    with new_cluster() as (cluster, folder):
        program = pooler_program()
        assert program
        pooler = Pooler(program, folder, cluster.primary)
        pooler.start()
        try:
            yield SetUp(folder, pooler.url, cluster.url, pooler.restart)
        finally:
            pooler.kill()


def _managed(failure: Callable[[PatroniCluster], None]) -> Callable[[], AbstractContextManager[SetUp]]:
    """The set-up of two hosts under Patroni."""

    @contextmanager
    def set_up() -> Iterator[SetUp]:
        with tempfile.TemporaryDirectory(prefix="creditdesk-patroni-", ignore_cleanup_errors=True) as folder:
            cluster = PatroniCluster(Path(folder))
            try:
                cluster.start()
                yield SetUp(Path(folder), cluster.url, cluster.url, partial(failure, cluster))
            finally:
                cluster.close()

    return set_up


def _cases() -> Iterator[Case]:
    yield Case("primary killed, standby promoted", _failing(kill_primary))
    yield Case("planned switch-over", _failing(switch_over))
    yield Case("primary falls silent, standby promoted", _failing(silence_primary))
    yield Case("synchronous standby killed, then given up", _failing(lose_standby, primary_stays=True))
    missing = "" if os.geteuid() == 0 else "the right to make a network and a disk"
    yield Case("primary cut off the network, standby promoted", _cut_off, missing=missing)
    yield Case(f"disk of the primary full for {FULL_SECONDS} s", _full_disk, missing=missing)
    missing = "" if patroni_programs() else "etcd and Patroni"
    after = PATRONI_LEASE_SECONDS + SECONDS_AFTER
    yield Case("Patroni: leader killed", _managed(PatroniCluster.kill_leader), after, missing)
    yield Case("Patroni: planned switch-over", _managed(PatroniCluster.switch_over), after, missing)
    missing = "" if pooler_program() else "PgBouncer 1.21 or newer"
    yield Case("PgBouncer killed and started again", _pooled, missing=missing)


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
    # A password among the arguments would be refused.
    os.environ[DATABASE_VARIABLE] = url
    output = run_creditdesk("demo", "--uses", "20")
    found = [re.search(rf"^{name}: +(\S+)$", output, re.MULTILINE) for name in ("E-mail", "Password")]
    assert found[0]
    assert found[1]
    return found[0][1], found[1][1]


def run_creditdesk(*arguments: str) -> str:
    """What a command prints; raises RuntimeError where one other than `verify` fails."""
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


async def create_credits(address: str, credentials: tuple[str, str]) -> list[int]:
    """Credits for the load; returns their ids."""
    async with httpx.AsyncClient(base_url=address, auth=credentials) as client:
        body = await new_credit(client)
        made = [(await client.post(CREDITS_PATH, json=body)).json() for _ in range(CREDITS)]
    return [answer["Value"]["Id"] for answer in made]


async def _run_load(
    address: str, credentials: tuple[str, str], failure: Callable[[], None], seconds_after: float
) -> Load:
    load = Load(address, credentials, await create_credits(address, credentials))
    running = asyncio.create_task(load.run())
    await asyncio.sleep(SECONDS_BEFORE)
    await asyncio.to_thread(failure)
    await asyncio.sleep(seconds_after)
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


def run_case(case: Case) -> Outcome:
    """Runs one case on a database of its own."""
    with case.set_up() as set_up:
        credentials = prepare(set_up.database)
        with running_server(set_up.url, 2, set_up.folder / "creditdesk.log") as server:
            address = f"http://127.0.0.1:{server.port}"
            load = asyncio.run(_run_load(address, credentials, set_up.fail, case.seconds_after))
        set_up.settle()
        effects = asyncio.run(_effects(set_up.database))
        os.environ[DATABASE_VARIABLE] = set_up.database
        problems = run_creditdesk("verify")
    agreed = "agree" in problems.splitlines()[-1]
    return Outcome(
        case=case.name,
        acknowledged=len(load.acknowledged),
        lost=sum(key not in effects for key in load.acknowledged),
        doubled=sum(count > 1 for count in effects.values()),
        problems=0 if agreed else len(problems.splitlines()),
        gap_seconds=load.longest_gap_seconds(),
        statuses=load.statuses,
    )


def _report(outcomes: Sequence[Outcome], skipped: Sequence[Case]) -> str:
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
    lines += ["", *(f"Not run, without {case.missing}: {case.name}." for case in skipped)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Runs every case that this machine can run; the exit code is 1 where something was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="run the cases whose name contains this text")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    cases = [case for case in _cases() if options.only is None or options.only in case.name]
    skipped = [case for case in cases if case.missing]
    outcomes = []
    for case in cases:
        if not case.missing:
            outcomes.append(run_case(case))
            print(outcomes[-1], flush=True)
    options.out.write_text(_report(outcomes, skipped))
    return 1 if any(each.lost or each.doubled or each.problems for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
