"""Balances of credits and customers, now or at an instant, as known then or now (rule 4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import JournalEntry, epoch_microseconds
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    AccountKey,
    CreditTypeMapping,
    entry_from_record,
    recorded_by,
    state_id,
    stored_credit,
    stored_state,
)
from creditdesk.ledger.journal.values import StoredCredit
from creditdesk.ledger.loaders.holds import load_ended_amounts
from creditdesk.ledger.loaders.past_terms import find_former_credits, load_past_terms, with_past_terms
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.funding import Funding
from creditdesk.ledger.rules.renewal import has_expired
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession, find_first
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class CreditBalance:
    """One credit's amounts in its smallest unit.

    `expiring` is the part of `remaining` that expires within the requested days. Expired credit has
    nothing available, whether or not its expiry entry is written (rule 28); nor has credit that no
    grant explains (rule 38).
    """

    account: AccountKey
    description: str
    currency: str | None
    remaining: Amount
    held: Amount
    available: Amount
    expiring: Amount
    valid_from: datetime | None
    expires: datetime | None
    funding: Funding


def balance_at(entries: Iterable[JournalEntry], at: datetime, as_known_at: datetime | None = None) -> Amount:
    """What remained of a credit at `at`, in its smallest unit.

    Without `as_known_at`: after the last entry recorded by `at`. With it: the entries recorded by
    `as_known_at` that had taken effect by `at`, so a late correction counts where it belongs.
    """
    instant = epoch_microseconds(at)
    if as_known_at is None:
        return sum(e.balance_change for e in entries if e.recorded_microseconds <= instant)
    known = epoch_microseconds(as_known_at)
    return sum(
        e.balance_change for e in entries if e.recorded_microseconds <= known and e.effective_microseconds <= instant
    )


async def credit_balance_at(
    session: ReadSession, account: AccountKey, at: datetime, as_known_at: datetime | None = None
) -> Amount:
    """`balance_at` for one stored credit.

    Without `as_known_at`, reads one entry by an index. With it, reads the credit's whole journal, because a late
    correction may be anywhere in it.
    """
    kind, credit_id = account
    of_credit = where(JournalLine, CreditKind=kind.value, CreditId=credit_id)
    if as_known_at is None:
        recorded_by_then, latest_first = recorded_by(at)
        last = await find_first(session, JournalLine, (*of_credit, recorded_by_then), latest_first)
        return entry_from_record(last).balance_after if last else 0
    found = await session.find(JournalLine, of_credit)
    return balance_at([entry_from_record(record) for record in found], at, as_known_at)


async def credit_held_at(
    session: ReadSession, account: AccountKey, at: datetime, as_known_at: datetime | None = None
) -> Amount:
    """What was held of a credit at `at`, by the last entry recorded by then and by `as_known_at`."""
    kind, credit_id = account
    recorded_by_then, latest_first = recorded_by(min(at, as_known_at or at))
    of_credit = where(JournalLine, CreditKind=kind.value, CreditId=credit_id)
    last = await find_first(session, JournalLine, (*of_credit, recorded_by_then), latest_first)
    return entry_from_record(last).held_after if last else 0


async def customer_balances(
    session: ReadSession,
    customer_id: int,
    context: RequestContext,
    *,
    expiring_within_days: int = 30,
    at: datetime | None = None,
    as_known_at: datetime | None = None,
) -> list[CreditBalance]:
    """The customer's credits that the caller may see: money first, each kind in order of Id.

    Without `at`, the current balances. With it, the credits that the customer owned then, each with its terms, holds
    and overdraft of that time, as known at `as_known_at` (rule 4).
    """
    result = []
    for mapping in MAPPINGS.values():
        credits_ = await _visible_credits(session, mapping, customer_id, context, at is not None)
        ids = [state_id((mapping.account_type, credit.id)) for credit in credits_]
        states = await session.get_many(AccountState, ids) if ids else {}
        accounts = [(mapping.account_type, credit.id) for credit in credits_]
        instant = at or context.now
        ended = await load_ended_amounts(session, accounts, instant)
        past = await load_past_terms(session, mapping, [c.id for c in credits_], instant, as_known_at) if at else {}
        for account, credit in zip(accounts, credits_, strict=True):
            state = stored_state(account, states.get(state_id(account)))
            held = state.held - ended.get(account, 0)
            stood = credit
            if at is not None:
                stood = with_past_terms(credit, past.get(credit.id, {}))
                if stood.customer_id != customer_id:
                    continue
                remaining = await credit_balance_at(session, account, at, as_known_at)
                held = max(0, await credit_held_at(session, account, at, as_known_at) - ended.get(account, 0))
                stood = replace(stood, remaining=remaining)
            result.append(
                _credit_balance(
                    account,
                    stood,
                    held,
                    state.funding,
                    instant,
                    timedelta(days=min(expiring_within_days, timedelta.max.days)),
                    is_granted=state.sequence > 0,
                )
            )
    return result


async def _visible_credits(
    session: ReadSession,
    mapping: CreditTypeMapping,
    customer_id: int,
    context: RequestContext,
    include_former: bool,
) -> list[StoredCredit]:
    columns = (*mapping.credit_columns, *mapping.description_columns)
    records = await session.find(
        mapping.credit_entity, where(mapping.credit_entity, CoworkerId=customer_id), columns=columns
    )
    if include_former and (former := await find_former_credits(session, mapping, customer_id)):
        filters = where(mapping.credit_entity, Id=tuple(former - {record["Id"] for record in records}))
        records += await session.find(mapping.credit_entity, filters, columns=columns)
        records.sort(key=lambda record: int(record["Id"]))
    credits_ = [stored_credit(mapping, record) for record in records]
    return [
        credit
        for credit in credits_
        if context.principal.sees_record(credit.business_id, credit.customer_id) and not credit.is_booking_charge
    ]


def _credit_balance(
    account: AccountKey,
    credit: StoredCredit,
    held: Amount,
    funding: Funding,
    at: datetime,
    expiring_within: timedelta,
    *,
    is_granted: bool,
) -> CreditBalance:
    remaining = credit.remaining
    expired = has_expired(credit.expires, at)
    not_yet_valid = credit.valid_from is not None and credit.valid_from > at
    unreserved = max(0, remaining - held) if is_granted and not expired else 0
    is_usable = is_granted and not (expired or not_yet_valid)
    expires_soon = credit.expires is not None and credit.expires - at <= expiring_within
    return CreditBalance(
        account,
        credit.description,
        credit.currency,
        remaining,
        held,
        available=max(0, remaining - held + credit.overdraft) if is_usable else 0,
        expiring=unreserved if expires_soon else 0,
        valid_from=credit.valid_from,
        expires=credit.expires,
        funding=funding,
    )
