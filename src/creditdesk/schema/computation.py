"""The protocol of what works out the computed fields of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

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
