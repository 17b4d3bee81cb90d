"""Runs a command in its own process and measures its time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.machine import tree_seconds

TIMEOUT_SECONDS: Final = 3600
_POLL_SECONDS: Final = 0.05
_PRODUCT: Final = ("-c", "import sys; from creditdesk.cli import main; sys.exit(main())")


class CommandFailed(Exception):
    """A command failed; the text is the end of its output."""


@dataclass(frozen=True, slots=True)
class CommandUsage:
    """Time and memory of a command: processor seconds of its processes and of the database's, and the
    most memory of its processes at one time, in megabytes.
    """

    seconds: float
    cpu_seconds: float
    database_cpu_seconds: float
    peak_megabytes: float
    output: str


def creditdesk_command(*arguments: str) -> list[str]:
    """The arguments of a creditdesk command."""
    return [sys.executable, *_PRODUCT, *arguments]


def module_command(name: str, *arguments: str) -> list[str]:
    """The arguments that run a module of the benchmarks."""
    return [sys.executable, "-m", name, *arguments]


def run_command(command: Sequence[str], database_pids: Sequence[int], log: Path) -> CommandUsage:
    """Runs a command to its end. Raises CommandFailed when it fails or takes longer than an hour."""
    behind = sum(tree_seconds(pid) for pid in database_pids)
    began, peak, out_file = time.monotonic(), 0.0, log.with_suffix(".out")
    with log.open("w") as errors, out_file.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        try:
            while True:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                if time.monotonic() - began > TIMEOUT_SECONDS:
                    raise CommandFailed(f"{command[-3:]} took more than {TIMEOUT_SECONDS} seconds")
                peak = max(peak, _resident_megabytes(process.pid))
                time.sleep(_POLL_SECONDS)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
    if process.returncode:
        raise CommandFailed(f"{command[3:]}: {log.read_text()[-2000:]}{out_file.read_text()[-2000:]}")
    return CommandUsage(
        time.monotonic() - began,
        usage.ru_utime + usage.ru_stime,
        sum(tree_seconds(pid) for pid in database_pids) - behind,
        max(peak, usage.ru_maxrss / 1024),
        out_file.read_text(),
    )


def _resident_megabytes(pid: int) -> float:
    total = 0
    try:
        root = psutil.Process(pid)
        for member in (root, *root.children(recursive=True)):
            total += member.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total / 2**20
