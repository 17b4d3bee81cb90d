"""Whether anything was committed meanwhile, told by the engine itself rather than by reading rows.

A trace is a value that stays the same exactly as long as nothing is written for good; taking one
costs one short statement. Must not know what is written, nor why.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Protocol

from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.schema.entity import Entity
from creditdesk.storage.naming import table_name
from creditdesk.storage.postgresql import PostgreSQLStore
from creditdesk.storage.sqlite import SQLiteStore

FirstIds = Mapping[type[Entity], int]
"""The tables that are looked at, each with the Id after which its rows count.

The states of the credits among them are looked at too; their own Ids do not rise with time.
"""


class ChangeDetector(Protocol):
    async def fingerprint(self, first_ids: FirstIds) -> Any:
        """What is equal to an earlier trace when nothing was committed in between."""

    def close(self) -> None:
        """Lets go of what was opened."""


class SQLiteChangeDetector:
    """A second connection is told when another one has committed a change to the file.

    That is so for the whole file, so `marks` narrows nothing.
    """

    def __init__(self, store: SQLiteStore) -> None:
        self._connection = sqlite3.connect(store.path, isolation_level=None)

    async def fingerprint(self, first_ids: FirstIds) -> Any:
        return self._connection.execute("PRAGMA data_version").fetchone()

    def close(self) -> None:
        self._connection.close()


class PostgreSQLChangeDetector:
    """Every version of a row names the transaction that wrote it.

    A row that was added or changed brings a newer name, and one that was removed is one fewer.
    """

    def __init__(self, store: PostgreSQLStore) -> None:
        self._store = store

    async def fingerprint(self, first_ids: FirstIds) -> Any:
        rows = [(f"{table_name(entity)} WHERE id", mark) for entity, mark in first_ids.items()]
        rows += [
            (f"account_state WHERE credit_kind = '{side.account_type.value}' AND credit_id", first_ids[side.credit_entity])
            for side in MAPPINGS.values()
        ]  # fmt: skip
        text = " UNION ALL ".join(
            f"SELECT {place}, count(*), max(xmin::text::bigint) FROM {where} > ${place}"
            for place, (where, _) in enumerate(rows, 1)
        )
        async with self._store.pool.acquire() as connection:
            found = await connection.fetch(f"{text} ORDER BY 1", *(mark for _, mark in rows))
        return [tuple(row) for row in found]

    def close(self) -> None:
        """The connections are the store's."""


def change_detector_for(store: Any) -> ChangeDetector:
    """How the engine of a store tells that something was written."""
    return (
        SQLiteChangeDetector(store)
        if isinstance(store, SQLiteStore)
        else PostgreSQLChangeDetector(store)
    )
