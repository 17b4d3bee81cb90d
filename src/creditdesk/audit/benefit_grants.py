"""Compares the records of granted benefits with the grants in the journal (rule 27).

Such a record prevents a second grant for the same period, so a missing record matters as much as a changed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.journal.reasons import BENEFIT_REASON, RENEWAL_REASON, ROLLOVER_REASON
from creditdesk.ledger.operations.product_benefits import NO_CONTRACT_ID
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import Record
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession

GRANTS_PER_BATCH: Final = 500
_COLUMNS: Final = ("Id", "Key", "ContractId", "Benefit", "PeriodStart", "CreditKind", "CreditId")
_REASON_STARTS: Final = tuple(each.format("") for each in (RENEWAL_REASON, BENEFIT_REASON, ROLLOVER_REASON))
_RENEWAL_KEY: Final = re.compile(r"(\d+)/((money|time)/\d+)/(\d{4}-\d\d-\d\d)(?:/rolled/(\d+))?")
_PRODUCT_KEY: Final = re.compile(r"product/\d+/((money|time)/\d+)")
_FIRST_ZONE, _LAST_ZONE = timedelta(hours=-14), timedelta(hours=12)
_QUARTER: Final = timedelta(minutes=15)

_Place = tuple[str, int]


def count_benefit_grants(lines: Iterable[Record]) -> int:
    """How many journals begin with the grant of a benefit."""
    return sum(line["Sequence"] == 1 and line["Reason"].startswith(_REASON_STARTS) for line in lines)


async def check_benefit_grants(session: ReadSession, granted: int, report: FindingReporter) -> None:
    """Reports records that do not fit the grant of their credit, and grants without a record.

    `granted` is the number of journals that begin with the grant of a benefit.
    """
    report.step("granted benefits", await session.count(BenefitGrant))
    matched: set[_Place] = set()
    async for records in find_batches(session, BenefitGrant, GRANTS_PER_BATCH, _COLUMNS):
        grants = await _first_lines(session, {(r["CreditKind"], r["CreditId"]) for r in records})
        for record in records:
            place = (record["CreditKind"], record["CreditId"])
            if message := _difference(record, grants.get(place)):
                report.finding(AuditFinding.of_record(FindingCode.BENEFIT_GRANT, BenefitGrant, record["Id"], message))
            elif place in matched:
                message = f"{place[0]} credit {place[1]} is granted by another record too"
                report.finding(AuditFinding.of_record(FindingCode.BENEFIT_GRANT, BenefitGrant, record["Id"], message))
            matched.add(place)
        report.advance(len(records))
    if granted > len(matched):
        await _report_unrecorded(session, matched, report)


async def _first_lines(session: ReadSession, places: Iterable[_Place]) -> dict[_Place, Record]:
    found: dict[_Place, Record] = {}
    ids_by_kind: dict[str, list[int]] = {}
    for kind, credit_id in places:
        ids_by_kind.setdefault(kind, []).append(credit_id)
    for mapping in MAPPINGS.values():
        kind = mapping.account_type.value
        lines = await session.find(
            JournalLine,
            where(JournalLine, CreditKind=kind, CreditId=ids_by_kind.get(kind, []), Sequence=1),
            columns=("Id", "CreditId", "Reason", "EffectiveOn"),
        )
        found.update({(kind, line["CreditId"]): line for line in lines})
    return found


def _difference(record: Record, grant: Record | None) -> str | None:
    """Where a record contradicts its key or the grant of its credit."""
    expected = _expected_values(record["Key"])
    if expected is None:
        return f"{record['Key']!r} is no key of a granted benefit"
    reason = expected.pop("Reason")
    if grant is None or grant["Reason"] != reason:
        return f"{record['CreditKind']} credit {record['CreditId']} was not granted by {record['Key']}"
    for name, value in expected.items():
        if record[name] != value:
            return f"{name} is {record[name]} and the key says {value}"
    if not _is_possible_start(record["Key"], record["PeriodStart"], grant["EffectiveOn"]):
        return f"PeriodStart is {record['PeriodStart']:%Y-%m-%d %H:%M:%S} and does not fit the key"
    return None


def _expected_values(key: str) -> dict[str, Any] | None:
    """The reason of the grant and the columns of the record, as the key says them; None for no key."""
    if product := _PRODUCT_KEY.fullmatch(key):
        return {
            "Reason": BENEFIT_REASON.format(key),
            "ContractId": NO_CONTRACT_ID,
            "Benefit": f"product/{product[1]}",
            "CreditKind": product[2],
        }
    renewal = _RENEWAL_KEY.fullmatch(key)
    if renewal is None:
        return None
    rolled = renewal[5]
    return {
        "Reason": ROLLOVER_REASON.format(rolled) if rolled else RENEWAL_REASON.format(key),
        "ContractId": int(renewal[1]),
        "Benefit": f"{renewal[2]}/rolled" if rolled else renewal[2],
        "CreditKind": renewal[3],
    }


def _is_possible_start(key: str, start: datetime, granted: datetime) -> bool:
    """A renewal starts at midnight of the key's date in some time zone, a product's benefit at its grant."""
    renewal = _RENEWAL_KEY.fullmatch(key)
    if renewal is None:
        return not start.microsecond and abs(granted - start) < timedelta(hours=1)
    midnight = datetime.fromisoformat(renewal[4]).replace(tzinfo=UTC)
    return _FIRST_ZONE <= start - midnight <= _LAST_ZONE and not (start - midnight) % _QUARTER


async def _report_unrecorded(session: ReadSession, matched: set[_Place], report: FindingReporter) -> None:
    """Reports the grants of benefits that no record names; they could be granted again."""
    columns = ("Id", "CreditKind", "CreditId", "Sequence", "Reason")
    filters = where(JournalLine, Kind="grant", Sequence=1)
    async for lines in find_batches(session, JournalLine, GRANTS_PER_BATCH, columns, filters):
        for found in _unrecorded(lines, matched):
            report.finding(found)


def _unrecorded(lines: Iterable[Mapping[str, Any]], matched: set[_Place]) -> Iterator[AuditFinding]:
    for line in lines:
        place = (line["CreditKind"], line["CreditId"])
        if line["Reason"].startswith(_REASON_STARTS) and place not in matched:
            message = (
                f"{place[0]} credit {place[1]} was granted with the reason {line['Reason']!r} and no record keeps it"
            )
            yield AuditFinding.of_record(FindingCode.BENEFIT_GRANT_MISSING, JournalLine, line["Id"], message)
