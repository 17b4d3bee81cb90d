"""Matches the roles of a file with stored roles by name, not by Id.

Databases role_id their roles independently: matched by Id, an import could grant a user rights that
nobody gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID, uuid5

from creditdesk.entities.security.role import Role
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.row_parser import ParsedRow

_NAMESPACE: Final = UUID("2f0f7a51-51a4-5a5a-9c38-0a1c6e5f7d11")


@dataclass(slots=True)
class RoleIdMapping:
    """Maps the role Ids of the files to those of this database."""

    _local_ids: dict[int, int] = field(default_factory=dict)

    async def load(self, session: WriteSession, rows: Sequence[ParsedRow]) -> None:
        """Finds each role by name; a new one keeps its Id if that is free."""
        known = await session.find(Role)
        by_name = {role["Name"].casefold(): role["Id"] for role in known}
        taken = {role["Id"] for role in known}
        for row in rows:
            if row.id is None:
                continue
            role_id = by_name.get(str(row.values.get("Name") or "").casefold())
            if role_id is None and row.id in taken:
                role_id = (await session.next_ids({Role: 1}))[Role][0]
            self._local_ids[row.id] = role_id = role_id or row.id
            taken.add(role_id)

    def map_rows(self, rows: Sequence[ParsedRow]) -> list[ParsedRow]:
        """The rows with the Ids of this database."""
        return [self._map_row(row) for row in rows]

    def _map_row(self, row: ParsedRow) -> ParsedRow:
        role_id = self._local_ids.get(row.id, row.id) if row.id else None
        if role_id == row.id:
            return row
        # The file's UniqueId may belong to the record that has the file's Id here.
        unique_id = str(uuid5(_NAMESPACE, str(row.values.get("Name")).casefold()))
        return replace(row, id=role_id, unique_id=unique_id)

    def map_ids(self, role_ids: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted({self._local_ids.get(role_id, role_id) for role_id in role_ids}))
