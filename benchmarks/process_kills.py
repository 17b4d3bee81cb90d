"""What the death of a process of the server costs: `python -m benchmarks.process_kills`.

32 clients post uses, each with an `Idempotency-Key` that it repeats until it is answered 200, to a server with two
workers and scheduled jobs. Then processes are killed (SIGKILL). Writes benchmarks/results/process-kills.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks import report
from benchmarks.engines import ENGINES, running_engine
from benchmarks.failover import SECONDS_BEFORE, create_credits, prepare, run_creditdesk
from benchmarks.failover_load import CALL_SECONDS, CLIENTS, Load
from benchmarks.machine import describe_machine
from benchmarks.server import running_server
from creditdesk.storage.engine import open_store

WORKERS: Final = 2
SECONDS_AFTER: Final = 8.0
LONGEST_GAP_SECONDS: Final = 2.0
"""How soon the service must be back."""

LEADER_TIMEOUT_SECONDS: Final = 60.0
RESULT: Final = report.RESULTS / "process-kills.md"


@dataclass(frozen=True, slots=True)
class ServerProcesses:
    """The processes of a running server."""

    workers: tuple[psutil.Process, ...]
    scheduler: psutil.Process


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """What one case showed: seconds without a 200, and seconds until the jobs had a leader again."""

    engine: str
    case: str
    acknowledged: int
    lost: int
    doubled: int
    verified: bool
    gap_seconds: float
    leader_seconds: float | None
    statuses: Counter[int]


def _processes(pid: int) -> ServerProcesses:
    children = [(child, " ".join(child.cmdline())) for child in psutil.Process(pid).children()]
    # Workers are copies of the server; companions are started anew, with this word among their arguments.
    [scheduler] = [child for child, command in children if "spawn_main" in command]
    workers = [child for child, command in children if "spawn_main" not in command and "tracker" not in command]
    return ServerProcesses(tuple(workers), scheduler)


def _kill_worker(processes: ServerProcesses) -> None:
    processes.workers[0].kill()


def _kill_workers(processes: ServerProcesses) -> None:
    for worker in processes.workers:
        worker.kill()


def _kill_leader(processes: ServerProcesses) -> None:
    processes.scheduler.kill()


CASES: Final[dict[str, Callable[[ServerProcesses], None]]] = {
    "one worker of two": _kill_worker,
    "all workers": _kill_workers,
    "the leader of the jobs": _kill_leader,
}


async def _rows(url: str, text: str) -> list[Any]:
    store = await open_store(url)
    try:
        async with store.read_session() as session:
            # The sessions of both engines run plain SQL; the protocol does not offer it.
            return list(await session.fetch(text, ()))  # type: ignore[attr-defined]
    finally:
        await store.close()


async def _lease(url: str) -> datetime | int | None:
    rows = await _rows(url, "SELECT until FROM leader_lease")
    return rows[0][0] if rows else None


async def _wait_for_leader(url: str, before: datetime | int | None) -> float:
    """Seconds until the lease is another one."""
    started = time.monotonic()
    while await _lease(url) in (None, before):
        if time.monotonic() - started > LEADER_TIMEOUT_SECONDS:
            raise TimeoutError("no process leads the jobs")
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def _run_load(
    url: str, port: int, pid: int, credentials: tuple[str, str], kill: Callable[[ServerProcesses], None]
) -> tuple[Load, float | None]:
    address = f"http://127.0.0.1:{port}"
    load = Load(address, credentials, await create_credits(address, credentials))
    running = asyncio.create_task(load.run())
    await _wait_for_leader(url, None)
    await asyncio.sleep(SECONDS_BEFORE)
    kill(_processes(pid))
    seconds = await _wait_for_leader(url, await _lease(url)) if kill is _kill_leader else None
    await asyncio.sleep(SECONDS_AFTER)
    load.stopping = True
    await asyncio.wait_for(running, 2 * CALL_SECONDS)
    return load, seconds


def run_case(engine_name: str, name: str) -> KillOutcome:
    """Runs one case on a database of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="creditdesk-kill-", ignore_cleanup_errors=True) as folder,
        running_engine(engine_name, CLIENTS, Path(folder)) as engine,
    ):
        credentials = prepare(engine.url)
        log = Path(folder) / "server.log"
        with running_server(engine.url, WORKERS, log, "--jobs") as server:
            load, seconds = asyncio.run(_run_load(engine.url, server.port, server.pid, credentials, CASES[name]))
        keys = "SELECT idempotency_key, count(*) FROM journal_line WHERE idempotency_key LIKE 'failover %' GROUP BY 1"
        effects = {row[0]: row[1] for row in asyncio.run(_rows(engine.url, keys))}
        verified = "agree" in run_creditdesk("verify").splitlines()[-1]
    return KillOutcome(
        engine=engine_name,
        case=name,
        acknowledged=len(load.acknowledged),
        lost=sum(key not in effects for key in load.acknowledged),
        doubled=sum(count > 1 for count in effects.values()),
        verified=verified,
        gap_seconds=load.longest_gap_seconds(),
        leader_seconds=seconds,
        statuses=load.statuses,
    )


def _page(outcomes: Sequence[KillOutcome]) -> str:
    columns = (
        "engine",
        "killed",
        "acknowledged",
        "lost",
        "doubled",
        "verify",
        "longest gap, s",
        "next leader, s",
        "answers",
    )
    rows = [
        (
            each.engine,
            each.case,
            f"{each.acknowledged:,}",
            str(each.lost),
            str(each.doubled),
            "agrees" if each.verified else "differs",
            f"{each.gap_seconds:.1f}",
            "" if each.leader_seconds is None else f"{each.leader_seconds:.1f}",
            ", ".join(f"{count} × {status or 'none'}" for status, count in sorted(each.statuses.items())),
        )
        for each in outcomes
    ]
    return "\n".join(
        [
            "# Processes killed",
            "",
            f"{CLIENTS} clients post uses with a key that they repeat until it is answered 200, to `creditdesk serve",
            f"--workers {WORKERS} --jobs`; then processes are killed with SIGKILL. *None* among the answers is a connection",
            "that ended without one. `python -m benchmarks.process_kills` writes this page.",
            "",
            f"Machine: {describe_machine()}.",
            "",
            *report.markdown(columns, rows),
            "",
        ]
    )


def main() -> int:
    """Runs every case; the exit code is 1 where something was lost or doubled, or the service was away too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, help="only this one")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    outcomes = []
    for engine in [options.engine] if options.engine else ENGINES:
        for name in CASES:
            outcomes.append(run_case(engine, name))
            print(outcomes[-1], flush=True)
    options.out.write_text(_page(outcomes))
    failed = [each for each in outcomes if each.lost or each.doubled or not each.verified]
    late = [each for each in outcomes if each.gap_seconds > LONGEST_GAP_SECONDS]
    return 1 if failed or late else 0


if __name__ == "__main__":
    sys.exit(main())
