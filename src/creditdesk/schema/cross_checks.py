"""Queries that compare all records with others and return only the few that differ or repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from creditdesk.schema.entity import Entity
from creditdesk.schema.query import Filter


@dataclass(frozen=True, slots=True)
class Newest:
    """The `value` of the newest record of `entity` that matches and whose `key` is an id; 0 without one.

    `order` are its columns from the most significant on; the first is a time. An index with the columns of
    the filters, `key`, `order` and `value` answers it alone.
    """

    entity: type[Entity]
    filters: tuple[Filter, ...]
    key: str
    order: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True)
class Pairing:
    """A column of one record that equals `factor` times a column of another plus `offset`."""

    other: str
    own: str
    factor: int = 1
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The records of `entity` that match, and that belong to another record by every pairing."""

    entity: type[Entity]
    pairings: tuple[Pairing, ...]
    filters: tuple[Filter, ...] = ()


class CrossChecks(Protocol):
    """Finds records that stand out. Results are small, although every record is examined."""

    async def find_unequal(
        self,
        entity: type[Entity],
        column: str,
        newest: Newest,
        filters: Sequence[Filter] = (),
        *,
        scale: int = 1,
        of_most: bool = False,
    ) -> list[int]:
        """Ids of records that match, and whose `column` times `scale` is not the newest value for their Id.

        `of_most` says that most records match, and selects the plan for that.
        """

    async def find_unmatched(
        self, entity: type[Entity], counterpart: Counterpart, filters: Sequence[Filter], limit: int | None = None
    ) -> list[int]:
        """Ids of records that match and have no counterpart, ascending, at most `limit`."""

    async def find_repeated(
        self, entity: type[Entity], columns: Sequence[str], filters: Sequence[Filter] = ()
    ) -> list[int]:
        """Ids of records that match and share the values of all columns with another one; nulls are not shared."""

    async def find_listed(
        self,
        entity: type[Entity],
        index: str,
        columns: Sequence[str],
        filters: Sequence[Filter] = (),
        *,
        without: Counterpart | None = None,
    ) -> list[tuple[Any, ...]]:
        """The distinct values, as filters compare them, of columns of a partial index.

        Only of its records that match and that have no counterpart, where one is given.
        """

    async def find_grouped(
        self, entity: type[Entity], by: str, member: str, filters: Sequence[Filter]
    ) -> dict[Any, Sequence[int]]:
        """The values of a column of whole numbers of the records that match, by the values of another column."""

    async def values_before(self, newest: Newest, keys: Sequence[tuple[int, datetime]]) -> list[int]:
        """The newest value for each id of those recorded before an instant, in the order of the keys."""
