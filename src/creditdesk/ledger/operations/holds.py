"""Holds: credit is reserved for a source, then turned into uses or released (rule 26).

A hold lowers what is available, not what remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.states import HoldState, Operation
from creditdesk.ledger.journal.accounts import EntryMetadata, PendingEntry
from creditdesk.ledger.journal.causes import SOURCE_CAUSES, Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import MAPPINGS, account_key
from creditdesk.ledger.journal.reasons import RELEASE_REASON
from creditdesk.ledger.journal.terms import hold_document
from creditdesk.ledger.journal.transaction import (
    JournalTransaction,
    LedgerContext,
    lock_stored_accounts,
)
from creditdesk.ledger.loaders.holds import HoldRow, find_due_groups, lock_hold_groups
from creditdesk.ledger.operations.baskets import Basket
from creditdesk.ledger.operations.draw import (
    Decision,
    next_document_ids,
    preview,
    store_decisions,
    write_releases,
    write_use,
)
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.rules.burn_down import Allocation, AllocationPart
from creditdesk.ledger.rules.credit import SourceKey
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import NotFound, StateConflict, invalid_field
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class HoldResult:
    """A group of holds made together; `group` is None when no credit could be held."""

    group: int | None
    allocation: Allocation
    allocation_group: int


async def create_hold(
    session: WriteSession,
    basket: Basket,
    context: RequestContext,
    ledger: LedgerContext,
    until: datetime | None = None,
) -> HoldResult:
    """Reserves what a spend on the basket would take now, until `until` or until released.

    Raises ValidationError for an `until` that does not lie ahead.
    """
    journal = await lock_accounts(session, basket.accounts, ledger.clock)
    if until is not None and until <= journal.now:
        raise invalid_field("Until", "must lie ahead")
    locked = Basket(basket.owner, basket.sources, basket.with_locked_balances(journal))
    allocation = preview(locked, ledger, journal.now)
    document_ids = await next_document_ids(session, len(allocation.sources))
    decision = Decision(allocation, basket, context, Operation.HOLD, document_ids)
    (stored,) = await store_decisions(session, [decision])
    count = sum(len(source.parts) for source in allocation.sources)
    if not count:
        return HoldResult(None, allocation, stored.allocation_group)
    [ids] = (await session.next_ids({Hold: count})).values()
    _write_holds(journal, decision, until)
    records = _hold_records(decision, ids, until)
    await session.insert(Hold, records)
    await journal.flush(session)
    return HoldResult(ids[0], allocation, stored.allocation_group)


def _held_parts(decision: Decision) -> Iterable[tuple[int, SourceKey, AllocationPart]]:
    """Each part of the decision with its source and the id of the source's document."""
    for document_id, source in zip(decision.document_ids, decision.allocation.sources, strict=True):
        for part in source.parts:
            yield document_id, source.source, part


def _write_holds(journal: JournalTransaction, decision: Decision, until: datetime | None) -> None:
    context = decision.context
    for document_id, source, part in _held_parts(decision):
        metadata = EntryMetadata(
            context.principal.email,
            SOURCE_CAUSES[source.kind.value],
            "",
            source.kind.value,
            source.id,
            context.idempotency_key,
            document=hold_document(until),
        )
        pending = journal.append(account_key(part.credit), EntryType.HOLD, part.taken, metadata)
        pending.link_decision(document_id)


def _hold_records(decision: Decision, ids: Sequence[int], until: datetime | None) -> list[Record]:
    """One record for each part of the decision; the first id names their group."""
    context = decision.context
    locations = {source.key: source.business_id for source in decision.basket.sources}
    records = []
    for hold_id, (document_id, source, part) in zip(ids, _held_parts(decision), strict=True):
        account_type, credit_id = account_key(part.credit)
        values = {
            "Id": hold_id,
            "BusinessId": locations[source],
            "CoworkerId": decision.allocation.customer_id,
            "Group": ids[0],
            "CreditKind": account_type.value,
            "CreditId": credit_id,
            "Amount": part.taken * MAPPINGS[account_type].scale,
            "Covered": part.covered,
            "SourceKind": source.kind.value,
            "SourceId": source.id,
            "Until": until,
            "State": HoldState.HELD.value,
            "AllocationId": document_id,
        }
        records.append(new_record(Hold, values, context.now, context.principal.email))
    return records


