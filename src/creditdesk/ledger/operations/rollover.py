"""Roll-over: what is left of a plan's benefit goes on as a new grant, where that is set (rule 27).

Off unless a benefit has a cap and a number of periods. This module must not know which periods
are due.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.benefit_rollover import BenefitRollover
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import AccountKey, CreditTypeMapping, where
from creditdesk.ledger.journal.transaction import (
    EntryMetadata,
    JournalTransaction,
    LedgerContext,
    lock_accounts,
)
from creditdesk.ledger.operations.corrections import grant
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.renewal import RolloverLimit, has_expired, rollover_amount
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import RequestContext

ROLLOVER_SUFFIX: Final = "/rolled"
"""Ends the name under which a grant's key keeps what was rolled over of a benefit."""


@dataclass(frozen=True, slots=True)
class RenewedGrant:
    """One period's grant of one benefit: its key, and the record it was made from."""

    mapping: CreditTypeMapping
    contract_id: int
    benefit: str
    starts: datetime
    key: str
    record: Record


async def set_rollover(
    session: WriteSession,
    mapping: CreditTypeMapping,
    benefit_id: int,
    rollover: RolloverLimit,
    context: RequestContext,
) -> None:
    """Sets how a plan's benefit rolls over from its next renewal on; no cap or period turns it off.

    Raises Invalid for less than none.
    """
    for name, value in (("Cap", rollover.cap), ("Periods", rollover.periods)):
        if value < 0:
            raise invalid_field(name, "must not be negative")
    benefit = f"{mapping.account_type.value}/{benefit_id}"
    before = await session.find(BenefitRollover, where(BenefitRollover, Benefit=benefit))
    await session.delete(BenefitRollover, [known["Id"] for known in before])
    if rollover.cap and rollover.periods:
        values = {
            "Benefit": benefit,
            "Cap": rollover.cap * mapping.scale,
            "Periods": rollover.periods,
        }
        record = new_record(BenefitRollover, values, context.now, context.principal.email)
        await session.insert(BenefitRollover, [record])


async def load_rollovers(
    session: ReadSession, benefits: Mapping[str, CreditTypeMapping]
) -> dict[str, RolloverLimit]:
    """How those of the benefits roll over that do, by name."""
    named = where(BenefitRollover, Benefit=tuple(benefits))
    return {
        found["Benefit"]: RolloverLimit(
            found["Cap"] // benefits[found["Benefit"]].scale, found["Periods"]
        )
        for found in await session.find(BenefitRollover, named)
    }


async def lock_granted_credits(
    session: WriteSession,
    contract_ids: Collection[int],
    benefits: Collection[str],
    ledger: LedgerContext,
) -> None:
    """Locks what the contracts were granted of the benefits, all at once and in order (rule 31)."""
    if contract_ids and benefits:
        keys = await _load_grants(session, contract_ids, benefits)
        await lock_accounts(session, [_granted_account(key) for key in keys], ledger.clock)


async def roll_over(
    session: WriteSession,
    renewed: RenewedGrant,
    allowed: RolloverLimit,
    context: RequestContext,
    ledger: LedgerContext,
) -> list[int]:
    """Moves what is left of the period before to new grants linked to the old; gives their ids.

    What has rolled over least goes first. The old credits keep what is above the cap, lapsed.
    """
    keys = await _load_grants(session, [renewed.contract_id], [renewed.benefit])
    earlier = [key for key in keys if key["PeriodStart"] < renewed.starts]
    if not earlier:
        return []
    last = max(key["PeriodStart"] for key in earlier)
    before = [_granted_account(key) for key in earlier if key["PeriodStart"] == last]
    journal = await lock_accounts(session, before, ledger.clock)
    moved: list[tuple[AccountKey, Amount, int]] = []
    cap_left = allowed.cap
    for account in sorted(
        journal.accounts, key=lambda each: (_times_rolled(journal, each), each[1])
    ):
        credit, times = journal.accounts[account], _times_rolled(journal, account)
        if not has_expired(credit.stored.expires, journal.now):
            continue
        amount = rollover_amount(credit.unreserved, replace(allowed, cap=cap_left), times)
        if amount:
            cap_left -= amount
            _void_rolled_over(journal, account, amount, context)
            moved.append((account, amount, times + 1))
    await journal.flush(session)
    return [await _grant_rolled_over(session, renewed, *each, context, ledger) for each in moved]


def _void_rolled_over(
    journal: JournalTransaction, account: AccountKey, amount: Amount, context: RequestContext
) -> None:
    credit = journal.accounts[account]
    if credit.state.expiry_recorded == credit.stored.expires:
        # What its expiry line says did not all lapse; the next sweep says what did.
        metadata = EntryMetadata(context.principal.email, "part of it is rolled over")
        journal.append(account, EntryType.REOPENING, credit.unreserved, metadata)
        journal.set_state(account, expiry_recorded=None)
    journal.append(
        account, EntryType.VOID, amount, EntryMetadata(context.principal.email, "rolled over")
    )


async def _grant_rolled_over(
    session: WriteSession,
    renewed: RenewedGrant,
    account: AccountKey,
    amount: Amount,
    times: int,
    context: RequestContext,
    ledger: LedgerContext,
) -> int:
    side, record = renewed.mapping, {**renewed.record, renewed.mapping.total_field: amount}
    reason = f"rolled over from credit #{account[1]}"
    (credit_id,) = await grant(
        session,
        side,
        [record],
        context,
        ledger,
        reason=reason,
        granted_from=account[1],
        times_rolled=times,
    )
    key = {
        "Key": f"{renewed.key}{ROLLOVER_SUFFIX}/{account[1]}",
        "ContractId": renewed.contract_id,
        "Benefit": f"{renewed.benefit}{ROLLOVER_SUFFIX}",
        "PeriodStart": renewed.starts,
        "CreditKind": side.account_type.value,
        "CreditId": credit_id,
    }
    await session.insert(
        BenefitGrant, [new_record(BenefitGrant, key, context.now, context.principal.email)]
    )
    return credit_id


async def _load_grants(
    session: ReadSession, contract_ids: Collection[int], benefits: Collection[str]
) -> Sequence[Record]:
    names = tuple(name for each in benefits for name in (each, each + ROLLOVER_SUFFIX))
    return await session.find(
        BenefitGrant, where(BenefitGrant, ContractId=tuple(contract_ids), Benefit=names)
    )


def _granted_account(key: Record) -> AccountKey:
    return (AccountType(key["CreditKind"]), key["CreditId"])


def _times_rolled(journal: JournalTransaction, account: AccountKey) -> int:
    return journal.accounts[account].state.times_rolled
