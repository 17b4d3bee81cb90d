"""Users of files: never administrators, and never changes to an existing user, unless named.

The files of an import may be of others. A user named by e-mail may be imported as an administrator, or replace the
user who has the Id here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from creditdesk.auth.credentials import find_user_id
from creditdesk.entities.security.user_role import UserRole
from creditdesk.schema.conversions import fold_compatible
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.row_parser import ParsedRow

ReportRow = Callable[[ParsedRow, str], None]


class UserGuard:
    """Decides which users of the files are imported, and whose rights they may change.

    `writable` are the users that this import inserted or was asked to overwrite.
    """

    def __init__(self, admins: Iterable[str] = (), overwritten: Iterable[str] = ()) -> None:
        self._admins = frozenset(map(_fold_email, admins))
        self._overwritten = frozenset(map(_fold_email, overwritten))
        self.writable: Final[set[int]] = set()

    async def admit(
        self,
        session: WriteSession,
        rows: Sequence[ParsedRow],
        ids: Mapping[str, int | None],
        stored: Mapping[int, Record],
        refuse: ReportRow,
        adjust: ReportRow,
    ) -> list[ParsedRow]:
        """The rows to import, without values that they may not change; reports what is left out.

        ids: the Id of each row by UniqueId. stored: the records here by Id.
        """
        admitted: list[ParsedRow] = []
        emails: set[str] = set()
        for row in rows:
            checked = self._without_admin_flag(row, adjust)
            before = stored.get(ids[row.unique_id] or 0)
            email = _fold_email(row.values.get("Email"))
            if before is not None:
                if self._may_overwrite(before):
                    self.writable.add(before["Id"])
                elif any(before.get(name, value) != value for name, value in checked.values.items()):
                    refuse(row, f"the user {before['Email']} exists; --overwrite-user names it")
                    continue
                else:
                    checked = replace(checked, values={})
            elif email and (email in emails or await find_user_id(session, email) is not None):
                refuse(row, f"another user has the e-mail {email}")
                continue
            emails.add(email)
            admitted.append(checked)
        return admitted

    def limit_links(self, entity: type[Entity], before: Record, values: Record) -> str | None:
        """Removes from `values` what would change the rights of other users; returns the message.

        before: the stored user or user role. values: the collections to set.
        """
        if entity is not UserRole:
            return None
        members = set(before["Users"])
        removed = set(values.get("Users", ())) - members - self.writable
        if removed:
            values["Users"] = tuple(i for i in values["Users"] if i not in removed)
        has_others = bool(members - self.writable)
        changes_roles = has_others and values.get("Roles", before["Roles"]) != before["Roles"]
        if changes_roles:
            del values["Roles"]
        if removed or changes_roles:
            return f"UserRole {before['Id']}: the rights of existing users are not changed"
        return None

    def _without_admin_flag(self, row: ParsedRow, adjust: ReportRow) -> ParsedRow:
        values: dict[str, Any] = row.values
        email = _fold_email(values.get("Email"))
        if not values.get("IsAdmin") or email in self._admins:
            return row
        adjust(row, f"IsAdmin of {email or 'a user'} is not imported; --admin names administrators")
        return replace(row, values=values | {"IsAdmin": False})

    def _may_overwrite(self, before: Record) -> bool:
        return before["Id"] in self.writable or _fold_email(before["Email"]) in self._overwritten


def _fold_email(email: str | None) -> str:
    return fold_compatible(email or "")
