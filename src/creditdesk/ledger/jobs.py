"""Scheduled jobs over the whole store: renewals, timed-out holds and expiry, in batches.

Each batch is its own transaction, so a job that is cut short has completed whole batches, and
concurrent jobs share the work (rules 26 to 28).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime
from math import ceil
from typing import Final

from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    AccountKey,
)
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.expiry import find_expired
from creditdesk.ledger.loaders.holds import due_hold_filters
from creditdesk.ledger.loaders.stored_responses import load_old_response_ids
from creditdesk.ledger.operations.contracts import refresh_contracts
from creditdesk.ledger.operations.corrections import write_expiry
from creditdesk.ledger.operations.holds import release_due_holds
from creditdesk.ledger.operations.renewals import DueRenewal, find_due_renewals, run_renewals
from creditdesk.schema.repository import Store
from creditdesk.schema.service import RequestContext

BATCH_SIZE: Final = 300
"""The most credits of one transaction, unless a single hold group has more."""


async def run_benefit_renewals(
    store: Store,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    since: date | None = None,
    batch: int = BATCH_SIZE,
) -> AsyncIterator[list[tuple[DueRenewal, int]]]:
    """Grants due renewals in batches; yields each batch's grants (rule 27).

    A batch consists of whole contracts; a single contract with more than `batch` grants takes several batches.
    `since` is that of `find_due_renewals`. Finally updates the flags of contracts whose dates have passed.
    """
    async with store.read_session() as read_session:
        due = await find_due_renewals(read_session, context, ledger.clock(), since=since)
    for contract_ids in _contract_batches(due, batch):
        async with store.write_session() as session:
            granted = await run_renewals(session, context, ledger, contract_ids, since=since, limit=batch)
        yield granted
    refreshed = 1
    while refreshed:
        async with store.write_session() as session:
            refreshed = await refresh_contracts(session, context)


async def run_hold_release(
    store: Store, context: RequestContext, ledger: LedgerContext, *, batch: int = BATCH_SIZE
) -> AsyncIterator[list[int]]:
    """Releases timed-out holds; yields the groups of each batch (rule 26)."""
    while True:
        async with store.read_session() as read_session:
            waiting = await read_session.count(Hold, due_hold_filters(ledger.clock()))
        if not waiting:
            return
        async with store.write_session() as session:
            groups = await release_due_holds(session, context, ledger, batch)
        yield groups


async def run_credit_expiry(
    store: Store, context: RequestContext, ledger: LedgerContext, *, batch: int = BATCH_SIZE
) -> AsyncIterator[list[AccountKey]]:
    """Writes the missing expiry entries; yields the credits of each batch (rule 28).

    Releases timed-out holds first, so that the credit they reserved expires with the rest.
    """
    for mapping in MAPPINGS.values():
        after = 0
        while True:
            async with store.read_session() as read_session:
                page = await find_expired(read_session, mapping, ledger.clock(), limit=batch, after_id=after)
            if page.last_id is None:
                break
            after = page.last_id
            if page.accounts:
                async with store.write_session() as session:
                    expired = await write_expiry(session, page.accounts, context, ledger)
                yield expired


async def run_response_removal(store: Store, older_than: datetime, *, batch: int = BATCH_SIZE) -> AsyncIterator[int]:
    """Removes stored responses of requests before `older_than`; yields the number removed in each batch."""
    while True:
        async with store.write_session() as session:
            ids = await load_old_response_ids(session, older_than, batch)
            if ids:
                await session.delete(StoredResponse, ids)
        if ids:
            yield len(ids)
        if len(ids) < batch:
            return


def _contract_batches(due: Iterable[DueRenewal], max_grants: int) -> list[list[int]]:
    """Contracts in id order, in batches of at most `max_grants` grants; one with more is repeated in several."""
    batches: list[list[int]] = []
    grants = max_grants
    for contract_id, count in sorted(Counter(each.contract.id for each in due).items()):
        if grants + count > max_grants:
            batches += [[contract_id] for _ in range(ceil(count / max_grants))]
            grants = count
        else:
            batches[-1].append(contract_id)
            grants += count
    return batches
