"""Other load on the machine during a sample."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

MAX_FOREIGN_CORES = 0.25


@dataclass(slots=True)
class ForeignLoadMonitor:
    """Cores kept busy by processes other than `pids`, their children and this one."""

    pids: Sequence[int]
    foreign_cores: float = 0.0
    _started: float = 0.0
    _busy_before: float = 0.0
    _own_before: float = 0.0

    def __enter__(self) -> Self:
        self._started, self._busy_before, self._own_before = (
            time.monotonic(),
            _busy_seconds(),
            self._own_seconds(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        lasted = time.monotonic() - self._started
        foreign = (_busy_seconds() - self._busy_before) - (self._own_seconds() - self._own_before)
        self.foreign_cores = max(0.0, foreign / lasted)

    def _own_seconds(self) -> float:
        """Own processor seconds; those of ended children are counted by their parent."""
        return sum(tree_seconds(pid) for pid in (os.getpid(), *self.pids))


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    # Without interrupts, which serve our own packets and disk writes.
    return float(times.user + times.nice + times.system + getattr(times, "steal", 0.0))


def tree_seconds(pid: int) -> float:
    """Processor seconds of a process and its descendants."""
    total = 0.0
    try:
        root = psutil.Process(pid)
        members = [root] if pid == os.getpid() else [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for member in members:
        try:
            total += sum(member.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def resident_megabytes(pid: int) -> list[float]:
    """Resident memory of each worker of a server, or of the server itself without workers."""
    root = psutil.Process(pid)
    workers = [child for child in root.children() if child.memory_info().rss > 20 * 2**20]
    return [member.memory_info().rss / 2**20 for member in workers or [root]]


def describe_machine() -> str:
    """Processor, memory and operating system."""
    model = "unknown processor"
    try:
        with Path("/proc/cpuinfo").open() as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
        model = names[0] if names else model
    except OSError:
        pass
    gigabytes = psutil.virtual_memory().total / 2**30
    release = f"{os.uname().sysname} {os.uname().release.split('-')[0]}"
    return f"{os.cpu_count()} cores of {model}, {gigabytes:.0f} GB, {release}"
