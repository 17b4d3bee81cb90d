"""Setting how far below zero a printing credit may go (rule 33).

This module must not know commands or the wire.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from creditdesk.ledger.journal.entry import LineKind
from creditdesk.ledger.journal.mapping import TIME, Account
from creditdesk.ledger.journal.transaction import Desk, Why, open_book
from creditdesk.ledger.operations.corrections import see
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.errors import invalid
from creditdesk.schema.repository import Unit
from creditdesk.schema.service import Call


async def set_overdraft(
    unit: Unit, credit_ids: Sequence[int], limit: Amount, call: Call, desk: Desk
) -> None:
    """Lets printing credits be used down to `limit` uses below zero; 0 turns it off.

    Each change is a journal line of its own. Raises Invalid for a limit below zero or below what
    is overdrawn and held already, and for credit that is not printing credit.
    """
    if limit < 0:
        raise invalid("Limit", "must not be negative")
    accounts: list[Account] = [(TIME.kind, credit_id) for credit_id in credit_ids]
    book = await open_book(unit, accounts, desk.clock)
    # Read under the lock: only a credit's rate says whether it is printing credit (rule 5).
    whole = await unit.many(TIME.credit, credit_ids)
    for account in accounts:
        credit = see(call, book, account)
        if not whole[account[1]]["ExtraServiceIsPrintingCredit"]:
            raise invalid("Limit", f"credit #{account[1]} is not printing credit (rule 33)")
        if credit.available + limit < 0:
            raise invalid(
                "Limit",
                f"must not be less than the {-credit.available} that is overdrawn (rule 33)",
            )
        book.credits[account] = replace(credit, overdraft=limit)
        why = Why(call.caller.email, f"overdraft {limit}", idempotency_key=call.key)
        book.write(account, LineKind.ADJUSTMENT, 0, why)
    # The limit goes first: the database holds every balance against it.
    await unit.update(TIME.credit, [(credit_id, {"Overdraft": limit}) for credit_id in credit_ids])
    await book.put_on_record(unit)
