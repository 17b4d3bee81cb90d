"""Roles are known by their names: a file's role is the role of that name, whatever its number.

Every database numbers its roles for itself. Were numbers believed, a user could come out of an
import with rights that nobody gave.
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
    """What each role number of the files is here."""

    _local_ids: dict[int, int] = field(default_factory=dict)

    async def load(self, session: WriteSession, rows: Sequence[ParsedRow]) -> None:
        """Finds each role by its name; one that is new keeps its number where that is free."""
        known = await session.find(Role)
        by_name = {role["Name"].casefold(): role["Id"] for role in known}
        taken = {role["Id"] for role in known}
        for one in rows:
            if one.id is None:
                continue
            number = by_name.get(str(one.values.get("Name") or "").casefold())
            if number is None:
                number = (
                    one.id if one.id not in taken else (await session.next_ids({Role: 1}))[Role][0]
                )
            taken.add(number)
            self._local_ids[one.id] = number

    def map_rows(self, rows: Sequence[ParsedRow]) -> list[ParsedRow]:
        """The roles with their numbers here; a role that is already here keeps its own name."""
        return [self._map_row(one) for one in rows]

    def _map_row(self, row: ParsedRow) -> ParsedRow:
        number = self._local_ids.get(row.id, row.id) if row.id else None
        if number == row.id:
            return row
        # Another number is another record, so the UniqueId is made from the name instead.
        unique_id = str(uuid5(_NAMESPACE, str(row.values.get("Name")).casefold()))
        return replace(row, id=number, unique_id=unique_id)

    def map_ids(self, role_ids: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted({self._local_ids.get(number, number) for number in role_ids}))
