"""What an upgrade costs the clients of running servers: answers other than 2xx, and the longest wait of a write.

`python -m benchmarks.upgrade --old CHECKOUT` makes a demo on PostgreSQL with the program of an older checkout and serves
it. While clients post uses and read lists, this program migrates the database. Then the old server is stopped, contract
steps are applied, and this program serves. Writes benchmarks/results/upgrade.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import httpx

from benchmarks.failover_load import USES_PATH
from benchmarks.postgres import temporary_postgres
from benchmarks.server import free_port

WRITERS: Final = 8
READERS: Final = 2
REST_SECONDS: Final = 0.02
"""The pause of a client after an answer, so that the processor is not what others wait for."""

SECONDS_AROUND: Final = 3.0
"""How long the load runs before and after the migration."""

COMMAND_SECONDS: Final = 3600
DATABASE_VARIABLE: Final = "CREDITDESK_DATABASE_URL"
RESULT: Final = Path(__file__).parent / "results" / "upgrade.md"
NEW_TREE: Final = Path(__file__).parent.parent


@dataclass(slots=True)
class Answers:
    """Statuses of answers; how long writes took, in seconds, with the instants at which they ended."""

    statuses: Counter[str] = field(default_factory=Counter)
    writes: list[tuple[float, float]] = field(default_factory=list)

    def longest_write(self, since: float, until: float) -> float:
        return max((seconds for ended, seconds in self.writes if since <= ended <= until), default=0.0)


@dataclass(frozen=True, slots=True)
class Program:
    """The creditdesk of a checkout, over one database."""

    tree: Path
    url: str

    def run(self, *arguments: str) -> tuple[str, float]:
        """Runs a command to its end; returns what it printed, and the seconds."""
        started = time.monotonic()
        done = subprocess.run(
            self._command(*arguments),
            check=False,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout, time.monotonic() - started

    @contextmanager
    def serve(self) -> Iterator[int]:
        """Runs a server; yields its port when it is ready."""
        port = free_port()
        process = subprocess.Popen(
            self._command("serve", "--port", str(port)), env=self._environment(), stdout=subprocess.DEVNULL
        )
        try:
            _wait_until_ready(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(30)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "creditdesk", *arguments]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.tree / "src"), DATABASE_VARIABLE: self.url}


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the server did not start")


async def _send(client: httpx.AsyncClient, credit_id: int | None, answers: Answers, stopping: asyncio.Event) -> None:
    """Posts uses of a credit until the end, or reads pages of uses where there is none."""
    while not stopping.is_set():
        started = time.monotonic()
        try:
            if credit_id is None:
                answer = await client.get(USES_PATH, params={"size": 25})
            else:
                body = {"CoworkerBookingCreditId": credit_id, "CreditUsed": 0.01}
                answer = await client.post(USES_PATH, json=body, headers={"Idempotency-Key": f"upgrade {uuid4()}"})
                answers.writes.append((time.monotonic(), time.monotonic() - started))
            answers.statuses[f"{answer.status_code // 100}xx"] += 1
        except httpx.TransportError:
            answers.statuses["no answer"] += 1
        await asyncio.sleep(REST_SECONDS)


async def _migrate_under_load(
    new: Program, port: int, credentials: tuple[str, str], credit_ids: list[int]
) -> tuple[Answers, float, float, float]:
    """The answers; the seconds of the migration, and the longest writes before and during it."""
    answers, stopping = Answers(), asyncio.Event()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", auth=credentials, timeout=60) as client:
        clients = [_send(client, each, answers, stopping) for each in (*credit_ids, *[None] * READERS)]
        tasks = [asyncio.create_task(each) for each in clients]
        await asyncio.sleep(SECONDS_AROUND)
        started = time.monotonic()
        _, seconds = await asyncio.to_thread(new.run, "migrate")
        ended = time.monotonic()
        await asyncio.sleep(SECONDS_AROUND)
        stopping.set()
        await asyncio.gather(*tasks)
    return answers, seconds, answers.longest_write(0, started), answers.longest_write(started, ended)


async def _spendable_credits(url: str) -> list[int]:
    """Credits that pay for as many uses as a run posts."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT id FROM coworker_booking_credit WHERE expire_date IS NULL OR expire_date > now() + interval '1 day' "
            f"ORDER BY remaining_credit DESC LIMIT {WRITERS}"
        )
    finally:
        await connection.close()
    return [row["id"] for row in rows]


def _measure(old_tree: Path, uses: int, folder: Path) -> list[str]:
    with temporary_postgres(folder / "data") as postgres:
        old, new = Program(old_tree, postgres.url), Program(NEW_TREE, postgres.url)
        printed, _ = old.run("demo", "--uses", str(uses))
        email, password = re.findall(r"^(?:E-mail|Password): +(\S+)$", printed, re.MULTILINE)
        schema = old.run("--version")[0].strip()
        with old.serve() as port:
            credit_ids = asyncio.run(_spendable_credits(postgres.url))
            found = asyncio.run(_migrate_under_load(new, port, (email, password), credit_ids))
        stopped = time.monotonic()
        _, contract_seconds = new.run("migrate", "--contract")
        with new.serve():
            pause = time.monotonic() - stopped
        new.run("verify")
    answers, seconds, before, during = found
    statuses = ", ".join(f"{name}: {count:,}" for name, count in sorted(answers.statuses.items()))
    return [
        f"| uses of the demo, by version {schema} | {uses:,} |",
        f"| `migrate` beside its server | {seconds:.1f} s |",
        f"| answers meanwhile, and {SECONDS_AROUND:.0f} s before and after | {statuses} |",
        f"| longest write before | {1000 * before:.0f} ms |",
        f"| longest write during | {1000 * during:.0f} ms |",
        f"| `migrate --contract`, no server running | {contract_seconds:.1f} s |",
        f"| from the stop of the old server to the first answer of the new one | {pause:.1f} s |",
        "| `verify` afterwards | no problem |",
    ]


def main() -> None:
    """Measures one upgrade, and writes or adds to the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="A checkout of the older version.")
    parser.add_argument("--uses", type=int, default=1_000_000)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure(options.old, options.uses, Path(folder))
    title = "# Upgrade beside running servers\n\nMade by `python -m benchmarks.upgrade` on PostgreSQL: "
    title += f"{WRITERS} clients post uses, {READERS} read lists.\n"
    text = RESULT.read_text() if RESULT.exists() else title
    table = "\n".join(
        ["| | |", "|---|---|", *rows, f"| load average of the {os.cpu_count()} cores at the start | {load:.1f} |"]
    )
    RESULT.write_text(f"{text}\n{table}\n")
    print(table)


if __name__ == "__main__":
    main()
