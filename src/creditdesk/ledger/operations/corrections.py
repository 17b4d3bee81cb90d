"""Operations on a credit other than spending: grant, reverse, adjust, void, expire.

Each operation locks accounts in one order, decides, and flushes its entries; none commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from creditdesk.ledger.journal.accounts import EntryMetadata, LockedAccount
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import AccountType, EntryType, JournalEntry
from creditdesk.ledger.journal.mapping import (
    AccountKey,
    CreditTypeMapping,
    stored_credit,
    stored_state,
    unknown_reference,
)
from creditdesk.ledger.journal.reasons import EXPIRY_REASON, GRANT_REASON, REISSUE_REASON, REVERSAL_REASON, VOID_REASON
from creditdesk.ledger.journal.terms import grant_document
from creditdesk.ledger.journal.transaction import JournalTransaction, LedgerContext
from creditdesk.ledger.loaders.credits import load_credit_values
from creditdesk.ledger.loaders.entries import load_entries
from creditdesk.ledger.loaders.period_locks import load_location_id
from creditdesk.ledger.loaders.uses import UseRow, load_uses
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.operations.period_locks import require_open_period
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditKey, CreditType
from creditdesk.ledger.rules.funding import UNKNOWN_FUNDING, Funding
from creditdesk.ledger.rules.renewal import has_expired
from creditdesk.ledger.rules.reversal import (
    ReversibleUse,
    plan_return,
    reversal_amount,
)
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


class NewCredit(Struct, frozen=True):
    """A credit to grant: its total in its smallest unit, and the other values of its record.

    `granted_from` is the credit that it continues, after `times_rolled` rollovers; `funding` is where
    it comes from (rule 35).
    """

    total: Amount
    values: Mapping[str, object]
    granted_from: int | None = None
    times_rolled: int = 0
    funding: Funding = UNKNOWN_FUNDING


async def grant(
    session: WriteSession,
    mapping: CreditTypeMapping,
    credits_: Sequence[NewCredit],
    context: RequestContext,
    ledger: LedgerContext,
    *,
    cause: Cause = Cause.ISSUED,
    reason: str = GRANT_REASON,
) -> list[int]:
    """Adds credits with all of their total remaining and returns their ids (rule 6)."""
    now = ledger.clock()
    records = [_credit_record(mapping, credit, now, context) for credit in credits_]
    ids = await session.insert(mapping.credit_entity, records)
    journal = JournalTransaction(now, {})
    for credit_id, new, record in zip(ids, credits_, records, strict=True):
        account = (mapping.account_type, credit_id)
        credit = stored_credit(mapping, {**record, "Id": credit_id})
        state = replace(stored_state(account, None), funding=new.funding)
        journal.accounts[account] = LockedAccount.of(mapping, credit, state, now)
        journal.open_account(
            account,
            EntryMetadata(
                context.principal.email,
                cause,
                reason,
                idempotency_key=context.idempotency_key,
                document=grant_document(mapping.credit_entity, record, new.funding),
            ),
        )
        if new.granted_from is not None:
            journal.set_state(account, granted_from=new.granted_from, times_rolled=new.times_rolled)
    await journal.flush(session)
    return ids


def _credit_record(
    mapping: CreditTypeMapping, credit: NewCredit, now: datetime, context: RequestContext
) -> dict[str, object]:
    amounts = {mapping.total_field: credit.total, mapping.remaining_field: credit.total}
    values = {**credit.values, **amounts}
    return new_record(mapping.credit_entity, values, now, context.principal.email)


@dataclass(frozen=True, slots=True)
class ReversalResult:
    """What was returned of one use; `reissued_id` is the credit it went on to, if it did."""

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
    cause: Cause = Cause.CORRECTION,
    reason: str = "",
) -> list[ReversalResult]:
    """Returns uses to the credits they came from: `amount` of each, or all that is left.

    A use that is reversed already stays as it is, so repeating a reversal changes nothing (rule
    30). Raises ValidationError for more than is left, StateConflict for a row that is no use.
    """
    uses = await load_uses(session, mapping, history_ids)
    if missing := sorted(set(history_ids) - uses.keys()):
        raise unknown_reference(mapping.history_entity.__name__, missing[0])
    accounts = {(mapping.account_type, use.credit_id) for use in uses.values()}
    journal = await lock_accounts(session, accounts, ledger.clock)
    entries = await load_entries(session, accounts)
    results = []
    for history_id in history_ids:
        use = uses[history_id]
        account = (mapping.account_type, use.credit_id)
        require_visible(context, journal, account, mapping.history_entity.__name__, history_id)
        on_account = entries.get(account, [])
        returned = _write_reversal(journal, mapping, use, on_account, amount, (cause, reason), context)
        reissued_id = (
            await _reissue_if_expired(session, journal, account, returned, context, ledger) if returned else None
        )
        results.append(ReversalResult(history_id, account, returned, reissued_id))
    await journal.flush(session)
    return results


def _write_reversal(
    journal: JournalTransaction,
    mapping: CreditTypeMapping,
    use: UseRow,
    entries: list[JournalEntry],
    requested: Amount | None,
    why: tuple[Cause, str],
    context: RequestContext,
) -> Amount:
    """Writes the reversal of one use and returns its amount; 0 when nothing is left of it."""
    used = next((entry for entry in entries if entry.history_id == use.id), None)
    if used is None or used.kind is not EntryType.USE:
        raise StateConflict(f"#{use.id} is not a use, so it cannot be reversed.")
    cause, reason = why
    amount = _reversible_amount(used, entries, requested)
    if not amount:
        return 0
    metadata = EntryMetadata(
        context.principal.email,
        cause,
        reason or REVERSAL_REASON.format(use.id),
        used.source_kind,
        used.source_id,
        context.idempotency_key,
        reverses=used.sequence,
    )
    is_money = mapping.account_type is AccountType.MONEY
    description = {"Description": metadata.reason} if is_money else {}
    row = {**use.references, **description}
    pending = journal.append((mapping.account_type, use.credit_id), EntryType.REVERSAL, amount, metadata, row)
    # The same use may be named again further on.
    entries.append(pending.entry)
    return amount


def _reversible_amount(use: JournalEntry, entries: Sequence[JournalEntry], requested: Amount | None) -> Amount:
    reversible = ReversibleUse(
        use.history_id or 0,
        CreditKey(CreditType(use.credit_kind.value), use.credit_id),
        use.amount,
        reversed=sum(entry.amount for entry in entries if entry.reverses == use.sequence),
    )
    try:
        return reversal_amount(reversible, requested)
    except ValueError as error:
        raise invalid_field("Amount", str(error)) from None


async def _reissue_if_expired(
    session: WriteSession,
    journal: JournalTransaction,
    account: AccountKey,
    amount: Amount,
    context: RequestContext,
    ledger: LedgerContext,
) -> int | None:
    """Moves what returned to an expired credit to a new one, within the days of grace (rule 30).

    Returns the new credit's id, or None where nothing is moved.
    """
    credit = journal.accounts[account]
    key = CreditKey(CreditType(account[0].value), account[1])
    grace = ledger.settings.return_grace_days
    plan = plan_return(key, credit.stored.expires, amount, journal.now, grace)
    # What came from an overdraft repays it first.
    moved = amount if amount <= credit.unreserved or not credit.overdraft else credit.unreserved
    if not plan.reissued or moved <= 0:
        return None
    metadata = EntryMetadata(context.principal.email, Cause.REISSUED, "returned as a new grant")
    journal.append(account, EntryType.VOID, moved, metadata)
    values = await load_credit_values(session, credit.mapping, account[1])
    (granted_id,) = await grant(
        session,
        credit.mapping,
        [
            NewCredit(
                moved,
                {**values, "ExpireDate": plan.expires},
                granted_from=account[1],
                funding=credit.state.funding.part(moved, credit.total),
            )
        ],
        context,
        ledger,
        cause=Cause.REISSUED,
        reason=REISSUE_REASON.format(account[1]),
    )
    return granted_id


async def adjust(
    session: WriteSession,
    account: AccountKey,
    amount: Amount,
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
    effective: datetime | None = None,
) -> LockedAccount:
    """Corrects what remains, up or down; beyond the total it raises the total (rule 2).

    The history shows the correction as a row, negative when upward. Raises ValidationError for 0,
    for taking more than remains and is not held, and for an `effective` in a closed period (rule 37).
    """
    if effective is not None:
        await _require_open_period(session, account, effective, ledger)
    journal = await lock_accounts(session, [account], ledger.clock)
    require_visible(context, journal, account)
    append_adjustment(journal, account, amount, reason, context, effective)
    await journal.flush(session)
    return journal.accounts[account]


def append_adjustment(
    journal: JournalTransaction,
    account: AccountKey,
    amount: Amount,
    reason: str,
    context: RequestContext,
    effective: datetime | None = None,
) -> None:
    """Appends the correction of a locked, visible account; raises as `adjust` does."""
    if not amount:
        raise invalid_field("Amount", "must not be zero")
    credit = journal.accounts[account]
    if amount < min(0, -credit.unreserved):
        left = credit.mapping.format_amount(max(0, credit.unreserved))
        raise invalid_field("Amount", f"takes more than the {left} that remains and is not held")
    metadata = EntryMetadata(
        context.principal.email,
        Cause.CORRECTION,
        reason,
        idempotency_key=context.idempotency_key,
        effective=effective,
    )
    row = {"Description": reason} if account[0] is AccountType.MONEY else {}
    journal.append(account, EntryType.ADJUSTMENT, amount, metadata, row)


async def _require_open_period(
    session: WriteSession, account: AccountKey, effective: datetime, ledger: LedgerContext
) -> None:
    business_id = await load_location_id(session, account)
    if business_id is not None:
        await require_open_period(session, business_id, effective, ledger)


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
    """Removes what is unused of each credit; what is held stays for its source (rules 26, 29)."""
    journal = await lock_accounts(session, accounts, ledger.clock)
    done = []
    for account in accounts:
        require_visible(context, journal, account)
        done.append(append_void(journal, account, reason, context))
    await journal.flush(session)
    return done


def append_void(journal: JournalTransaction, account: AccountKey, reason: str, context: RequestContext) -> VoidResult:
    """Appends the void of what is unused of a locked, visible account; nothing where nothing is."""
    credit = journal.accounts[account]
    removed = max(0, credit.unreserved)
    if removed:
        metadata = EntryMetadata(
            context.principal.email, Cause.VOIDED, reason or VOID_REASON, idempotency_key=context.idempotency_key
        )
        journal.append(account, EntryType.VOID, removed, metadata)
    return VoidResult(account, removed, credit.total - credit.remaining, credit.reserved)


async def write_expiry(
    session: WriteSession,
    accounts: Sequence[AccountKey],
    context: RequestContext,
    ledger: LedgerContext,
) -> list[AccountKey]:
    """Writes the expiry entry of accounts that need one and returns those accounts (rule 28).

    The entry is for the unused part and changes no balance.
    """
    journal = await lock_accounts(session, accounts, ledger.clock)
    expired = []
    for account, credit in journal.accounts.items():
        ends = credit.stored.expires
        before = credit.state.expiry_recorded
        # A spend or an extension may have come before the lock.
        is_due = has_expired(ends, journal.now) and before != ends and credit.unreserved > 0
        if not (is_due and credit.is_granted):
            continue
        metadata = EntryMetadata(context.principal.email, Cause.EXPIRY_RUN, EXPIRY_REASON, effective=ends)
        journal.append(account, EntryType.EXPIRY, credit.unreserved, metadata)
        journal.set_state(account, expiry_recorded=ends)
        expired.append(account)
    await journal.flush(session)
    return expired


def require_visible(
    context: RequestContext,
    journal: JournalTransaction,
    account: AccountKey,
    relation: str = "Credit",
    attempted: object = None,
) -> LockedAccount:
    """The locked account of a credit that the principal may see. Raises ValidationError.

    `relation` and `attempted` name the field and value that the error reports.
    """
    credit = journal.accounts.get(account)
    if credit is None or not context.principal.sees_location(credit.stored.business_id):
        raise unknown_reference(relation, account[1] if attempted is None else attempted)
    if credit.stored.is_booking_charge:
        raise invalid_field(relation, "is a booking charge and has no balance")
    return credit


def require_total_covers_used(mapping: CreditTypeMapping, credit: LockedAccount, total: Amount) -> None:
    """Raises ValidationError for a total below what is used and held (rule 6)."""
    used = credit.total - credit.unreserved
    if total < min(used, credit.total):
        left = mapping.format_amount(used)
        raise invalid_field(mapping.total_field, f"must not be less than the {left} that is used or held")
