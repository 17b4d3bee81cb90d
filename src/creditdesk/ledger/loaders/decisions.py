"""Loads the decision that a journal entry carries out (rules 7, 19)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.loaders.foreign_balances import hide_foreign_balances
from creditdesk.ledger.loaders.rows import AccountRow, TypedRow, find_by_id, find_rows
from creditdesk.schema.errors import NotFound
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

_OF_ANOTHER_MEMBER: Final = "decided for another member of the team"
_OF_ANOTHER_LOCATION: Final = "decided at another location"
POSTED_DIRECTLY: Final = "posted directly: only the amount was checked (rule 7)"


@dataclass(frozen=True, slots=True)
class EntryDecision:
    """The decision behind an entry, or in words why there is none."""

    explanation: str
    allocation_id: int | None = None
    document: Mapping[str, object] | None = None


class _EntryRow(AccountRow, frozen=True, gc=False):
    entity = JournalLine

    business_id: int
    coworker_id: int | None
    kind: EntryType
    source_kind: str | None
    source_id: int | None
    reverses: int | None
    allocation_id: int | None


class _DocumentRow(TypedRow, frozen=True, gc=False):
    entity = AllocationDocument

    business_id: int
    coworker_id: int
    operation: str | None
    document: dict[str, object]


async def load_decision(session: ReadSession, entry_id: int, context: RequestContext) -> EntryDecision:
    """The decision of one entry. Raises NotFound if the principal does not see the entry.

    A member does not see decisions about purchases of other team members with its credit; a user limited to
    locations does not see decisions of other locations.
    """
    entry = (await find_by_id(session, _EntryRow, [entry_id])).get(entry_id)
    if entry is None or not context.principal.sees_record(entry.business_id, entry.coworker_id):
        raise NotFound
    if entry.allocation_id is not None:
        found = (await find_by_id(session, _DocumentRow, [entry.allocation_id])).get(entry.allocation_id)
        is_hidden = found is not None and not context.principal.sees_record(found.business_id, found.coworker_id)
        if is_hidden:
            return EntryDecision(_OF_ANOTHER_MEMBER if context.principal.is_member else _OF_ANOTHER_LOCATION)
        [document] = await hide_foreign_balances(session, [found.document if found else None], context.principal)
        return EntryDecision(f"decided by allocation #{entry.allocation_id}", entry.allocation_id, document)
    if entry.kind is EntryType.REVERSAL:
        return EntryDecision(f"returns what entry {entry.reverses} of the same credit used (rule 30)")
    if entry.kind is not EntryType.USE:
        return EntryDecision(f"{entry.kind.value}: no credit was chosen")
    return await _explain_unlinked_use(session, entry)


async def _explain_unlinked_use(session: ReadSession, use: _EntryRow) -> EntryDecision:
    """Why a use has no decision: it was posted, or is older than the links to decisions."""
    if use.source_id is not None:
        documents = await find_rows(session, _DocumentRow, SourceKind=use.source_kind, SourceId=use.source_id)
        older = [document for document in documents if document.operation is None]
        if any(_took_from(document.document, use) for document in older):
            return EntryDecision("older than the links from uses to decisions: see the allocations of its source")
    return EntryDecision(POSTED_DIRECTLY)


def _took_from(document: Mapping[str, object], use: _EntryRow) -> bool:
    parts = document["parts"]
    assert isinstance(parts, list)
    kinds = ("money",) if use.credit_kind is AccountType.MONEY else ("time", "printing")
    return any(part["credit"] in {f"{kind}/{use.credit_id}" for kind in kinds} for part in parts)
