"""Cancels and pauses contracts, and keeps the flags that show their state (rule 27)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.ledger.loaders.contracts import ContractRow, find_stale_contracts
from creditdesk.ledger.loaders.rows import lock_rows
from creditdesk.schema.errors import StateConflict, invalid_field
from creditdesk.schema.records import update_stamp
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

REFRESH_BATCH_SIZE: Final = 300


async def cancel_contracts(
    session: WriteSession, contract_ids: Sequence[int], ends: datetime | None, context: RequestContext
) -> None:
    """Ends contracts at `ends`, or now. Raises StateConflict for one that has ended."""
    at = ends or context.now.replace(microsecond=0)
    for contract in await _lock_running(session, contract_ids, context):
        flags = {"CancellationDate": at, "Cancelled": True, "Active": at > context.now}
        await _update(session, contract.id, flags, context)


async def pause_contracts(
    session: WriteSession,
    contract_ids: Sequence[int],
    starts: datetime | None,
    ends: datetime,
    context: RequestContext,
) -> None:
    """Pauses contracts from `starts`, or now, until `ends`: no benefit renews in between.

    Raises ValidationError for a pause that does not end after it starts or that is over, and
    StateConflict for a contract that has ended.
    """
    begins = starts or context.now.replace(microsecond=0)
    if ends <= begins or ends <= context.now:
        raise invalid_field("Until", "must lie ahead, and after From")
    for contract in await _lock_running(session, contract_ids, context):
        flags = {
            "InPausedPeriodFrom": begins,
            "InPausedPeriodUntil": ends,
            "InPausedPeriod": begins <= context.now,
        }
        await _update(session, contract.id, flags, context)


async def resume_contracts(session: WriteSession, contract_ids: Sequence[int], context: RequestContext) -> None:
    """Ends the pause of contracts now. Raises StateConflict for one that is not paused."""
    now = context.now.replace(microsecond=0)
    for contract in await _lock_running(session, contract_ids, context):
        pause = contract.term.pause
        if pause is None or (pause.ends is not None and pause.ends <= now):
            raise StateConflict(f"Contract #{contract.id} is not paused.")
        is_ahead = pause.starts is not None and pause.starts > now
        flags: dict[str, object] = {"InPausedPeriod": False, "InPausedPeriodUntil": None if is_ahead else now}
        if is_ahead:
            flags["InPausedPeriodFrom"] = None
        await _update(session, contract.id, flags, context)


async def refresh_contracts(session: WriteSession, context: RequestContext) -> int:
    """Brings the flags of some contracts up to date with their dates; returns how many changed.

    The flags are for display only: decisions use the dates. Call it until it returns 0.
    """
    locked = await lock_rows(session, ContractRow, await find_stale_contracts(session, context.now, REFRESH_BATCH_SIZE))
    changes = [
        (contract.id, {**flags, **update_stamp(context.now, context.principal.email)})
        for contract in locked.values()
        if (flags := _changed_flags(contract, context.now))
    ]
    if changes:
        await session.update(CoworkerContract, changes)
    return len(changes)


def _changed_flags(contract: ContractRow, now: datetime) -> dict[str, object]:
    shown = {
        "Active": (contract.active, bool(contract.active) and not contract.term.has_ended(now)),
        "Cancelled": (contract.cancelled, bool(contract.cancelled or contract.cancellation_date)),
        "InPausedPeriod": (contract.in_paused_period, contract.term.is_paused(now)),
    }
    return {name: value for name, (stored, value) in shown.items() if bool(stored) != value}


async def _lock_running(
    session: WriteSession, contract_ids: Sequence[int], context: RequestContext
) -> list[ContractRow]:
    found = await lock_rows(session, ContractRow, sorted(set(contract_ids)))
    for contract in found.values():
        if contract.term.has_ended(context.now):
            raise StateConflict(f"Contract #{contract.id} has ended.")
    return list(found.values())


async def _update(session: WriteSession, contract_id: int, values: dict[str, object], context: RequestContext) -> None:
    stamp = update_stamp(context.now, context.principal.email)
    await session.update(CoworkerContract, [(contract_id, {**values, **stamp})])
