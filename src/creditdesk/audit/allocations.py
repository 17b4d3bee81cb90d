"""Compares stored decisions with the entries that carry them out (rules 19, 26)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec import DecodeError

from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.states import Operation
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.rules.amounts import parse_money
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession

DECISIONS_PER_BATCH: Final = 500
_COLUMNS: Final = ("Id", "CoworkerId", "SourceKind", "SourceId", "Operation", "Document")
_LINE_COLUMNS: Final = (
    *("Id", "AllocationId", "Kind", "CreditKind", "CreditId", "Amount"),
    *("SourceKind", "SourceId", "CoworkerId", "MemberId"),
)
_EXECUTED_BY: Final = {
    Operation.HOLD: EntryType.HOLD,
    Operation.SPEND: EntryType.USE,
    Operation.CHARGE: EntryType.USE,
}
"""The kind of the entries that carry out a decision, by its operation."""
_LINKED: Final = (EntryType.HOLD, EntryType.RELEASE, EntryType.USE)
"""The kinds of entries that name a decision."""

_Part = tuple[str, int, int]


def count_linked_lines(lines: Iterable[Record]) -> int:
    """How many journal lines name the decision that they carry out."""
    return sum(line["AllocationId"] is not None for line in lines)


async def check_allocations(session: ReadSession, linked: int, report: FindingReporter) -> None:
    """Reports decisions that differ from their entries, and entries whose decision is gone.

    `linked` is the number of journal lines that name a decision.
    """
    report.step("decisions", await session.count(AllocationDocument))
    matched = 0
    async for records in _decisions(session, report):
        ids = [record["Id"] for record in records]
        lines = await session.find(JournalLine, where(JournalLine, AllocationId=ids), columns=_LINE_COLUMNS)
        matched += len(lines)
        by_decision: dict[int, list[Record]] = {}
        for line in lines:
            by_decision.setdefault(line["AllocationId"], []).append(line)
        for record in records:
            for message in _differences(record, by_decision.get(record["Id"], [])):
                report.finding(AuditFinding.of_record(FindingCode.DECISION, AllocationDocument, record["Id"], message))
        report.advance(len(records))
    if linked > matched:
        await _report_missing(session, report)


async def _decisions(session: ReadSession, report: FindingReporter) -> AsyncIterator[list[Record]]:
    """The stored decisions in batches; reports those whose document is no longer valid JSON."""
    async for batch in find_batches(session, AllocationDocument, DECISIONS_PER_BATCH, ("Id",)):
        ids = [each["Id"] for each in batch]
        try:
            yield await _load(session, ids)
        except DecodeError:
            for decision_id in ids:
                try:
                    yield await _load(session, [decision_id])
                except DecodeError:
                    message = "its document cannot be read"
                    report.finding(
                        AuditFinding.of_record(FindingCode.DECISION, AllocationDocument, decision_id, message)
                    )


async def _load(session: ReadSession, ids: Sequence[int]) -> list[Record]:
    return await session.find(AllocationDocument, where(AllocationDocument, Id=list(ids)), columns=_COLUMNS)


def _differences(record: Record, lines: Sequence[Record]) -> Iterator[str]:
    """Where a decision's document contradicts its columns or its entries."""
    document, operation = record["Document"], record["Operation"]
    source = f"{record['SourceKind']}/{record['SourceId']}"
    try:
        named = (document["source"], document["customer_id"])
        parts = Counter(_parts(document))
        covered = sum(parse_money(part["covered"]) for part in document["parts"])
        balance = parse_money(document["price"]) - parse_money(document["uncovered"])
    except (AttributeError, KeyError, TypeError, ValueError):
        yield "its document is none of a decision"
        return
    if named != (source, record["CoworkerId"]):
        yield f"it is about {source} of customer {record['CoworkerId']}, and its document about another"
    if covered != balance:
        yield "the parts of its document do not sum to what is covered of the price"
    for line in lines:
        if (line["SourceKind"], line["SourceId"]) != (record["SourceKind"], record["SourceId"]):
            yield f"line #{line['Id']} carries it out for {line['SourceKind']}/{line['SourceId']}"
        customer = line["MemberId"] or line["CoworkerId"]
        if line["Kind"] == EntryType.USE and customer != record["CoworkerId"]:
            yield f"line #{line['Id']} carries it out for customer {customer}"
    taken = {kind: Counter(_part(line) for line in lines if line["Kind"] == kind) for kind in _LINKED}
    if operation is None and not taken[EntryType.HOLD] and taken[EntryType.USE] <= taken[EntryType.RELEASE]:
        # Entries of earlier versions name no decision; only what became of their holds later does.
        agrees = taken[EntryType.RELEASE] <= parts
    elif (kind := _EXECUTED_BY.get(operation)) is None:
        yield f"{operation!r} is no operation"
        return
    else:
        agrees = taken[kind] == parts
    if not agrees:
        yield "the entries that carry it out have other credits or amounts"


def _parts(document: dict[str, Any]) -> Iterator[_Part]:
    for part in document["parts"]:
        name, _, number = part["credit"].partition("/")
        kind = AccountType.MONEY if name == AccountType.MONEY.value else AccountType.TIME
        # Stored amounts have the scale of money, uses too.
        if taken := parse_money(str(part["taken"])):
            yield kind.value, int(number), taken


def _part(line: Record) -> _Part:
    return (line["CreditKind"], line["CreditId"], line["Amount"])


async def _report_missing(session: ReadSession, report: FindingReporter) -> None:
    """Reports the entries whose decision is not stored."""
    named = JournalLine.meta().columns["AllocationId"]
    filters = (Filter(named, Comparison.NOT_NULL, None),)
    async for lines in find_batches(session, JournalLine, DECISIONS_PER_BATCH, ("Id", "AllocationId"), filters):
        ids = {line["AllocationId"] for line in lines}
        found = await session.find(AllocationDocument, where(AllocationDocument, Id=ids), columns=("Id",))
        missing = ids - {record["Id"] for record in found}
        for line in lines:
            if line["AllocationId"] in missing:
                message = f"the decision #{line['AllocationId']} that it carries out is missing"
                report.finding(AuditFinding.of_record(FindingCode.DECISION_MISSING, JournalLine, line["Id"], message))
