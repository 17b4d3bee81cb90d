"""`python -m tests.crash.loading URL USES` writes a demo and tells, line by line, how far its load is.

A program of its own, so that a test can kill it at a moment of its choice.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from creditdesk.demo import load
from creditdesk.storage.engine import open_store
from creditdesk.storage.postgresql import PostgreSQLLoad
from creditdesk.storage.session import RecordUnit
from creditdesk.storage.sqlite import SQLiteUnit

ROWS, ASIDE, BACK = "rows", "aside", "back"
"""Rows came; something was set aside; something is about to be put back."""


class Telling:
    """Tells each piece of rows."""

    def advance(self, rows: int) -> None:  # noqa: ARG002 - that they came is enough
        print(ROWS, flush=True)


def tell_statements(of: type[RecordUnit]) -> None:
    """Has units of this class tell what of a schema they take away or put back."""
    fetch = of.fetch

    async def told(self: Any, text: str, values: Sequence[Any]) -> Any:
        if text.startswith("CREATE") or " ADD CONSTRAINT " in text or " ENABLE TRIGGER " in text:
            print(BACK, flush=True)
        found = await fetch(self, text, values)
        if text.startswith("DROP"):
            print(ASIDE, flush=True)
        return found

    of.fetch = told  # type: ignore[method-assign]


async def main(url: str, uses: int) -> None:
    load.ROWS_OF_A_PIECE = 500  # type: ignore[misc]
    tell_statements(SQLiteUnit)
    tell_statements(PostgreSQLLoad)
    store = await open_store(url)
    await load.tell(store, uses, 1, Telling())
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
