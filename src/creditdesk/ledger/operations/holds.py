"""Holds: credit that is reserved for a source, then turned into uses or let go (rule 26).

A hold lowers what is available and not what remains. This module must not know the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from creditdesk.entities.ledger.hold import Hold
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import MAPPINGS, account_key, where
from creditdesk.ledger.journal.transaction import (
    EntryMetadata,
    JournalTransaction,
    LedgerContext,
    PendingEntry,
    lock_accounts,
)
from creditdesk.ledger.loaders.use_references import UseReferences
from creditdesk.ledger.operations.baskets import Basket
from creditdesk.ledger.operations.draw import (
    hold_account,
    preview,
    store_allocations,
    write_releases,
    write_use,
)
from creditdesk.ledger.operations.spends import SpendRequest, spend_batch
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.ledger.rules.credit import SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import NotFound, StateConflict
from creditdesk.schema.query import Comparison, Filter
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
    """Reserves what a spend on the basket would take now, until an instant or until it is let go."""
    journal = await lock_accounts(session, basket.accounts, ledger.clock)
    fresh = Basket(basket.owner, basket.sources, basket.with_locked_balances(journal))
    allocation = preview(fresh, ledger, journal.now)
    (kept,) = await store_allocations(session, [(allocation, basket, context)])
    places = {source.key: source.business_id for source in basket.sources}
    parts = [(source, part) for source in allocation.sources for part in source.parts]
    if not parts:
        return HoldResult(None, allocation, kept.allocation_group)
    ids = (await session.next_ids({Hold: len(parts)}))[Hold]
    records = []
    for hold_id, (source, part) in zip(ids, parts, strict=True):
        account = account_key(part.credit)
        metadata = EntryMetadata(
            context.principal.email, "", source.source.kind.value, source.source.id, context.idempotency_key
        )  # fmt: skip
        journal.append(account, EntryType.HOLD, part.taken, metadata)
        values = {
            "Id": hold_id,
            "BusinessId": places[source.source],
            "CoworkerId": allocation.customer_id,
            "Group": ids[0],
            "CreditKind": account[0].value,
            "CreditId": account[1],
            "Amount": part.taken * MAPPINGS[account[0]].scale,
            "Covered": part.covered,
            "SourceKind": source.source.kind.value,
            "SourceId": source.source.id,
            "Until": until,
            "State": "held",
            "AllocationId": kept.allocation_group,
        }
        records.append(new_record(Hold, values, context.now, context.principal.email))
    await session.insert(Hold, records)
    await journal.flush(session)
    return HoldResult(ids[0], allocation, kept.allocation_group)


async def confirm_hold(
    session: WriteSession, group: int, context: RequestContext, ledger: LedgerContext
) -> bool:
    """Turns what is still held of a group into uses; False when nothing is, and nothing changed.

    Raises NotFound, and Blocked for holds that were all let go or have timed out.
    """
    group_holds = await _lock_group(session, group, context)
    if all(h["State"] == "released" for h in group_holds):
        raise StateConflict(f"Hold #{group} was released and cannot be confirmed.")
    holds = _still_held(group_holds)
    if not holds:
        return False
    if any(h["Until"] is not None and h["Until"] <= context.now for h in holds):
        raise StateConflict(f"Hold #{group} has timed out and cannot be confirmed.")

    def decide(journal: JournalTransaction, _facts: UseReferences) -> Sequence[PendingEntry]:
        write_releases(journal, holds, context, "confirmed")
        return [
            write_use(
                journal,
                hold_account(h),
                h["Amount"] // MAPPINGS[hold_account(h)[0]].scale,
                SourceKey(SourceKind(h["SourceKind"]), h["SourceId"]),
                h["CoworkerId"],
                context,
            )
            for h in holds
        ]

    request = SpendRequest(context, tuple(hold_account(h) for h in holds), decide)
    (outcome,) = await spend_batch(session, [request], ledger.clock)
    if outcome.error is not None:
        raise outcome.error
    await _set_state(session, holds, "confirmed", context)
    return True


async def release_hold(
    session: WriteSession,
    group: int,
    context: RequestContext,
    ledger: LedgerContext,
    reason: str = "",
) -> bool:
    """Lets go what is still held of a group; False when nothing is, and nothing changed.

    The credit keeps its expiry. Raises NotFound, and Blocked for holds that all became uses.
    """
    group_holds = await _lock_group(session, group, context)
    if all(h["State"] == "confirmed" for h in group_holds):
        raise StateConflict(
            f"Hold #{group} became uses and cannot be released; reverse them instead."
        )
    holds = _still_held(group_holds)
    if not holds:
        return False
    journal = await lock_accounts(session, [hold_account(h) for h in holds], ledger.clock)
    write_releases(journal, holds, context, reason or "released")
    await journal.flush(session)
    await _set_state(session, holds, "released", context)
    return True


async def release_due_holds(
    session: WriteSession, context: RequestContext, ledger: LedgerContext, limit: int = 100
) -> list[int]:
    """Lets the holds go whose time is over, about `most` of them; gives their groups.

    All holds are locked before any credit, and all credits in one order, as everywhere (rule 31).
    """
    due = await session.find(Hold, due_hold_filters(ledger.clock()), limit=limit)
    together = await session.find(Hold, where(Hold, Group=tuple({h["Group"] for h in due})))
    locked = await session.lock(Hold, [h["Id"] for h in together])
    # A charge or a release may have come before the lock.
    holds = [locked[hold_id] for hold_id in sorted(locked) if locked[hold_id]["State"] == "held"]
    if not holds:
        return []
    journal = await lock_accounts(session, [hold_account(h) for h in holds], ledger.clock)
    write_releases(journal, holds, context, "timed out")
    await journal.flush(session)
    await _set_state(session, holds, "released", context)
    return sorted({h["Group"] for h in holds})


def due_hold_filters(now: datetime) -> tuple[Filter, ...]:
    """The filters for holds whose time is over."""
    return (
        Filter(Hold.meta().columns["Until"], Comparison.AT_MOST, now),
        *where(Hold, State="held"),
    )


async def _lock_group(session: WriteSession, group: int, context: RequestContext) -> list[Record]:
    found = await session.find(Hold, where(Hold, Group=group))
    holds = list((await session.lock(Hold, [h["Id"] for h in found])).values())
    if not holds or not all(context.principal.sees_location(h["BusinessId"]) for h in holds):
        raise NotFound
    return sorted(holds, key=lambda h: h["Id"])


def _still_held(holds: Sequence[Record]) -> list[Record]:
    """Charging or cancelling one source of a group settles its holds and leaves the others."""
    return [h for h in holds if h["State"] == "held"]


async def _set_state(
    session: WriteSession, holds: Sequence[Record], state: str, context: RequestContext
) -> None:
    stamp = update_stamp(context.now, context.principal.email)
    await session.update(Hold, [(h["Id"], {"State": state, **stamp}) for h in holds])