async def confirm_hold(session: WriteSession, group: int, context: RequestContext, ledger: LedgerContext) -> bool:
    """Turns what is still held of a group into uses; False when nothing is, and nothing changed.

    Raises NotFound, and StateConflict for holds that were all released or have timed out.
    """
    group_holds = await _lock_group(session, group, context)
    if all(hold.state is HoldState.RELEASED for hold in group_holds):
        raise StateConflict(f"Hold #{group} was released and cannot be confirmed.")
    holds = _still_held(group_holds)
    if not holds:
        return False
    journal = await lock_accounts(session, [hold.account for hold in holds], ledger.clock)
    if any(hold.has_ended(journal.now) for hold in holds):
        raise StateConflict(f"Hold #{group} has timed out and cannot be confirmed.")
    write_releases(journal, holds, context, Cause.CONFIRMED, "confirmed")
    for hold in holds:
        _write_held_use(journal, hold, context)
    await journal.flush(session)
    await _set_state(session, holds, HoldState.CONFIRMED, context)
    return True


def _write_held_use(journal: JournalTransaction, hold: HoldRow, context: RequestContext) -> PendingEntry:
    use = write_use(journal, hold.account, hold.held_amount, hold.source, hold.coworker_id, context)
    use.link_decision(hold.allocation_id)
    return use


async def release_hold(
    session: WriteSession,
    group: int,
    context: RequestContext,
    ledger: LedgerContext,
    reason: str = "",
) -> bool:
    """Releases what is still held of a group; False when nothing is, and nothing changed.

    The credit keeps its expiry. Raises NotFound, and StateConflict for holds that all became uses.
    """
    group_holds = await _lock_group(session, group, context)
    if all(hold.state is HoldState.CONFIRMED for hold in group_holds):
        raise StateConflict(f"Hold #{group} became uses and cannot be released; reverse them instead.")
    holds = _still_held(group_holds)
    if not holds:
        return False
    await _release(session, holds, context, ledger, reason or RELEASE_REASON)
    return True


async def release_due_holds(
    session: WriteSession, context: RequestContext, ledger: LedgerContext, limit: int = 100
) -> list[int]:
    """Releases about `limit` holds that have timed out, whole groups only; returns their groups.

    Locks all holds before any account, in the one order of locks (rule 31).
    """
    groups = await find_due_groups(session, ledger.clock(), limit)
    # A charge or a release may have come before the lock.
    holds = _still_held(await lock_hold_groups(session, groups))
    if not holds:
        return []
    # Only these: the lock of an operation would release all that have ended on the account.
    accounts = {hold.account for hold in holds}
    journal = await lock_stored_accounts(session, accounts, ledger.clock)
    for hold in holds:
        journal.add_ended(hold.account, hold.as_reserved)
    for account in accounts:
        journal.release_ended(account, context.principal.email)
    await journal.flush(session)
    return sorted({hold.group for hold in holds})


async def _release(
    session: WriteSession,
    holds: Sequence[HoldRow],
    context: RequestContext,
    ledger: LedgerContext,
    reason: str,
) -> None:
    journal = await lock_accounts(session, [hold.account for hold in holds], ledger.clock)
    write_releases(journal, holds, context, Cause.RELEASED, reason)
    await journal.flush(session)
    await _set_state(session, holds, HoldState.RELEASED, context)


async def _lock_group(session: WriteSession, group: int, context: RequestContext) -> list[HoldRow]:
    holds = await lock_hold_groups(session, [group])
    visible = all(context.principal.sees_location(hold.business_id) for hold in holds)
    if not holds or not visible:
        raise NotFound
    return holds


def _still_held(holds: Sequence[HoldRow]) -> list[HoldRow]:
    """Charging or cancelling one source of a group settles its holds and leaves the others."""
    return [hold for hold in holds if hold.is_held]


async def _set_state(
    session: WriteSession, holds: Sequence[HoldRow], state: HoldState, context: RequestContext
) -> None:
    values = {
        "State": state.value,
        **update_stamp(context.now, context.principal.email),
    }
    await session.update(Hold, [(hold.id, values) for hold in holds])
