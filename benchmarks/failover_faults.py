"""A network that can be cut and a disk that can be filled, for failover.py; both need root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DISK_BYTES: Final = 700_000_000
_HOST_ADDRESS: Final = "10.213.77.1"
_ADDRESS: Final = "10.213.77.2"


@dataclass(frozen=True, slots=True)
class Network:
    """A network namespace behind one cable."""

    name: str
    address: str

    def cut(self) -> None:
        """Pulls the cable at the far end: what is sent gets no answer."""
        _run("ip", "-n", self.name, "link", "set", f"{self.name}-b", "down")


@contextmanager
def network_namespace() -> Iterator[Network]:
    """A network namespace with an address that only this machine reaches, for a block."""
    name = f"cd{os.getpid()}"
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", f"{name}-a", "type", "veth", "peer", "name", f"{name}-b", "netns", name)
        _run("ip", "address", "add", f"{_HOST_ADDRESS}/30", "dev", f"{name}-a")
        _run("ip", "link", "set", f"{name}-a", "up")
        _run("ip", "-n", name, "address", "add", f"{_ADDRESS}/30", "dev", f"{name}-b")
        for device in (f"{name}-b", "lo"):
            _run("ip", "-n", name, "link", "set", device, "up")
        yield Network(name, _ADDRESS)
    finally:
        # Takes the cable with it.
        _run("ip", "netns", "delete", name)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of DISK_BYTES in memory at this folder, for a block."""
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
