"""What can be done to a credit besides spending it: grant, reverse, adjust, void, expire, reopen.

Each locks in id order, decides, writes and proves; none commits. This module must not know the
wire, nor what a credit is spent on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import AccountType, EntryType, JournalEntry
from creditdesk.ledger.journal.mapping import (
    AccountKey,
    CreditTypeMapping,
    entry_from_record,
    is_booking_charge,
    state_id,
    stored_credit,
    stored_state,
    unknown_reference,
    where,
)
from creditdesk.ledger.journal.transaction import (
    EntryMetadata,
    JournalTransaction,
    LedgerContext,
    LockedAccount,
    lock_accounts,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditKey, CreditType
from creditdesk.ledger.rules.renewal import has_expired
from creditdesk.ledger.rules.reversal import (
    ReversalExceedsUse,
    ReversibleUse,
    plan_return,
    reversal_amount,
)
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import StateConflict, ValidationError, invalid_field
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

_NOT_REISSUED = ("Id", "UniqueId", "CreatedOn", "UpdatedOn", "UpdatedBy", "Overdraft")


async def grant(
    session: WriteSession,
    mapping: CreditTypeMapping,
    records: Sequence[Record],
    context: RequestContext,
    ledger: LedgerContext,
    *,
    reason: str = "granted",
    granted_from: int | None = None,
    times_rolled: int = 0,
) -> list[int]:
    """Adds credits with all of their total remaining, and gives their ids (rule 6).

    `granted_from` is the credit that they continue, after `times_rolled` roll-overs.
    """
    now = ledger.clock()
    fresh = [
        new_record(mapping.credit_entity, {**record, mapping.remaining_field: record[mapping.total_field]}, now, context.principal.email)
        for record in records
    ]  # fmt: skip
    ids = await session.insert(mapping.credit_entity, fresh)
    journal = JournalTransaction(now, {})
    for credit_id, record in zip(ids, fresh, strict=True):
        account = (mapping.account_type, credit_id)
        credit = stored_credit(mapping, {**record, "Id": credit_id})
        state = stored_state(account, None)
        journal.accounts[account] = LockedAccount.of(mapping, credit, state, now)
        journal.open_account(
            account,
            EntryMetadata(context.principal.email, reason, idempotency_key=context.idempotency_key),
        )
        if granted_from is not None:
            journal.set_state(account, granted_from=granted_from, times_rolled=times_rolled)
    await journal.flush(session)
    return ids


@dataclass(frozen=True, slots=True)
class ReversalResult:
    """What came back of one use; `reissued` is the linked grant it went on to, if it did."""

    history_id: int
    account: AccountKey
    amount: Amount
    reissued_id: int | None = None


async def reverse(
    session: WriteSession,
    mapping: CreditTypeMapping,
    history_ids: Sequence[int],
    context: RequestContext,
    ledger: LedgerContext,
    *,
    amount: Amount | None = None,
    reason: str = "",
) -> list[ReversalResult]:
    """Gives uses back to the credits they came from: `amount` of each, or all that is left.

    What is already back stays as it is, so repeating a reversal changes nothing (rule 30). Raises
    Invalid for more than is left, Blocked for a row that is no use.
    """
    rows = await session.get_many(mapping.history_entity, history_ids)
    if missing := sorted(set(history_ids) - rows.keys()):
        raise unknown_reference(mapping.history_entity.__name__, missing[0])
    accounts = {(mapping.account_type, row[mapping.credit_reference]) for row in rows.values()}
    journal = await lock_accounts(session, accounts, ledger.clock)
    lines = await load_entries(session, accounts)
    done = []
    for history_id in history_ids:
        row = rows[history_id]
        account = (mapping.account_type, row[mapping.credit_reference])
        require_visible(context, journal, account, mapping.history_entity.__name__, history_id)
        on_credit = lines.get(account, [])
        used = next((x for x in on_credit if x.history_id == history_id), None)
        if used is None or used.kind is not EntryType.USE:
            raise StateConflict(f"#{history_id} is not a use, so it cannot be reversed.")
        back = _reversible_amount(used, on_credit, amount)
        if not back:
            done.append(ReversalResult(history_id, account, 0))
            continue
        metadata = EntryMetadata(
            context.principal.email,
            reason or f"reversal of #{history_id}",
            used.source_kind,
            used.source_id,
            context.idempotency_key,
            reverses=used.sequence,
        )
        written = journal.append(
            account,
            EntryType.REVERSAL,
            back,
            metadata,
            _reversal_history(mapping, row, metadata.reason),
        )
        # The same use may be named again further on.
        on_credit.append(written.entry)
        done.append(
            await _reissue_if_expired(session, journal, account, back, history_id, context, ledger)
        )
    await journal.flush(session)
    return done


def _reversible_amount(
    use: JournalEntry, entries: Sequence[JournalEntry], requested: Amount | None
) -> Amount:
    before = sum(x.amount for x in entries if x.reverses == use.sequence)
    reversible = ReversibleUse(
        use.history_id or 0, CreditKey(CreditType(use.credit_kind.value), use.credit_id),
        use.amount, reversed=before,
    )  # fmt: skip
    try:
        return reversal_amount(reversible, requested)
    except ReversalExceedsUse as nothing:
        raise invalid_field("Amount", f"{nothing} (rule 30)") from None
    except ValueError as wrong:
        raise invalid_field("Amount", str(wrong)) from None


async def _reissue_if_expired(
    session: WriteSession,
    journal: JournalTransaction,
    account: AccountKey,
    amount: Amount,
    history_id: int,
    context: RequestContext,
    ledger: LedgerContext,
) -> ReversalResult:
    """Returns to a lapsed credit go on to a linked grant, where days of grace are set (rule 30)."""
    credit = journal.accounts[account]
    key = CreditKey(CreditType(account[0].value), account[1])
    grace = ledger.settings.return_grace_days
    returned = plan_return(key, credit.stored.expires, amount, journal.now, grace)
    # What an overdraft had given comes back to it first.
    beyond = amount if amount <= credit.unreserved or not credit.overdraft else credit.unreserved
    if not returned.reissued or beyond <= 0:
        return ReversalResult(history_id, account, amount)
    journal.append(
        account,
        EntryType.VOID,
        beyond,
        EntryMetadata(context.principal.email, "returned as a new grant"),
    )
    whole = await session.get(credit.mapping.credit_entity, account[1])
    assert whole is not None
    own = _own_values(credit.mapping, whole)
    copy = {**own, credit.mapping.total_field: beyond, "ExpireDate": returned.expires}
    (granted,) = await grant(
        session,
        credit.mapping,
        [copy],
        context,
        ledger,
        reason=f"returned after credit #{account[1]} lapsed",
        granted_from=account[1],
    )
    return ReversalResult(history_id, account, amount, granted)


async def adjust(
    session: WriteSession,
    account: AccountKey,
    amount: Amount,
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
    effective: datetime | None = None,
) -> LockedAccount:
    """Corrects what remains, up or down; past the total raises the total (rule 2).

    The correction is a history row too, negative when upward. Raises Invalid for 0, and for
    taking more than is there and not held.
    """
    if not amount:
        raise invalid_field("Amount", "must not be zero")
    journal = await lock_accounts(session, [account], ledger.clock)
    credit = require_visible(context, journal, account)
    if amount < min(0, -credit.unreserved):
        left = credit.mapping.format_amount(max(0, credit.unreserved))
        raise invalid_field(
            "Amount", f"takes more than the {left} that remains and is not held (rule 2)"
        )
    metadata = EntryMetadata(
        context.principal.email,
        reason,
        idempotency_key=context.idempotency_key,
        effective=effective,
    )
    row = {"Description": reason} if account[0] is AccountType.MONEY else {}
    journal.append(account, EntryType.ADJUSTMENT, amount, metadata, row)
    await journal.flush(session)
    return journal.accounts[account]


@dataclass(frozen=True, slots=True)
class VoidResult:
    """What a void removed, and what had been used before (rule 29)."""

    account: AccountKey
    removed: Amount
    used: Amount
    held: Amount


async def void(
    session: WriteSession,
    accounts: Sequence[AccountKey],
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
) -> list[VoidResult]:
    """Removes what is unused of each grant; what is held stays for its source (rules 26, 29)."""
    journal = await lock_accounts(session, accounts, ledger.clock)
    done = []
    for account in accounts:
        credit = require_visible(context, journal, account)
        removed = max(0, credit.unreserved)
        if removed:
            metadata = EntryMetadata(
                context.principal.email, reason or "voided", idempotency_key=context.idempotency_key
            )
            journal.append(account, EntryType.VOID, removed, metadata)
        used = credit.total - credit.remaining
        done.append(VoidResult(account, removed, used, credit.held))
    await journal.flush(session)
    return done


async def set_priority(
    session: WriteSession,
    accounts: Sequence[AccountKey],
    priority: int,
    context: RequestContext,
    ledger: LedgerContext,
) -> None:
    """Sets the place of credits in the order of payment, the lower first (rule 18, number 3)."""
    journal = await lock_accounts(session, accounts, ledger.clock)
    for account in accounts:
        require_visible(context, journal, account)
        metadata = EntryMetadata(
            context.principal.email, f"priority {priority}", idempotency_key=context.idempotency_key
        )
        journal.append(account, EntryType.ADJUSTMENT, 0, metadata)
        journal.set_state(account, priority=priority)
    await journal.flush(session)


async def expire(
    session: WriteSession,
    mapping: CreditTypeMapping,
    context: RequestContext,
    ledger: LedgerContext,
    most: int = 500,
) -> list[AccountKey]:
    """Writes an expiry line on lapsed credits that have none for this expiry yet (rule 28).

    The line is for the unused part and changes no balance; at most `most` credits at a time.
    Gives the credits it wrote on, so the caller repeats while there are any.
    """
    now = ledger.clock()
    swept: list[AccountKey] = []
    after = 0
    while len(swept) < most:
        found = await session.find(
            mapping.credit_entity, expired_filters(mapping, now), limit=most, after_id=after
        )
        if not found:
            break
        after = found[-1]["Id"]
        due = [(mapping.account_type, c["Id"]) for c in found if not is_booking_charge(mapping, c)]
        states = await session.get_many(AccountState, [state_id(account) for account in due])
        ends = {c["Id"]: c["ExpireDate"] for c in found}
        swept += [
            a for a in due
            if (states.get(state_id(a)) or {}).get("ExpirySwept") != ends[a[1]]
        ]  # fmt: skip
    return await write_expiry(session, swept[:most], context, ledger)


def expired_filters(mapping: CreditTypeMapping, now: datetime) -> tuple[Filter, ...]:
    """The filters for credits that lapsed with something left, swept or not."""
    columns = mapping.credit_entity.meta().columns
    return (
        Filter(columns["ExpireDate"], Comparison.AT_MOST, now),
        Filter(columns[mapping.remaining_field], Comparison.AT_LEAST, 1),
    )


async def write_expiry(
    session: WriteSession,
    accounts: Sequence[AccountKey],
    context: RequestContext,
    ledger: LedgerContext,
) -> list[AccountKey]:
    """Writes the expiry line of those credits that, once locked, still want one (rule 28)."""
    journal = await lock_accounts(session, accounts, ledger.clock)
    swept = []
    for account, credit in journal.accounts.items():
        ends = credit.stored.expires
        before = credit.state.expiry_recorded
        # A spend or an extension may have come before the lock.
        if not has_expired(ends, journal.now) or before == ends or credit.unreserved <= 0:
            continue
        metadata = EntryMetadata(context.principal.email, "lapsed unused", effective=ends)
        journal.append(account, EntryType.EXPIRY, credit.unreserved, metadata)
        journal.set_state(account, expiry_recorded=ends)
        swept.append(account)
    await journal.flush(session)
    return swept


async def load_entries(
    session: WriteSession, accounts: set[AccountKey]
) -> dict[AccountKey, list[JournalEntry]]:
    """The journal lines of locked credits, each credit's in order."""
    found: dict[AccountKey, list[JournalEntry]] = {}
    for kind in {kind for kind, _ in accounts}:
        ids = tuple(credit_id for side, credit_id in accounts if side is kind)
        for record in await session.find(
            JournalLine, where(JournalLine, CreditKind=kind.value, CreditId=ids)
        ):
            found.setdefault((kind, record["CreditId"]), []).append(entry_from_record(record))
    for lines in found.values():
        lines.sort(key=lambda line: line.sequence)
    return found


