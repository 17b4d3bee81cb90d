"""What earlier spends still cover of a source's price: reversed uses cover nothing (rule 25).

Each use covers what the newest decision made by then says of that credit and that amount. This
module must not know prices, nor what is decided next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import where
from creditdesk.ledger.rules.amounts import Amount, round_amount
from creditdesk.ledger.rules.credit import CreditType, SourceKey, SourceKind
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import Finder

_DOCUMENT_COLUMNS: tuple[str, ...] = ("Id", "SourceKind", "SourceId", "CreatedOn", "Document")
_ENTRY_COLUMNS: tuple[str, ...] = (
    "Id", "SourceKind", "SourceId", "CreditKind", "CreditId", "Sequence", "Kind", "Amount",
    "Reverses", "RecordedOn",
)  # fmt: skip


async def covered_amount(finder: Finder, source: SourceKey) -> Amount:
    """What is covered of one source."""
    return (await covered_amounts(finder, [source]))[source]


async def covered_amounts(
    finder: Finder, sources: Collection[SourceKey]
) -> dict[SourceKey, Amount]:
    """What is covered of each source, read for all of them at once."""
    documents = await _load_documents(finder, sources)
    lines = await _load_entries(finder, documents)
    return {
        source: _sum_covered(documents.get(source, ()), lines.get(source, ())) for source in sources
    }


async def _load_documents(
    finder: Finder, sources: Collection[SourceKey]
) -> dict[SourceKey, list[Record]]:
    """The decisions about each source, by Id; sources without any are left out."""
    if not sources:
        return {}
    found = await finder.find(
        AllocationDocument, _source_filters(AllocationDocument, sources), columns=_DOCUMENT_COLUMNS
    )
    return _group_by_source(found, sources)


async def _load_entries(
    finder: Finder, documents: Mapping[SourceKey, Sequence[Record]]
) -> dict[SourceKey, list[Record]]:
    """The journal's lines about each source, by Id, as far as a decision can have made them.

    Those on the credits that are named there, recorded since the first: they are found by an index,
    however long the journal.
    """
    decided = [document for of in documents.values() for document in of]
    credits_ = {_journal_credit(part["credit"]) for d in decided for part in d["Document"]["parts"]}
    if not credits_:
        return {}
    kinds, ids = zip(*(credit.split("/") for credit in credits_), strict=True)
    first = min(document["CreatedOn"] for document in decided)
    named = where(JournalLine, CreditKind=set(kinds), CreditId={int(each) for each in ids})
    since = Filter(JournalLine.meta().columns["RecordedOn"], Comparison.AT_LEAST, first)
    filters = (*named, since, *_source_filters(JournalLine, documents))
    lines = await finder.find(JournalLine, filters, columns=_ENTRY_COLUMNS)
    return _group_by_source(lines, documents)


def _source_filters(entity: type[Entity], sources: Collection[SourceKey]) -> tuple[Filter, ...]:
    kinds, ids = {source.kind.value for source in sources}, {source.id for source in sources}
    return where(entity, SourceKind=kinds, SourceId=ids)


def _group_by_source(
    records: Iterable[Record], sources: Collection[SourceKey]
) -> dict[SourceKey, list[Record]]:
    found: dict[SourceKey, list[Record]] = {}
    for record in records:
        key = SourceKey(SourceKind(record["SourceKind"]), record["SourceId"])
        if key in sources:
            found.setdefault(key, []).append(record)
    return found


CoveredPart = tuple[datetime, str, Amount, str]
"""A part of a decision: when it was made, the credit, what was taken, what it covered."""


def _sum_covered(documents: Sequence[Record], entries: Sequence[Record]) -> Amount:
    parts: list[CoveredPart] = [
        (
            # The record's own time has whole seconds, in which much may be decided.
            datetime.fromisoformat(document["Document"]["decided"]),
            _journal_credit(part["credit"]),
            parse_document_amount(part["taken"]),
            part["covered"],
        )
        for document in documents
        for part in document["Document"]["parts"]
    ]
    back = _reversed_amounts(entries)
    covered = 0
    for line in reversed(entries):
        if line["Kind"] != EntryType.USE or not line["Amount"]:
            continue
        credit, amount = _credit_name(line), line["Amount"]
        place = next(
            (
                place
                for place, (decided, paying, taken, _) in reversed(list(enumerate(parts)))
                if (paying, taken) == (credit, amount) and decided <= line["RecordedOn"]
            ),
            None,
        )
        if place is not None:
            left = amount - back.get((credit, line["Sequence"]), 0)
            covered += round_amount(
                Fraction(parse_document_amount(parts.pop(place)[3]) * left, amount), 4
            )
    return covered


def _reversed_amounts(entries: Sequence[Record]) -> Mapping[tuple[str, int | None], Amount]:
    """What came back of each use, by its credit and its place there."""
    back: dict[tuple[str, int | None], Amount] = {}
    for line in entries:
        if line["Kind"] == EntryType.REVERSAL:
            use = (_credit_name(line), line["Reverses"])
            back[use] = back.get(use, 0) + line["Amount"]
    return back


def _journal_credit(credit: str) -> str:
    """A document's name of a credit as the journal says it: printing is time there."""
    return credit.replace(CreditType.PRINTING.value, CreditType.TIME.value)


def _credit_name(entry: Record) -> str:
    return f"{entry['CreditKind']}/{entry['CreditId']}"


def parse_document_amount(text: str | int) -> Amount:
    """A document's amount in ten-thousandths: money as text, uses as a whole number."""
    whole, _, part = str(text).partition(".")
    return int(whole) * 10_000 + int(part.ljust(4, "0")[:4] or 0)
