"""hledger, where it is installed: it checks a journal and computes its balances."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

HLEDGER = shutil.which("hledger")


def hledger_balances(program: str, journal: str, folder: Path) -> dict[tuple[str, str], Decimal]:
    """What hledger computes to be owed, by account and unit; the journal must pass its check."""
    file = folder / "credit.journal"
    file.write_text(journal, "utf-8")

    def hledger(*arguments: str) -> str:
        done = subprocess.run(
            [program, "-f", str(file), *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    hledger("check")
    table = hledger("balance", "Liabilities", "--flat", "--no-total", "-O", "csv", "--layout=bare")
    rows = csv.DictReader(io.StringIO(table))
    return {(row["account"], row["commodity"]): -Decimal(row["balance"]) for row in rows}
