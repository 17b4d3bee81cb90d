"""One change of many credits in one transaction, each with a result of its own.

A credit that cannot be changed has its error as its result and does not affect the others. A dry run
decides the same over the same locked balances and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from creditdesk.ledger.journal.accounts import LockedAccount
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, CreditTypeMapping
from creditdesk.ledger.journal.transaction import JournalTransaction, LedgerContext
from creditdesk.ledger.operations.corrections import (
    NewCredit,
    append_adjustment,
    append_void,
    grant,
    require_visible,
)
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.operations.term_changes import change_expiry, require_window, write_changes
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.errors import DomainError, invalid_field
from creditdesk.schema.records import update_stamp
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

TWICE_MESSAGE: Final = "is named twice"
NOTHING_UNUSED_MESSAGE: Final = "has nothing unused to void"
SAME_END_MESSAGE: Final = "is the end that the credit has already"


class CreditFigures(Struct, frozen=True):
    """The amounts of one credit, and its expiry."""

    remaining: Amount
    total: Amount
    expires: datetime | None


class CreditChange(Struct, frozen=True):
    """One credit before and after; a grant has no `before`, and no `account` until it is written."""

    mapping: CreditTypeMapping
    credit_id: int | None
    before: CreditFigures | None
    after: CreditFigures


ChangeResult = CreditChange | DomainError
"""What became of one row."""
_Change = Callable[[JournalTransaction, AccountKey, int], datetime | None]
"""Appends the change of the row at a place; returns the credit's expiry afterwards. Raises DomainError."""


async def adjust_many(
    session: WriteSession,
    changes: Sequence[tuple[AccountKey, Amount]],
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    dry_run: bool,
) -> list[ChangeResult]:
    """Corrects what remains of each credit by its amount (rule 2)."""

    def change(journal: JournalTransaction, account: AccountKey, place: int) -> datetime | None:
        append_adjustment(journal, account, changes[place][1], reason, context)
        return journal.accounts[account].stored.expires

    journal, results = await _change_each(session, [account for account, _ in changes], change, context, ledger)
    if not dry_run:
        await journal.flush(session)
    return results


async def void_many(
    session: WriteSession,
    accounts: Sequence[AccountKey],
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    dry_run: bool,
) -> list[ChangeResult]:
    """Removes what is unused of each credit; what is held stays for its source (rules 26, 29)."""

    def change(journal: JournalTransaction, account: AccountKey, _place: int) -> datetime | None:
        if not append_void(journal, account, reason, context).removed:
            raise invalid_field("Credit", NOTHING_UNUSED_MESSAGE, account[1])
        return journal.accounts[account].stored.expires

    journal, results = await _change_each(session, accounts, change, context, ledger)
    if not dry_run:
        await journal.flush(session)
    return results


async def extend_many(
    session: WriteSession,
    changes: Sequence[tuple[AccountKey, datetime | None]],
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    dry_run: bool,
) -> list[ChangeResult]:
    """Moves the expiry of each credit; None removes it (rule 28)."""
    moved: dict[AccountType, list[tuple[int, Mapping[str, Any]]]] = {}

    def change(journal: JournalTransaction, account: AccountKey, place: int) -> datetime | None:
        credit, expires = journal.accounts[account], changes[place][1]
        if expires == credit.stored.expires:
            raise invalid_field("ExpireDate", SAME_END_MESSAGE)
        require_window(credit.stored.valid_from, expires)
        values = {"ExpireDate": expires}
        write_changes(journal, credit, {"ExpireDate": credit.stored.expires}, values, context, reason)
        change_expiry(journal, credit, expires, context, reason)
        stamp = update_stamp(context.now, context.principal.email)
        moved.setdefault(account[0], []).append((account[1], values | stamp))
        return expires

    journal, results = await _change_each(session, [account for account, _ in changes], change, context, ledger)
    if not dry_run:
        for account_type, updates in moved.items():
            await session.update(MAPPINGS[account_type].credit_entity, updates)
        await journal.flush(session)
    return results


async def grant_many(
    session: WriteSession,
    mapping: CreditTypeMapping,
    rows: Sequence[NewCredit | DomainError],
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    dry_run: bool,
) -> list[ChangeResult]:
    """Grants the rows that are no error; those are returned in their places (rule 6)."""
    new = [row for row in rows if not isinstance(row, DomainError)]
    ids: Sequence[int | None] = [None] * len(new)
    if new and not dry_run:
        ids = await grant(session, mapping, new, context, ledger, reason=reason)
    following = iter(ids)
    return [row if isinstance(row, DomainError) else _granted(mapping, next(following), row) for row in rows]


def _granted(mapping: CreditTypeMapping, credit_id: int | None, credit: NewCredit) -> CreditChange:
    expires = credit.values.get("ExpireDate")
    after = CreditFigures(credit.total, credit.total, expires if isinstance(expires, datetime) else None)
    return CreditChange(mapping, credit_id, None, after)


async def _change_each(
    session: WriteSession,
    accounts: Sequence[AccountKey],
    change: _Change,
    context: RequestContext,
    ledger: LedgerContext,
) -> tuple[JournalTransaction, list[ChangeResult]]:
    """Locks the credits and appends the change of each. A change raises before its first entry, or not at all."""
    journal = await lock_accounts(session, accounts, ledger.clock)
    results: list[ChangeResult] = []
    named: set[AccountKey] = set()
    for place, account in enumerate(accounts):
        try:
            if account in named:
                raise invalid_field("Credit", TWICE_MESSAGE, account[1])
            before = require_visible(context, journal, account)
            expires = change(journal, account, place)
        except DomainError as error:
            results.append(error)
            continue
        named.add(account)
        after = journal.accounts[account]
        results.append(
            CreditChange(
                MAPPINGS[account[0]], account[1], _figures(before, before.stored.expires), _figures(after, expires)
            )
        )
    return journal, results


def _figures(credit: LockedAccount, expires: datetime | None) -> CreditFigures:
    return CreditFigures(credit.remaining, credit.total, expires)
