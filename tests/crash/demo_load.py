"""`python -m tests.crash.demo_load URL USES` loads a demo and prints its progress line by line.

A process of its own, so that a test can kill it at a chosen point.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from creditdesk.demo import load
from creditdesk.schema.progress import NullReporter
from creditdesk.storage.cross_checks import CrossCheckReads
from creditdesk.storage.engine import open_store
from creditdesk.storage.postgresql import PostgreSQLBulkLoadSession
from creditdesk.storage.session import BaseWriteSession
from creditdesk.storage.sqlite import SQLiteWriteSession

ROWS, SUSPENDED, RESTORING = "rows", "aside", "back"
"""Rows were loaded; a schema object was suspended; one is about to be restored."""


class LoadProgress(NullReporter):
    """Prints a line for each batch of rows."""

    def advance(self, rows: int) -> None:
        print(ROWS, flush=True)


def report_statements(session_type: type[BaseWriteSession]) -> None:
    """Makes sessions of this class print what they suspend or restore of the schema."""
    fetch = session_type.fetch

    async def reported(self: CrossCheckReads, text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        if text.startswith("CREATE") or " ADD CONSTRAINT " in text or " ENABLE TRIGGER " in text:
            print(RESTORING, flush=True)
        found = await fetch(self, text, parameters)
        if text.startswith("DROP"):
            print(SUSPENDED, flush=True)
        return found

    session_type.fetch = reported  # type: ignore[method-assign]


async def main(url: str, uses: int) -> None:
    load.ROWS_PER_BATCH = 500  # type: ignore[misc]
    report_statements(SQLiteWriteSession)
    report_statements(PostgreSQLBulkLoadSession)
    store = await open_store(url)
    await load.load_demo(store, uses, 1, LoadProgress())
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
