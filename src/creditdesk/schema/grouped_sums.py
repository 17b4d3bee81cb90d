"""Sums of columns over the records that match, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from creditdesk.schema.cross_checks import Pairing
from creditdesk.schema.entity import Entity
from creditdesk.schema.query import Filter


@dataclass(frozen=True, slots=True)
class Lookup:
    """The `value` of the record of `entity` that belongs to another one by the pairing; None without one.

    At most one record of `entity` may belong to each.
    """

    entity: type[Entity]
    pairing: Pairing
    value: str


@dataclass(frozen=True, slots=True)
class InstantsPassed:
    """How many of the ascending instants lie before the time in a column; None if the time is null."""

    column: str
    instants: tuple[datetime, ...]


GroupTerm = str | Lookup | InstantsPassed
"""What records are grouped by: a column, or a value that is looked up or computed for each."""


class GroupedSum(NamedTuple):
    """The values that a group has in common, the sums of its columns, and the number of its records."""

    group: tuple[Any, ...]
    totals: tuple[int, ...]
    records: int


class GroupedSums(Protocol):
    """Computes sums in the database, so that few rows are read instead of all records."""

    async def sum_grouped(
        self,
        entity: type[Entity],
        columns: Sequence[str | Lookup],
        by: Sequence[GroupTerm],
        filters: Sequence[Filter] = (),
    ) -> list[GroupedSum]:
        """The sums of columns of whole numbers over the records that match, in groups; null counts as 0."""
