"""The ceiling of each engine: pgbench for PostgreSQL, a bare loop in this process for SQLite."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.postgres import TemporaryPostgres
from benchmarks.samples import Sample, summarize
from benchmarks.scenarios import Ceiling

_POSTGRESQL_PARAMETER: Final = re.compile(r"\$(\d+)(::\w+\[\])?")
_SQLITE_PARAMETER: Final = re.compile(r"\?(\d+)")
_PGBENCH_GRACE_SECONDS: Final = 60
_PGBENCH_WARMUP_SECONDS: Final = 2


def pgbench(postgres: TemporaryPostgres, ceiling: Ceiling, clients: int, seconds: float, folder: Path) -> Sample:
    """One sample of pgbench with prepared statements and one thread.

    Its connections are new each time, so their first seconds, in which they plan and fill caches, are
    not counted: the server's connections are warm as well.
    """
    folder.mkdir(exist_ok=True)
    # pgbench has no arrays; an array of one id is built around its variable.
    statements = [
        _POSTGRESQL_PARAMETER.sub(lambda m: f"ARRAY[:p{m[1]}]{m[2]}" if m[2] else f":p{m[1]}", text)
        for text in ceiling.texts
    ]
    sets, constants = _pgbench_variables(ceiling.variants)
    file = folder / "transaction.sql"
    file.write_text(sets + "".join(f"{statement};\n" for statement in statements))
    command = [
        str(_pgbench_path(postgres.binaries)), "-h", postgres.socket_folder, "-U", "postgres", "-n",
        "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(_PGBENCH_WARMUP_SECONDS + max(1, round(seconds))),
        "-l", "--log-prefix", str(folder / "took"), "-f", str(file),
    ]  # fmt: skip
    for name, value in constants.items():
        command += ["-D", f"{name}={value}"]
    done = subprocess.run(
        [*command, "postgres"], capture_output=True, text=True, timeout=seconds + _PGBENCH_GRACE_SECONDS,
        env={**os.environ, "PGOPTIONS": "-c jit=off -c plan_cache_mode=force_generic_plan"}, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"pgbench: {done.stderr[-2000:]}")
    ended: list[tuple[float, int]] = []
    for log in folder.glob("took*"):
        for line in log.read_text().splitlines():
            _, _, microseconds, _, second, part = line.split()
            ended.append((int(second) + int(part) / 1e6, int(microseconds) * 1000))
        log.unlink()
    counted_from = max(at for at, _ in ended) - seconds
    return summarize([durations for at, durations in ended if at > counted_from], seconds)


def _pgbench_path(programs: Path) -> Path:
    found = programs / "pgbench"
    return found if found.exists() else Path("pgbench")


def _pgbench_variables(variants: Sequence[tuple[Any, ...]] | range) -> tuple[str, dict[str, str]]:
    """The head of the script that chooses random parameters, and the constant parameters.

    Datetimes are constants, since pgbench computes only with numbers.
    """
    if isinstance(variants, range):
        return f"\\set p1 random({variants[0]}, {variants[-1]})\n", {}
    lines = [f"\\set chosen random(1, {len(variants)})\n"]
    constants: dict[str, str] = {}
    for position, column in enumerate(zip(*variants, strict=True), 1):
        values = [value[0] if isinstance(value, list) else value for value in column]
        if len(set(values)) == 1:
            constants[f"p{position}"] = str(values[0])
        else:
            cases = " ".join(f"WHEN :chosen = {i} THEN {v}" for i, v in enumerate(values, 1))
            lines.append(f"\\set p{position} CASE {cases} END\n")
    return "".join(lines), constants


def sqlite_loop(file: Path, ceiling: Ceiling, seconds: float) -> Sample:
    """One sample of a loop over a connection with the settings of the server.

    Each write is one transaction, committed durably before the next.
    """
    connection = sqlite3.connect(file, isolation_level=None, timeout=20)
    try:
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "cache_size = -65536"):
            connection.execute(f"PRAGMA {pragma}")
        writes = ceiling.writes
        texts = [(text, len(set(_SQLITE_PARAMETER.findall(text)))) for text in ceiling.texts]
        durations: list[int] = []
        began = time.perf_counter()
        for values in _random_variants(ceiling.variants):
            start = time.perf_counter_ns()
            if writes:
                connection.execute("BEGIN IMMEDIATE")
            for text, width in texts:
                connection.execute(text, values[:width]).fetchall()
            if writes:
                connection.execute("COMMIT")
            durations.append(time.perf_counter_ns() - start)
            if time.perf_counter() - began >= seconds:
                break
        return summarize(durations, time.perf_counter() - began)
    finally:
        connection.close()


def _random_variants(variants: Sequence[tuple[Any, ...]] | range) -> Iterator[tuple[Any, ...]]:
    while True:
        chosen: Any = random.choice(variants)
        yield (chosen,) if isinstance(chosen, int) else chosen
