"""Files that only their owner may read (mode 0600): databases, exports, checkpoints and keys; and locks of files."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, TextIO

PRIVATE_MODE: Final = 0o600
_WRITE: Final = os.O_WRONLY | os.O_CREAT


def open_private_text(path: Path, newline: str | None = None) -> TextIO:
    """An empty UTF-8 file to write; an existing one is emptied and becomes private."""
    return os.fdopen(_open(path, _WRITE | os.O_TRUNC), "w", encoding="utf-8", newline=newline)


def open_private_bytes(path: Path) -> BinaryIO:
    """The same for bytes."""
    return os.fdopen(_open(path, _WRITE | os.O_TRUNC), "wb")


def create_private_text(path: Path, text: str) -> bool:
    """Creates a file with this text. Returns False, without a change, if it exists already."""
    try:
        descriptor = _open(path, _WRITE | os.O_EXCL)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def ensure_private(path: Path) -> None:
    """Creates the file if it is missing, and makes it private if this user owns it."""
    os.close(_open(path, os.O_RDONLY | os.O_CREAT))


def try_lock(file: IO[Any], *, shared: bool = False) -> bool:
    """Locks a file until it is closed or its process ends; False if another open file has the lock."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, PRIVATE_MODE)
    # The mode applies to new files only; another owner's file keeps its mode.
    with suppress(PermissionError):
        os.fchmod(descriptor, PRIVATE_MODE)
    return descriptor
