"""The protocols of functions that compute or redact fields when records are shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal, RequestContext

ColumnValues = Mapping[str, Sequence[Any]]
"""Values by column name, one for each record."""


class Computation(Protocol):
    """Computes the computed fields of one entity's records, for all records at once."""

    async def __call__(
        self, session: ReadSession, shown: ColumnValues, context: RequestContext, *, in_list: bool
    ) -> ColumnValues:
        """The values of computed columns, for the records whose other columns are `shown`.

        A column that is left out has its declared value. in_list: compute only what is cheap for many records.
        """


@dataclass(frozen=True, slots=True)
class Redaction:
    """A column with values of other records. `hide` redacts its values for a principal, for all records at once."""

    column: str
    hide: Callable[[ReadSession, Sequence[Any], Principal], Awaitable[list[Any]]]
