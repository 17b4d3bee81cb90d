"""Runs over the whole store: renewals, timed-out holds and expiry, a few hundred at a time.

Each batch is a unit of its own, so a run that is cut short has done whole batches, and runs beside
each other share the work (rules 26 to 28). This module must not know who starts a run, nor where
its progress shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date
from typing import Final

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.hold import Hold
from creditdesk.ledger.journal.mapping import SIDES, Account, Side, state_id
from creditdesk.ledger.journal.transaction import Desk, is_charge
from creditdesk.ledger.operations.corrections import lapsed, sweep
from creditdesk.ledger.operations.holds import due_holds, release_due
from creditdesk.ledger.operations.renewals import Due, due_renewals, run_renewals
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Reading, Store
from creditdesk.schema.service import Call

BATCH: Final = 300
"""How many credits a unit touches at most, where one contract or one group has no more."""


async def renewal_run(
    store: Store, call: Call, desk: Desk, *, since: date | None = None, batch: int = BATCH
) -> AsyncIterator[list[tuple[Due, int]]]:
    """Grants what is due, some contracts at a time; gives each batch's grants (rule 27).

    `since` as for `due_renewals`.
    """
    async with store.reading() as reading:
        due = await due_renewals(reading, call, desk.clock(), since=since)
    for contract_ids in _batches(due, batch):
        async with store.writing() as unit:
            granted = await run_renewals(unit, call, desk, since=since, contract_ids=contract_ids)
        yield granted


async def hold_run(
    store: Store, call: Call, desk: Desk, *, batch: int = BATCH
) -> AsyncIterator[list[int]]:
    """Lets the holds go whose time is over; gives the groups of each batch (rule 26)."""
    while True:
        async with store.reading() as reading:
            waiting = await reading.count(Hold, due_holds(desk.clock()))
        if not waiting:
            return
        async with store.writing() as unit:
            groups = await release_due(unit, call, desk, batch)
        yield groups


async def expiry_run(
    store: Store, call: Call, desk: Desk, *, batch: int = BATCH
) -> AsyncIterator[list[Account]]:
    """Writes the expiry lines that are missing; gives the credits of each batch (rule 28).

    Holds that are over are let go before, or what they held would stay without its line.
    """
    for side in SIDES.values():
        after = 0
        while True:
            async with store.reading() as reading:
                found = await reading.find(
                    side.credit, lapsed(side, desk.clock()), limit=batch, after_id=after
                )
                accounts = await _unswept(reading, side, found)
            if not found:
                break
            after = found[-1]["Id"]
            if accounts:
                async with store.writing() as unit:
                    swept = await sweep(unit, accounts, call, desk)
                yield swept


def _batches(due: Iterable[Due], most: int) -> list[list[int]]:
    """Contracts in order of Id, together with at most `most` grants unless one alone has more."""
    counts: dict[int, int] = {}
    for each in due:
        counts[each.contract["Id"]] = counts.get(each.contract["Id"], 0) + 1
    batches: list[list[int]] = []
    grants = most
    for contract_id in sorted(counts):
        if grants + counts[contract_id] > most:
            batches.append([])
            grants = 0
        batches[-1].append(contract_id)
        grants += counts[contract_id]
    return batches


async def _unswept(reading: Reading, side: Side, found: Sequence[Record]) -> list[Account]:
    due = [(side.kind, credit["Id"]) for credit in found if not is_charge(side, credit)]
    states = await reading.many(CreditState, [state_id(account) for account in due]) if due else {}
    ends = {credit["Id"]: credit["ExpireDate"] for credit in found}
    return [
        account
        for account in due
        if (states.get(state_id(account)) or {}).get("ExpirySwept") != ends[account[1]]
    ]
