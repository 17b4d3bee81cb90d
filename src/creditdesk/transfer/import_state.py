"""The state that the batches of one import share: report, counts, and known ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from creditdesk.schema.entity import Entity
from creditdesk.schema.query import where
from creditdesk.schema.repository import WriteSession, find_first
from creditdesk.transfer.import_report import ImportReport
from creditdesk.transfer.references import ReferenceChecker
from creditdesk.transfer.role_assignments import RoleIdMapping
from creditdesk.transfer.row_parser import ParsedRow
from creditdesk.transfer.user_guard import UserGuard


class BulkLoadUnsupported(Exception):
    """A record without an Id is looked up by its UniqueId, which a bulk load cannot do."""


@dataclass(slots=True)
class ImportCounts:
    """How many records of one entity were inserted, changed, or already identical."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


@dataclass(slots=True)
class ImportState:
    """The state of one attempt at an import; a bulk load that fails starts over with a new one.

    `entities_with_links` are those whose files the second pass must read again; `file_name` is the
    file whose rows are being written. `credit_ids` are the credits that the files name, by entity:
    the import opens their journals and those of its placeholders, and no others (rule 38). `inserted` are
    the ids of the new records, by entity name.
    """

    report: ImportReport
    now: datetime
    keep_dangling: bool
    is_bulk_load: bool = False
    users: UserGuard = field(default_factory=UserGuard)
    file_name: str = ""
    counts: dict[str, ImportCounts] = field(default_factory=dict)
    entities_with_links: set[type[Entity]] = field(default_factory=set)
    role_ids: RoleIdMapping = field(default_factory=RoleIdMapping)
    credit_ids: dict[type[Entity], set[int]] = field(default_factory=dict)
    inserted: dict[str, list[int]] = field(default_factory=dict)
    references: ReferenceChecker = field(init=False)

    def __post_init__(self) -> None:
        self.references = ReferenceChecker(self.report, self.now, self.keep_dangling)

    def refuse(self, row: ParsedRow, reason: str, consequence: str = "the row is refused") -> None:
        """Reports a row of the current file that is not imported."""
        self.report.refuse(f"{self.file_name}: row {row.number}: {reason}; {consequence}")

    def adjust(self, row: ParsedRow, message: str) -> None:
        """Reports a row of the current file that is imported with changes."""
        self.report.adjust(f"{self.file_name}: row {row.number}: {message}")

    async def record_ids(
        self, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
    ) -> dict[str, int | None]:
        """The Id of each row by UniqueId; None for a row without an Id that is not stored yet.

        Raises BulkLoadUnsupported when a bulk load would have to look up an Id.
        """
        ids = {row.unique_id: row.id for row in reversed(rows)}
        for row in rows:
            if row.id is None:
                if self.is_bulk_load:
                    raise BulkLoadUnsupported
                found = await find_first(session, entity, where(entity, UniqueId=row.unique_id), columns=("Id",))
                ids[row.unique_id] = found["Id"] if found else None
        return ids
