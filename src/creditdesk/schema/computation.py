"""The protocols of what works out fields of records when they are shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal, RequestContext

ColumnValues = Mapping[str, Sequence[Any]]
"""Values by column name, one for each record."""


class Computation(Protocol):
    """Works out computed fields of one entity's records, for all records at once."""

    async def __call__(
        self, session: ReadSession, shown: ColumnValues, context: RequestContext, *, in_list: bool
    ) -> ColumnValues:
        """The values of computed columns, for the records whose other columns are `shown`.

        A column that is left out has its declared value. in_list: only what is cheap for many records.
        """


@dataclass(frozen=True, slots=True)
class Redaction:
    """A column with values of other records. `hide` returns it, for all records at once, as a principal may see it."""

    column: str
    hide: Callable[[ReadSession, Sequence[Any], Principal], Awaitable[list[Any]]]
