"""The backups that the job `backup` makes, and which of them are old."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"creditdesk-(\d{8}T\d{6})Z\.backup")
_FORMAT: Final = "%Y%m%dT%H%M%S"

PARTIAL_HOURS: Final = 24
"""The age at which an unfinished backup counts as interrupted."""


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """The folder of backups, how long they are kept, and `make(path)`, which copies the database to a new file."""

    folder: Path
    keep: timedelta
    make: Callable[[Path], Awaitable[None]]


async def make_backup(plan: BackupPlan, now: datetime) -> str:
    """Makes a backup, then removes the old ones; returns what it did.

    Files with other names are left alone. The newest backup is never removed.
    """
    plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = plan.folder / f"creditdesk-{now.astimezone(UTC):{_FORMAT}}Z.backup"
    await plan.make(path)
    removed = 0
    for each in sorted(plan.folder.iterdir()):
        made = _made(each.name.removesuffix(".partial"))
        if made is None or each == path:
            continue
        keep = timedelta(hours=PARTIAL_HOURS) if each.name.endswith(".partial") else plan.keep
        if made < now - keep:
            each.unlink()
            removed += 1
    return f"{path.name}, {path.stat().st_size:,} bytes; {removed} old ones removed"


def _made(name: str) -> datetime | None:
    """When the backup with this name was made; None for another file."""
    found = _NAME.fullmatch(name)
    return datetime.strptime(found[1], _FORMAT).replace(tzinfo=UTC) if found else None
