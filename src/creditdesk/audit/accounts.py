"""Compares each credit with its journal: balances, hash chain, use rows, holds and state (rule 34)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from creditdesk.audit.chain_verifier import ChainVerifier, check_heads
from creditdesk.audit.derived_columns import (
    LINE_COLUMNS,
    STATE_COLUMNS,
    line_differences,
    state_differences,
)
from creditdesk.audit.hold_rows import HOLD_COLUMNS, hold_differences
from creditdesk.audit.use_rows import use_row_differences
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import JournalEntry
from creditdesk.ledger.journal.hash_chain import ChainHead
from creditdesk.ledger.journal.invariants import AccountBalances, balance_differences
from creditdesk.ledger.journal.mapping import (
    ENTRY_COLUMNS,
    MONEY_MAPPING,
    CreditTypeMapping,
    entry_from_record,
    is_booking_charge,
    overdraft_limit,
    state_id,
    stored_use,
    where,
)
from creditdesk.ledger.journal.values import StoredUse
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import ReadSession


@dataclass(frozen=True, slots=True)
class AccountBatch:
    """What is stored about the credits with some ids, other than the credits themselves."""

    mapping: CreditTypeMapping
    states: Mapping[int, Record]
    lines: Sequence[Record]
    uses: Mapping[int, Sequence[StoredUse]]
    holds: Mapping[int, Sequence[Record]]

    @property
    def row_counts(self) -> dict[type[Entity], int]:
        """How many rows of each table were read."""
        uses = sum(len(rows) for rows in self.uses.values())
        holds = sum(len(rows) for rows in self.holds.values())
        return {
            AccountState: len(self.states),
            JournalLine: len(self.lines),
            Hold: holds,
            self.mapping.history_entity: uses,
        }


@dataclass(frozen=True, slots=True)
class Journals:
    """The entries of some credits, by credit and in order, with what could not be read of them."""

    entries: Mapping[int, Sequence[JournalEntry]]
    digests: Sequence[bytes]
    problems: Sequence[str]


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
    return AccountBatch(mapping, {accounts[s["Id"]]: s for s in states}, lines, uses, holds)


def credit_columns(mapping: CreditTypeMapping) -> tuple[str, ...]:
    """The balance of a credit, and the columns that identify a booking charge (rule 5)."""
    charge = () if mapping is MONEY_MAPPING else ("BookingId", "BookingUniqueId")
    return ("Id", mapping.remaining_field, mapping.total_field, *charge)


def held_amount(mapping: CreditTypeMapping, state: Record | None) -> Amount:
    """What the state of a credit says is held."""
    return state["Held"] // mapping.scale if state else 0


def read_journals(lines: Iterable[Record]) -> Journals:
    """The entries in journal records that are in order of credit and sequence."""
    entries: dict[int, list[JournalEntry]] = {}
    digests: list[bytes] = []
    problems: list[str] = []
    for record in lines:
        try:
            entry = entry_from_record(record)
        except ValueError:
            kind = f"{record['CreditKind']} {record['Kind']} by {record['Cause']}"
            problems.append(f"JournalLine {record['Id']}: {kind!r} is no kind of entry")
            continue
        entries.setdefault(entry.credit_id, []).append(entry)
        digests.append(read_digest(record))
    return Journals(entries, digests, problems)


def read_digest(record: Record) -> bytes:
    """The digest of a journal line or state; empty where it is no digest, so that it fits none."""
    try:
        return bytes.fromhex(record["Digest"])
    except ValueError:
        return b""


def credit_problems(
    batch: AccountBatch,
    journals: Journals,
    credits_: Iterable[Record],
    overdrawn: Mapping[int, Record],
) -> Iterator[str]:
    """The differences of the credits from their journals.

    `overdrawn` holds the whole records of credits below zero, which may have an overdraft.
    """
    mapping = batch.mapping
    for credit in credits_:
        credit_id = credit["Id"]
        for problem in _differences(batch, credit, journals.entries.get(credit_id, ()), overdrawn.get(credit_id)):
            yield f"{mapping.credit_entity.__name__} {credit_id}: {problem}"


def _differences(
    batch: AccountBatch,
    credit: Record,
    entries: Sequence[JournalEntry],
    overdrawn: Record | None,
) -> Iterator[str]:
    mapping = batch.mapping
    state = batch.states.get(credit["Id"])
    uses = batch.uses.get(credit["Id"], ())
    holds = batch.holds.get(credit["Id"], ())
    has_journal = bool(entries or (state is not None and state["Sequence"]))
    if is_booking_charge(mapping, credit):
        if has_journal:
            yield "is a booking charge and has a journal"
        return
    yield from hold_differences(mapping.scale, entries, holds)
    if not has_journal and not uses:
        # The journal of an unused credit is opened by its first change.
        return
    stored = AccountBalances(
        credit[mapping.remaining_field],
        held_amount(mapping, state),
        credit[mapping.total_field],
        state["Sequence"] if state else 0,
        overdraft_limit(mapping, overdrawn) if overdrawn else 0,
    )
    yield from balance_differences(stored, entries, sum(use.used or 0 for use in uses))
    yield from use_row_differences(mapping, entries, uses)
    if state is not None:
        yield from state_differences(entries, state)


def journal_problems(batch: AccountBatch, journals: Journals) -> Iterator[str]:
    """What is wrong with the chains of the journals and with the states that record their ends."""
    yield from journals.problems
    for record in batch.lines:
        for problem in line_differences(batch.mapping, record):
            yield f"{batch.mapping.credit_entity.__name__} {record['CreditId']}: {problem}"
    verifier = ChainVerifier()
    kind = batch.mapping.account_type
    verifier.add((e for of_credit in journals.entries.values() for e in of_credit), journals.digests)
    recorded = [
        ChainHead(kind, credit_id, state["Sequence"], read_digest(state))
        for credit_id, state in batch.states.items()
        if state["Sequence"]
    ]
    for finding in [*verifier.findings, *check_heads(verifier.heads, recorded)]:
        yield str(finding)
    for credit_id, state in batch.states.items():
        if (state["CreditKind"], state["CreditId"]) != (kind.value, credit_id):
            yield f"AccountState {state['Id']}: names another credit than {kind} credit {credit_id}"
