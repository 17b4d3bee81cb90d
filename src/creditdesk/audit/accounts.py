"""Compares each credit with its journal: balances, hash chain, use rows, holds and state (rule 34)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from creditdesk.audit.allocations import count_linked_lines
from creditdesk.audit.balances import balance_differences
from creditdesk.audit.benefit_grants import count_benefit_grants
from creditdesk.audit.chain_verifier import ChainVerifier, check_heads
from creditdesk.audit.derived_columns import (
    LINE_COLUMNS,
    STATE_COLUMNS,
    line_differences,
    rollover_difference,
    state_differences,
)
from creditdesk.audit.findings import AuditFinding, FindingCode
from creditdesk.audit.hold_rows import HOLD_COLUMNS, hold_differences
from creditdesk.audit.stated_terms import StatedTerms, credit_term_differences, state_term_differences
from creditdesk.audit.use_rows import use_row_differences
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import JournalEntry
from creditdesk.ledger.journal.hash_chain import ChainHead
from creditdesk.ledger.journal.invariants import AccountBalances
from creditdesk.ledger.journal.mapping import (
    ENTRY_COLUMNS,
    MONEY_MAPPING,
    CreditTypeMapping,
    entry_from_record,
    is_booking_charge,
    overdraft_limit,
    state_id,
    stored_use,
)
from creditdesk.ledger.journal.terms import term_columns
from creditdesk.ledger.journal.values import StoredUse
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import UnknownStoredValue
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession


@dataclass(frozen=True, slots=True)
class AccountBatch:
    """What is stored about the credits with some ids, other than the credits themselves.

    `rollovers` is how often the credits were rolled over that these continue, by Id.
    """

    mapping: CreditTypeMapping
    states: Mapping[int, Record]
    lines: Sequence[Record]
    uses: Mapping[int, Sequence[StoredUse]]
    holds: Mapping[int, Sequence[Record]]
    rollovers: Mapping[int, int]

    @property
    def row_counts(self) -> dict[type[Entity], int]:
        """How many rows of each table were read, and how many benefit grants and decisions the lines name."""
        uses = sum(len(rows) for rows in self.uses.values())
        holds = sum(len(rows) for rows in self.holds.values())
        return {
            AccountState: len(self.states),
            JournalLine: len(self.lines),
            Hold: holds,
            BenefitGrant: count_benefit_grants(self.lines),
            AllocationDocument: count_linked_lines(self.lines),
            self.mapping.history_entity: uses,
        }


@dataclass(frozen=True, slots=True)
class Journals:
    """The entries of some credits, by credit and in order, with what could not be read of them."""

    entries: Mapping[int, Sequence[JournalEntry]]
    digests: Sequence[bytes]
    findings: Sequence[AuditFinding]


async def read_accounts(session: ReadSession, mapping: CreditTypeMapping, credit_ids: Sequence[int]) -> AccountBatch:
    """The states, entries, use rows and holds of credits of one type, whether the credits exist or not."""
    accounts = {state_id((mapping.account_type, i)): i for i in credit_ids}
    states = await session.find(
        AccountState,
        where(AccountState, Id=list(accounts)),
        columns=("Id", "CreditKind", "CreditId", "Held", "Sequence", "Digest", *STATE_COLUMNS),
    )
    lines = await session.find(
        JournalLine,
        where(JournalLine, CreditKind=mapping.account_type.value, CreditId=credit_ids),
        columns=(*ENTRY_COLUMNS, "Digest", *LINE_COLUMNS),
    )
    lines.sort(key=lambda record: (record["CreditId"], record["Sequence"]))
    rows = await session.find(
        mapping.history_entity,
        where(mapping.history_entity, **{mapping.credit_reference: credit_ids}),
        columns=mapping.use_columns,
    )
    uses: dict[int, list[StoredUse]] = defaultdict(list)
    for row in rows:
        uses[row[mapping.credit_reference]].append(stored_use(mapping, row))
    holds: dict[int, list[Record]] = defaultdict(list)
    for hold in await session.find(
        Hold,
        where(Hold, CreditKind=mapping.account_type.value, CreditId=credit_ids),
        columns=HOLD_COLUMNS,
    ):
        holds[hold["CreditId"]].append(hold)
    rollovers = await _load_rollovers(session, mapping, states)
    return AccountBatch(mapping, {accounts[s["Id"]]: s for s in states}, lines, uses, holds, rollovers)


async def _load_rollovers(session: ReadSession, mapping: CreditTypeMapping, states: Sequence[Record]) -> dict[int, int]:
    """How often the credits were rolled over that others continue, by Id."""
    origins = {state_id((mapping.account_type, i)): i for state in states if (i := state["GrantedFrom"])}
    if not origins:
        return {}
    found = await session.find(AccountState, where(AccountState, Id=list(origins)), columns=("Id", "TimesRolled"))
    return {origins[state["Id"]]: state["TimesRolled"] for state in found}


def credit_columns(mapping: CreditTypeMapping) -> tuple[str, ...]:
    """The balance and the terms of a credit, its currency or overdraft, and what identifies a booking charge."""
    own = ("BusinessCurrencyCode",) if mapping is MONEY_MAPPING else ("BookingId", "BookingUniqueId", "Overdraft")
    return ("Id", mapping.remaining_field, mapping.total_field, *own, *term_columns(mapping.credit_entity))


def held_amount(mapping: CreditTypeMapping, state: Record | None) -> Amount:
    """The held amount in the state of a credit; as stored if it is not a whole amount."""
    scaled: Amount = state["Held"] if state else 0
    return scaled if scaled % mapping.scale else scaled // mapping.scale


def read_journals(lines: Iterable[Record]) -> Journals:
    """The entries in journal records that are in order of credit and sequence."""
    entries: dict[int, list[JournalEntry]] = {}
    digests: list[bytes] = []
    findings: list[AuditFinding] = []
    for record in lines:
        try:
            entry = entry_from_record(record)
        except UnknownStoredValue:
            kind = f"{record['CreditKind']} {record['Kind']} by {record['Cause']}"
            message = f"{kind!r} is no kind of entry"
            findings.append(AuditFinding.of_record(FindingCode.LINE_UNREADABLE, JournalLine, record["Id"], message))
            continue
        entries.setdefault(entry.credit_id, []).append(entry)
        digests.append(read_digest(record))
    return Journals(entries, digests, findings)


def read_digest(record: Record) -> bytes:
    """The digest of a journal line or state; empty, which matches none, if it is not a digest."""
    try:
        return bytes.fromhex(record["Digest"])
    except ValueError:
        return b""


def credit_findings(
    batch: AccountBatch,
    journals: Journals,
    credits_: Iterable[Record],
) -> Iterator[AuditFinding]:
    """The differences of the credits from their journals."""
    for credit in credits_:
        credit_id = credit["Id"]
        account = (batch.mapping.account_type, credit_id)
        for found in _differences(batch, credit, journals.entries.get(credit_id, ())):
            yield replace(found, account=account)


def _differences(
    batch: AccountBatch,
    credit: Record,
    entries: Sequence[JournalEntry],
) -> Iterator[AuditFinding]:
    mapping = batch.mapping
    state = batch.states.get(credit["Id"])
    uses = batch.uses.get(credit["Id"], ())
    holds = batch.holds.get(credit["Id"], ())
    currency = credit.get("BusinessCurrencyCode")
    has_journal = bool(entries or (state is not None and state["Sequence"]))
    if is_booking_charge(mapping, credit):
        if has_journal:
            yield AuditFinding(code=FindingCode.CHARGE_WITH_JOURNAL, message="is a booking charge and has a journal")
        return
    yield from hold_differences(mapping, entries, holds, currency)
    yield from use_row_differences(mapping, entries, uses, currency)
    if not has_journal:
        message = "no grant explains the credit, so it cannot be used until it is adopted"
        yield AuditFinding(code=FindingCode.NO_GRANT, message=message)
        return
    stored = AccountBalances(
        credit[mapping.remaining_field],
        held_amount(mapping, state),
        credit[mapping.total_field],
        state["Sequence"] if state else 0,
        overdraft_limit(mapping, credit),
    )
    used = sum(use.used or 0 for use in uses)
    yield from balance_differences(mapping, stored, entries, used, currency)
    stated = StatedTerms.of(entries)
    yield from credit_term_differences(mapping, stated, credit)
    if state is not None:
        yield from state_differences(entries, state)
        yield from state_term_differences(stated, state)
        rolled_before = batch.rollovers.get(state["GrantedFrom"] or 0, 0)
        if found := rollover_difference(entries, state["TimesRolled"], rolled_before):
            yield found


def journal_findings(batch: AccountBatch, journals: Journals) -> Iterator[AuditFinding]:
    """The findings about the chains of the journals, and about the states that record their ends."""
    kind = batch.mapping.account_type
    yield from journals.findings
    for record in batch.lines:
        for found in line_differences(batch.mapping, record):
            yield replace(found, account=(kind, record["CreditId"]))
    verifier = ChainVerifier()
    verifier.add((e for of_credit in journals.entries.values() for e in of_credit), journals.digests)
    recorded = [
        ChainHead(kind, credit_id, state["Sequence"], read_digest(state))
        for credit_id, state in batch.states.items()
        if state["Sequence"]
    ]
    yield from map(AuditFinding.of_chain, [*verifier.findings, *check_heads(verifier.heads, recorded)])
    for credit_id, state in batch.states.items():
        if (state["CreditKind"], state["CreditId"]) != (kind.value, credit_id):
            message = f"names another credit than {kind} credit {credit_id}"
            yield AuditFinding.of_record(FindingCode.STATE_CREDIT, AccountState, state["Id"], message)
