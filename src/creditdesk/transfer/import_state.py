"""What the batches of one import share: report, counts, and what is known about ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.references import ReferenceChecker
from creditdesk.transfer.role_assignments import RoleIdMapping
from creditdesk.transfer.row_parser import ParsedRow


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

    `entities_with_links` are those whose files the second pass must read again.
    """

    report: ProgressReporter
    now: datetime
    keep_dangling: bool
    is_bulk_load: bool = False
    counts: dict[str, ImportCounts] = field(default_factory=dict)
    entities_with_links: set[type[Entity]] = field(default_factory=set)
    role_ids: RoleIdMapping = field(default_factory=RoleIdMapping)
    references: ReferenceChecker = field(init=False)

    def __post_init__(self) -> None:
        self.references = ReferenceChecker(self.report, self.now, self.keep_dangling)

    def report_skipped(self, entity: type[Entity], row: ParsedRow, reason: str) -> None:
        self.report.problem(f"{entity.plural}: row {row.number} {reason} and is skipped")

    async def record_ids(
        self, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
    ) -> dict[str, int | None]:
        """The Id of each row by UniqueId; None for a row without an Id that is not stored yet.

        Raises BulkLoadUnsupported when a bulk load would have to look up an Id.
        """
        ids = {row.unique_id: row.id for row in reversed(rows)}
        unique = entity.meta().columns["UniqueId"]
        for row in rows:
            if row.id is None:
                if self.is_bulk_load:
                    raise BulkLoadUnsupported
                same = [Filter(unique, Comparison.EQUALS, row.unique_id)]
                found = await session.find(entity, same, limit=1, columns=("Id",))
                ids[row.unique_id] = found[0]["Id"] if found else None
        return ids
