"""What `verify` reports: findings with stable codes (docs/reference/findings.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Protocol

from creditdesk.audit.chain_verifier import ChainFinding, FindingKind
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.ledger.journal.mapping import AccountKey, CreditTypeMapping
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession

NAMES_PER_QUERY: Final = 500


class FindingCode(StrEnum):
    """The kind of a finding. A code never changes its meaning."""

    NO_GRANT = "no_grant"
    REMAINING = "remaining"
    TOTAL = "total"
    HELD = "held"
    LINE_COUNT = "line_count"
    USED = "used"
    TERM = "term"
    OVERDRAFT = "overdraft"
    IMPOSSIBLE_BALANCE = "impossible_balance"
    CHARGE_WITH_JOURNAL = "charge_with_journal"
    CREDIT_GONE = "credit_gone"
    USE_MISSING = "use_missing"
    USE_UNEXPLAINED = "use_unexplained"
    USE_AMOUNT = "use_amount"
    USE_ITEM = "use_item"
    USE_DATE = "use_date"
    HOLD_STATE = "hold_state"
    HOLDS = "holds"
    SETTLED_HOLDS = "settled_holds"
    HOLD_END = "hold_end"
    LINE_CHANGED = "line_changed"
    LINE_MISSING = "line_missing"
    LINE_DUPLICATED = "line_duplicated"
    LINE_INSERTED = "line_inserted"
    LINE_REORDERED = "line_reordered"
    LINE_UNREADABLE = "line_unreadable"
    LINE_COLUMN = "line_column"
    LINES_CUT_OFF = "lines_cut_off"
    PAST_REWRITTEN = "past_rewritten"
    STATE = "state"
    STATE_CREDIT = "state_credit"
    CREDIT_TYPE = "credit_type"
    DECISION = "decision"
    DECISION_MISSING = "decision_missing"
    BENEFIT_GRANT = "benefit_grant"
    BENEFIT_GRANT_MISSING = "benefit_grant_missing"
    COPIED_VALUE = "copied_value"
    ROW_COUNTER = "row_counter"
    CHECKPOINT = "checkpoint"
    AUDIT_TRAIL = "audit_trail"
    POOL_CAP = "pool_cap"


MEANINGS: Final[Mapping[FindingCode, str]] = {
    FindingCode.NO_GRANT: "No grant in the journal explains the credit. It cannot be used until an operator adopts it.",
    FindingCode.REMAINING: "What remains of the credit is not what its journal says.",
    FindingCode.TOTAL: "The total of the credit is not what its journal says.",
    FindingCode.HELD: "What is held of the credit is not what its journal says.",
    FindingCode.LINE_COUNT: "The account counts another number of lines than its journal has.",
    FindingCode.USED: "The use rows of the credit sum to another amount than its journal says was used.",
    FindingCode.TERM: "A term of the credit (owner, location, window, limits, rate, price, origin) is not what its "
    "journal states last (rules 4, 28).",
    FindingCode.OVERDRAFT: "The overdraft of a printing credit is not the one that its journal set last (rule 33).",
    FindingCode.IMPOSSIBLE_BALANCE: "The journal leads to a balance that no rule allows (rules 2, 26, 33).",
    FindingCode.CHARGE_WITH_JOURNAL: "A booking charge, which has no balance, has a journal (rule 5).",
    FindingCode.CREDIT_GONE: "The credit does not exist any more, and its journal does not say that it was deleted.",
    FindingCode.USE_MISSING: "A line names a use row that does not exist.",
    FindingCode.USE_UNEXPLAINED: "No line explains the use row.",
    FindingCode.USE_AMOUNT: "The use row has another amount than its line.",
    FindingCode.USE_ITEM: "The use row names another item than its line.",
    FindingCode.USE_DATE: "The use row has another date than its line.",
    FindingCode.HOLD_STATE: "The hold is in a state that does not exist.",
    FindingCode.HOLDS: "The holds of an item are not those that the journal made.",
    FindingCode.HOLD_END: "The hold ends at another instant than its line says.",
    FindingCode.SETTLED_HOLDS: "The holds that have ended are not those that the journal released.",
    FindingCode.LINE_CHANGED: "The content of the line does not match its digest and the line before it.",
    FindingCode.LINE_MISSING: "Lines are missing between two others.",
    FindingCode.LINE_DUPLICATED: "A second line has the same number.",
    FindingCode.LINE_INSERTED: "A line stands where the account knows none.",
    FindingCode.LINE_REORDERED: "The line stands after a later one.",
    FindingCode.LINE_UNREADABLE: "The line is of no kind that exists.",
    FindingCode.LINE_COLUMN: "A column beside the sealed line does not follow from it.",
    FindingCode.LINES_CUT_OFF: "The newest lines of the credit are missing.",
    FindingCode.PAST_REWRITTEN: "The newest digest of the journal is not the one that the account or a checkpoint keeps.",
    FindingCode.STATE: "A column of the account's state does not follow from the journal.",
    FindingCode.STATE_CREDIT: "The account's state names another credit than its number says.",
    FindingCode.CREDIT_TYPE: "A record names a type of credit that does not exist.",
    FindingCode.DECISION: "A stored decision does not fit the lines that carry it out (rule 19).",
    FindingCode.DECISION_MISSING: "The decision that a line carries out is not stored.",
    FindingCode.BENEFIT_GRANT: "The record of a granted benefit does not fit the grant of its credit (rule 27).",
    FindingCode.BENEFIT_GRANT_MISSING: "No record keeps a benefit from being granted again (rule 27).",
    FindingCode.COPIED_VALUE: "A denormalized value differs from the record that it is copied from.",
    FindingCode.ROW_COUNTER: "A row counter differs from the number of rows.",
    FindingCode.AUDIT_TRAIL: "A record of the audit trail was changed, moved, inserted or removed (rule 39).",
    FindingCode.POOL_CAP: "The cap of shared credit is not what the audit trail states last (rules 16, 39).",
    FindingCode.CHECKPOINT: "A checkpoint in the database was changed, removed or cannot be read.",
}
"""The meaning of each code."""

_CHAIN_CODES: Final[Mapping[FindingKind, FindingCode]] = {
    FindingKind.CHANGED: FindingCode.LINE_CHANGED,
    FindingKind.MISSING: FindingCode.LINE_MISSING,
    FindingKind.DUPLICATED: FindingCode.LINE_DUPLICATED,
    FindingKind.INSERTED: FindingCode.LINE_INSERTED,
    FindingKind.REORDERED: FindingCode.LINE_REORDERED,
    FindingKind.TRUNCATED: FindingCode.LINES_CUT_OFF,
    FindingKind.REWRITTEN: FindingCode.PAST_REWRITTEN,
    FindingKind.CHECKPOINT: FindingCode.CHECKPOINT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """One difference: what is wrong with a credit, a line of its journal, or another record.

    `stored` and `expected` are the two values of a difference, as people write them. `credit_name`
    and `customer` describe the credit, where it still exists.
    """

    code: FindingCode
    message: str
    account: AccountKey | None = None
    sequence: int | None = None
    entity: type[Entity] | None = None
    record_id: int | None = None
    stored: str | None = None
    expected: str | None = None
    credit_name: str | None = None
    customer: str | None = None

    @classmethod
    def of_chain(cls, found: ChainFinding) -> AuditFinding:
        """A problem of a hash chain or a checkpoint."""
        account = (found.credit_kind, found.credit_id)
        return cls(
            code=_CHAIN_CODES[found.kind],
            message=found.message,
            account=None if account[0] is None or account[1] is None else (account[0], account[1]),
            sequence=found.sequence,
        )

    @classmethod
    def of_record(cls, code: FindingCode, entity: type[Entity], record_id: int, message: str) -> AuditFinding:
        """A problem of one record."""
        return cls(code=code, message=message, entity=entity, record_id=record_id)

    @property
    def subject(self) -> str:
        """What the finding is about, as `money credit 12, line 3`; empty for the database as a whole."""
        if self.account is not None:
            kind, credit_id = self.account
            return (
                f"{kind} credit {credit_id}"
                if self.sequence is None
                else f"{kind} credit {credit_id}, line {self.sequence}"
            )
        if self.entity is None:
            return ""
        number = "" if self.record_id is None else f" {self.record_id}"
        return f"{self.entity.__name__}{number}"

    @property
    def named_subject(self) -> str:
        """The subject with the names of credit and customer, as `money credit 12 "Rooms" of Ada`."""
        named = f' "{self.credit_name}"' if self.credit_name else ""
        owned = f" of {self.customer}" if self.customer else ""
        return f"{self.subject}{named}{owned}" if self.subject else ""

    @property
    def text(self) -> str:
        """Subject and message."""
        return f"{self.subject}: {self.message}" if self.subject else self.message

    def __str__(self) -> str:
        """One line for people: the code, what it is about with the names of credit and customer, the message."""
        subject = f"{self.named_subject}: " if self.subject else ""
        return f"{self.code}: {subject}{self.message}"

    def to_document(self) -> dict[str, Any]:
        """The finding as a JSON object; absent values are left out."""
        values: dict[str, Any] = {
            "code": self.code.value,
            "message": self.message,
            "creditKind": self.account[0].value if self.account else None,
            "creditId": self.account[1] if self.account else None,
            "creditName": self.credit_name,
            "customer": self.customer,
            "line": self.sequence,
            "entity": self.entity.__name__ if self.entity else None,
            "recordId": self.record_id,
            "stored": self.stored,
            "expected": self.expected,
        }
        return {name: value for name, value in values.items() if value is not None}


class FindingReporter(ProgressReporter, Protocol):
    """Receives findings, and the progress of the search for them."""

    def finding(self, finding: AuditFinding) -> None:
        """A difference was found."""


def difference(code: FindingCode, what: str, stored: str, expected: str) -> AuditFinding:
    """A value that differs from the journal."""
    message = f"{what} is {stored} and the journal says {expected}"
    return AuditFinding(code=code, message=message, stored=stored, expected=expected)


async def with_names(
    session: ReadSession, mapping: CreditTypeMapping, findings: Sequence[AuditFinding]
) -> list[AuditFinding]:
    """Findings about credits of one type, with the names of the credits that exist and of their customers."""
    ids = sorted({found.account[1] for found in findings if found.account})
    named: dict[int, tuple[str, str]] = {}
    for start in range(0, len(ids), NAMES_PER_QUERY):
        part = ids[start : start + NAMES_PER_QUERY]
        credits_ = await session.find(
            mapping.credit_entity,
            where(mapping.credit_entity, Id=part),
            columns=("Id", "CoworkerId", *mapping.description_columns),
        )
        owner_ids = {credit["CoworkerId"] for credit in credits_ if credit["CoworkerId"]}
        found = await session.find(Coworker, where(Coworker, Id=owner_ids), columns=("Id", "FullName"))
        owners = {owner["Id"]: owner["FullName"] or "" for owner in found}
        for credit in credits_:
            name = credit["Description"] or credit.get("ExtraServiceName") or ""
            named[credit["Id"]] = (name, owners.get(credit["CoworkerId"], ""))
    return [_with_name(found, named) for found in findings]


def _with_name(found: AuditFinding, named: Mapping[int, tuple[str, str]]) -> AuditFinding:
    if found.account is None or found.account[1] not in named:
        return found
    name, customer = named[found.account[1]]
    return replace(found, credit_name=name or None, customer=customer or None)