def require_visible(
    context: RequestContext,
    journal: JournalTransaction,
    account: AccountKey,
    relation: str = "Credit",
    attempted: object = None,
) -> LockedAccount:
    """The locked credit, when it exists for the caller and has a balance. Raises Invalid."""
    credit = journal.accounts.get(account)
    if credit is None or not context.principal.sees_location(credit.stored.business_id):
        raise unknown_reference(relation, account[1] if attempted is None else attempted)
    if credit.stored.is_booking_charge:
        raise invalid_field(relation, "is a booking charge and has no balance (rule 5)")
    return credit


def _reversal_history(mapping: CreditTypeMapping, used: Record, reason: str) -> dict[str, Any]:
    """The history row of a reversal names what the use named."""
    names = ("BookingId", "CoworkerInvoiceLineId", "EventAttendeeId")
    row = {name: used[name] for name in names if used.get(name)}
    return {**row, "Description": reason} if mapping.account_type is AccountType.MONEY else row


def _own_values(mapping: CreditTypeMapping, whole: Record) -> Record:
    shape = mapping.credit_entity.meta()
    names = [
        c.name
        for c in (*shape.stored_columns, *shape.collection_columns)
        if c.name not in _NOT_REISSUED
    ]
    return {name: whole[name] for name in names}


def require_total_covers_used(
    mapping: CreditTypeMapping, credit: LockedAccount, total: Amount
) -> None:
    """A total may not fall below what is used and held (rule 6)."""
    used = credit.total - credit.unreserved
    if total < min(used, credit.total):
        message = (
            f"must not be less than the {mapping.format_amount(used)} that is used or held (rule 6)"
        )
        raise ValidationError(*invalid_field(mapping.total_field, message).errors)
