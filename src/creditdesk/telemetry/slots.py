"""Numbers that one process counts and another one reads: a file in shared memory for each process.

A process owns a pair of files: `N.values`, an array of 64-bit floats, and `N.series`, one JSON line for
each series with its place in the array. It holds a lock on the first for as long as it lives. A process that
takes the place of one that died goes on with its counters. Counting is an addition in memory: no lock and
no system call (decision 18).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from mmap import mmap
from pathlib import Path
from threading import Lock
from typing import IO, Any, Final

from creditdesk.private_files import try_lock

CAPACITY: Final = 65_536
"""The most numbers of one process. Further series are counted in the first place, which is never read."""

_BYTES: Final = CAPACITY * 8
_FIRST_FREE: Final = 2
_PID: Final = 1

Labels = tuple[str, ...]
SeriesKey = tuple[str, Labels]
"""The name of a metric and the values of its labels."""


class ProcessSlots:
    """The numbers of this process: in private memory until it is given a folder."""

    def __init__(self) -> None:
        self.values = memoryview(bytearray(_BYTES)).cast("d")
        self._places: dict[SeriesKey, int] = {}
        self._next = _FIRST_FREE
        self._lock = Lock()
        self._files: list[IO[Any]] = []

    def attach(self, folder: Path) -> None:
        """Counts in files of this folder from now on; must be called before anything is counted."""
        values_file, series_file = _own_files(folder)
        self.close()
        self._files = [values_file, series_file]
        self.values = memoryview(mmap(values_file.fileno(), _BYTES)).cast("d")
        self._places.clear()
        self._next = _FIRST_FREE
        for name, labels, place, size in _series_lines(series_file.read()):
            self._places[name, labels] = place
            self._next = place + size
        self.values[_PID] = os.getpid()

    def close(self) -> None:
        """Counts in private memory again."""
        while self._files:
            self._files.pop().close()
        self.values = memoryview(bytearray(_BYTES)).cast("d")
        self._places.clear()
        self._next = _FIRST_FREE

    def known(self) -> list[SeriesKey]:
        """Every series that has a place."""
        return list(self._places)

    def place(self, name: str, labels: Labels, size: int = 1) -> int:
        """The first of `size` places of a series; new ones are 0."""
        with self._lock:
            found = self._places.get((name, labels))
            if found is not None:
                return found
            if self._next + size > CAPACITY:
                return 0
            found, self._next = self._next, self._next + size
            self._places[name, labels] = found
            if self._files:
                line = json.dumps([name, labels, found, size]).encode() + b"\n"
                self._files[1].write(line)
                self._files[1].flush()
            return found


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """The numbers of each series of a process. `pid` is None if the process has ended."""

    number: int
    pid: int | None
    series: dict[SeriesKey, tuple[float, ...]]


def read_processes(folder: Path) -> Iterator[ProcessReading]:
    """The numbers of every process that ever counted in the folder."""
    for path in sorted(folder.glob("*.values"), key=lambda each: int(each.stem)):
        with path.open("rb") as file:
            is_alive = not try_lock(file, shared=True)
            content = file.read()
        if len(content) < _BYTES:
            # Its process is about to start.
            continue
        values = memoryview(content).cast("d")
        lines = _series_lines(path.with_suffix(".series").read_bytes())
        series = {(name, labels): tuple(values[place : place + size]) for name, labels, place, size in lines}
        yield ProcessReading(int(path.stem), int(values[_PID]) if is_alive else None, series)


def _own_files(folder: Path) -> tuple[IO[Any], IO[Any]]:
    """The first pair of files that no living process owns, locked."""
    for number in count():
        values_file = (folder / f"{number}.values").open("ab+")
        if try_lock(values_file):
            break
        values_file.close()
    os.ftruncate(values_file.fileno(), _BYTES)
    series_file = (folder / f"{number}.series").open("ab+")
    series_file.seek(0)
    # Its former process may have been killed in the middle of a line, before it counted there.
    series_file.truncate(series_file.read().rfind(b"\n") + 1)
    series_file.seek(0)
    return values_file, series_file


def _series_lines(content: bytes) -> Iterator[tuple[str, Labels, int, int]]:
    # The last line may be half written.
    for line in content.split(b"\n")[:-1]:
        name, labels, place, size = json.loads(line)
        yield name, tuple(labels), place, size
