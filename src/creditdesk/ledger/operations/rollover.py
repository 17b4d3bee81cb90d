"""Rollover: the unused rest of a plan's benefit becomes a new credit at its renewal (rule 27).

Off unless a benefit has a cap and a number of periods.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from creditdesk.entities.ledger.benefit_rollover import BenefitRollover
from creditdesk.ledger.journal.accounts import EntryMetadata
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import AccountKey, CreditTypeMapping
from creditdesk.ledger.journal.reasons import ROLLOVER_REASON
from creditdesk.ledger.journal.transaction import JournalTransaction, LedgerContext
from creditdesk.ledger.loaders.benefits import GrantRow, find_rollover_ids, load_grants
from creditdesk.ledger.operations.benefit_grants import GrantKey, grant_benefit
from creditdesk.ledger.operations.corrections import NewCredit
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.renewal import RolloverLimit, has_expired, rollover_amount
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import RequestContext

ROLLOVER_SUFFIX: Final = "/rolled"
"""Ends the benefit name and the key of a grant that was rolled over."""


@dataclass(frozen=True, slots=True)
class RenewedGrant:
    """One period's grant of one benefit: its key, and the credit that was granted."""

    mapping: CreditTypeMapping
    key: GrantKey
    credit: NewCredit


async def set_rollover(
    session: WriteSession,
    mapping: CreditTypeMapping,
    benefit_id: int,
    rollover: RolloverLimit,
    context: RequestContext,
) -> None:
    """Sets how a plan's benefit rolls over from its next renewal on; no cap or period turns it off.

    Raises ValidationError for negative values.
    """
    for name, value in (("Cap", rollover.cap), ("Periods", rollover.periods)):
        if value < 0:
            raise invalid_field(name, "must not be negative")
    benefit = f"{mapping.account_type.value}/{benefit_id}"
    await session.delete(BenefitRollover, await find_rollover_ids(session, benefit))
    if rollover.cap and rollover.periods:
        values = {
            "Benefit": benefit,
            "Cap": rollover.cap * mapping.scale,
            "Periods": rollover.periods,
        }
        record = new_record(BenefitRollover, values, context.now, context.principal.email)
        await session.insert(BenefitRollover, [record])


async def lock_granted_credits(
    session: WriteSession,
    contract_ids: Collection[int],
    benefits: Collection[str],
    ledger: LedgerContext,
) -> None:
    """Locks the credits that contracts were granted of benefits, in one order (rule 31)."""
    if contract_ids and benefits:
        grants = await _load_grants(session, contract_ids, benefits)
        await lock_accounts(session, [grant.account for grant in grants], ledger.clock)


async def roll_over(
    session: WriteSession,
    renewed: RenewedGrant,
    limit: RolloverLimit,
    context: RequestContext,
    ledger: LedgerContext,
) -> list[int]:
    """Moves the rest of the previous period's credits to new credits and returns their ids.

    Credits that rolled over least often go first. What is above the cap stays expired.
    """
    key = renewed.key
    grants = await _load_grants(session, [key.contract_id], [key.benefit])
    earlier = [grant for grant in grants if grant.period_start < key.period_start]
    if not earlier:
        return []
    last = max(grant.period_start for grant in earlier)
    before = [grant.account for grant in earlier if grant.period_start == last]
    journal = await lock_accounts(session, before, ledger.clock)
    moved: list[NewCredit] = []
    cap_left = limit.cap
    for account in sorted(journal.accounts, key=lambda a: (_times_rolled(journal, a), a[1])):
        credit, times = journal.accounts[account], _times_rolled(journal, account)
        if not has_expired(credit.stored.expires, journal.now):
            continue
        amount = rollover_amount(credit.unreserved, replace(limit, cap=cap_left), times)
        if amount:
            cap_left -= amount
            _void_rolled_over(journal, account, amount, context)
            funding = credit.state.funding.part(amount, credit.total)
            moved.append(NewCredit(amount, renewed.credit.values, account[1], times + 1, funding))
    await journal.flush(session)
    return [await _grant_rolled_over(session, renewed, each, context, ledger) for each in moved]


def _void_rolled_over(
    journal: JournalTransaction, account: AccountKey, amount: Amount, context: RequestContext
) -> None:
    credit = journal.accounts[account]
    if credit.state.expiry_recorded == credit.stored.expires:
        # Its expiry entry states more than expired; the next run writes the right amount.
        metadata = EntryMetadata(context.principal.email, Cause.ROLLED_OVER, "part of it is rolled over")
        journal.append(account, EntryType.REOPENING, credit.unreserved, metadata)
        journal.set_state(account, expiry_recorded=None)
    metadata = EntryMetadata(context.principal.email, Cause.ROLLED_OVER, "rolled over")
    journal.append(account, EntryType.VOID, amount, metadata)


async def _grant_rolled_over(
    session: WriteSession,
    renewed: RenewedGrant,
    credit: NewCredit,
    context: RequestContext,
    ledger: LedgerContext,
) -> int:
    key = replace(
        renewed.key,
        key=f"{renewed.key.key}{ROLLOVER_SUFFIX}/{credit.granted_from}",
        benefit=f"{renewed.key.benefit}{ROLLOVER_SUFFIX}",
    )
    return await grant_benefit(
        session,
        renewed.mapping,
        credit,
        key,
        context,
        ledger,
        cause=Cause.ROLLED_OVER,
        reason=ROLLOVER_REASON.format(credit.granted_from),
    )


async def _load_grants(
    session: ReadSession, contract_ids: Collection[int], benefits: Collection[str]
) -> list[GrantRow]:
    """What contracts were granted of benefits, rolled over or not."""
    names = [name for each in benefits for name in (each, each + ROLLOVER_SUFFIX)]
    return await load_grants(session, contract_ids, names)


def _times_rolled(journal: JournalTransaction, account: AccountKey) -> int:
    return journal.accounts[account].state.times_rolled
