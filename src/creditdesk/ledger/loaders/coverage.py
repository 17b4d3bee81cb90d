"""How much of an item's price earlier spends cover; reversed uses cover nothing (rule 25)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.loaders.rows import AccountRow, TypedRow, find_filtered, find_rows
from creditdesk.ledger.rules.amounts import Amount, parse_money, round_to_currency
from creditdesk.ledger.rules.credit import CreditType, SourceKey, SourceKind
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import Finder


class _DocumentRow(TypedRow, frozen=True, gc=False):
    """A decision about one source, as `Allocation.to_document` writes it."""

    entity = AllocationDocument

    source_kind: SourceKind
    source_id: int
    operation: str | None
    document: dict[str, object]


class _EntryRow(AccountRow, frozen=True, gc=False):
    """A journal entry about one source."""

    entity = JournalLine

    source_kind: SourceKind
    source_id: int
    sequence: int
    allocation_id: int | None
    kind: EntryType
    amount: Amount
    reverses: int | None
    recorded_on: datetime


class _Part(NamedTuple):
    """A part of a decision: when it was made, and what it took of one credit to cover how much.

    Both amounts are in ten-thousandths. The uses of a decision that is not `is_linked` may lack its
    id, as they are older than such links.
    """

    allocation_id: int
    is_linked: bool
    decided: datetime
    account: AccountKey
    taken: Amount
    covered: Amount
    currency: str

    def covered_after(self, reversed_: Amount) -> Amount:
        """What the part still covers after this much of it was reversed (rule 3)."""
        if not reversed_:
            return self.covered
        rest = Fraction(self.covered * (self.taken - reversed_), self.taken)
        return round_to_currency(rest, self.currency)


async def covered_amounts(finder: Finder, sources: Collection[SourceKey]) -> dict[SourceKey, Amount]:
    """What is covered of each source, in ten-thousandths of its currency."""
    parts = await _load_parts(finder, sources)
    entries = await _load_entries(finder, parts)
    return {source: _sum_covered(parts.get(source, ()), entries.get(source, ())) for source in sources}


async def _load_parts(finder: Finder, sources: Collection[SourceKey]) -> dict[SourceKey, list[_Part]]:
    """The parts of all decisions about each source, oldest first; sources without any left out."""
    if not sources:
        return {}
    parts: dict[SourceKey, list[_Part]] = {}
    for row in await find_rows(finder, _DocumentRow, **_columns_of_sources(sources)):
        key = SourceKey(row.source_kind, row.source_id)
        if key in sources:
            parts.setdefault(key, []).extend(_parts(row))
    return parts


def _parts(row: _DocumentRow) -> Iterable[_Part]:
    document = row.document
    # The record's own time has whole seconds, in which much may be decided.
    decided = datetime.fromisoformat(str(document["decided"]))
    listed = document["parts"]
    assert isinstance(listed, list)
    for part in listed:
        yield _Part(
            row.id,
            row.operation is not None,
            decided,
            _account(part["credit"]),
            parse_money(str(part["taken"])),
            parse_money(part["covered"]),
            str(document["currency"]),
        )


async def _load_entries(finder: Finder, parts: Mapping[SourceKey, Sequence[_Part]]) -> dict[SourceKey, list[_EntryRow]]:
    """The journal entries about each source on the credits that its decisions name, by Id.

    Only entries since the first decision: an index finds them, however long the journal is.
    """
    accounts = {part.account for of_source in parts.values() for part in of_source}
    if not accounts:
        return {}
    first = min(part.decided for of_source in parts.values() for part in of_source)
    recorded = JournalLine.meta().columns["RecordedOn"]
    filters = (
        *where(
            JournalLine,
            CreditKind={account_type.value for account_type, _ in accounts},
            CreditId={credit_id for _, credit_id in accounts},
        ),
        Filter(recorded, Comparison.AT_LEAST, first.replace(microsecond=0)),
        *where(JournalLine, **_columns_of_sources(parts.keys())),
    )
    entries: dict[SourceKey, list[_EntryRow]] = {}
    for row in await find_filtered(finder, _EntryRow, filters):
        key = SourceKey(row.source_kind, row.source_id)
        if key in parts:
            entries.setdefault(key, []).append(row)
    return entries


def _columns_of_sources(sources: Collection[SourceKey]) -> dict[str, set[str] | set[int]]:
    return {
        "SourceKind": {source.kind.value for source in sources},
        "SourceId": {source.id for source in sources},
    }


def _sum_covered(parts: Sequence[_Part], entries: Sequence[_EntryRow]) -> Amount:
    """What the parts cover whose uses were not reversed. A use names its decision; one without such a link is matched,
    newest first, with the newest older part of the same amount.
    """
    open_parts = list(parts)
    reversed_ = _reversed_amounts(entries)
    covered = 0
    for entry in reversed(entries):
        if entry.kind is not EntryType.USE or not entry.amount:
            continue
        for position in reversed(range(len(open_parts))):
            if _carries_out(entry, open_parts[position]):
                part = open_parts[position]
                covered += part.covered_after(reversed_.get((entry.account, entry.sequence), 0))
                del open_parts[position]
                break
    return covered


def _carries_out(use: _EntryRow, part: _Part) -> bool:
    if (part.account, part.taken) != (use.account, use.amount):
        return False
    if use.allocation_id is None:
        return not part.is_linked and part.decided <= use.recorded_on
    return part.allocation_id == use.allocation_id


def _reversed_amounts(
    entries: Sequence[_EntryRow],
) -> Mapping[tuple[AccountKey, int | None], Amount]:
    """What was returned of each use, by its account and sequence number."""
    returned: dict[tuple[AccountKey, int | None], Amount] = {}
    for entry in entries:
        if entry.kind is EntryType.REVERSAL:
            use = (entry.account, entry.reverses)
            returned[use] = returned.get(use, 0) + entry.amount
    return returned


def _account(credit: str) -> AccountKey:
    """The account of a credit as documents name it, such as `printing/7`, a time account."""
    kind, _, credit_id = credit.partition("/")
    is_money = kind == CreditType.MONEY.value
    return (AccountType.MONEY if is_money else AccountType.TIME, int(credit_id))
