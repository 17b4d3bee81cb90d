"""Detects committed changes by what the engine reports, without reading the rows.

A fingerprint stays the same exactly as long as nothing is committed; it takes one short statement.
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
"""The tables that are watched, each with the Id after which its rows count.

The account states of watched credits are watched too; their own Ids do not rise with time.
"""


class ChangeDetector(Protocol):
    async def fingerprint(self, first_ids: FirstIds) -> Any:
        """A value that equals an earlier one if and only if nothing was committed in between."""

    def close(self) -> None:
        """Closes the connection."""


class SQLiteChangeDetector:
    """`PRAGMA data_version` of a second connection changes with every commit of another one.

    It covers the whole file, so `first_ids` is not used.
    """

    def __init__(self, store: SQLiteStore) -> None:
        self._connection = sqlite3.connect(store.path, isolation_level=None)

    async def fingerprint(self, first_ids: FirstIds) -> Any:
        return self._connection.execute("PRAGMA data_version").fetchone()

    def close(self) -> None:
        self._connection.close()


class PostgreSQLChangeDetector:
    """Count and newest transaction id (`xmin`) of the watched rows.

    An inserted or updated row has a newer `xmin`; a deleted row lowers the count.
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
        """Nothing to close: the connections belong to the store."""


def change_detector_for(store: Any) -> ChangeDetector:
    """The change detector for the engine of a store."""
    return SQLiteChangeDetector(store) if isinstance(store, SQLiteStore) else PostgreSQLChangeDetector(store)
