"""Removes the files of saved reports that are past their retention."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from creditdesk.ledger.rules.calendar import add_months

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_REPORT: Final = re.compile(r"\d+-\d+-.+\.\w+")


def remove_old_reports(folder: Path, today: date, keep_days: int) -> int:
    """Removes the reports of months that ended more than `keep_days` ago; returns their number.

    The month before the last stays, because a missing file of the last month would be written again. Closings and files
    of other names stay too.
    """
    kept_since = min(today - timedelta(days=keep_days), add_months(today.replace(day=1), -2))
    removed = 0
    for month in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not _MONTH.fullmatch(month.name) or not month.is_dir():
            continue
        if add_months(date.fromisoformat(f"{month.name}-01"), 1) > kept_since:
            continue
        for file in sorted(month.iterdir()):
            if file.is_file() and _REPORT.fullmatch(file.name):
                file.unlink()
                removed += 1
        if not any(month.iterdir()):
            month.rmdir()
    return removed
