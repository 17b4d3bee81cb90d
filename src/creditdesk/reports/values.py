"""The typed values that reports compute with: credits, entries, movements of what is outstanding.

Amounts are in the credit's smallest unit, instants in microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind

Microseconds = int

BEGINNING: Final[Microseconds] = -(2**62)
"""Before every entry."""
END_OF_TIME: Final[Microseconds] = 2**62
"""After every entry."""
MICROSECOND: Final = timedelta(microseconds=1)
"""The resolution of stored instants."""


class Flow(StrEnum):
    """Why the outstanding amount of a credit moved; every movement has exactly one."""

    GRANTED = "granted"
    ROLLED_IN = "rolled_in"
    REVERSED = "reversed"
    ADJUSTED = "adjusted"
    USED = "used"
    ROLLED_OUT = "rolled_out"
    VOIDED = "voided"
    EXPIRED = "expired"
    REOPENED = "reopened"


EXPIRY_BANDS: Final = ("days7", "days30", "days90", "days365", "later", "never")
"""The times until expiry that the ageing report has a column for, nearest first."""
NO_PLAN: Final = "-"
"""The name of the group of credit that no plan or product granted."""


class Cut(Struct, frozen=True, gc=False):
    """An instant that divides a credit's life into before and after.

    Entries before `entries_before` count; credit whose expiry is at most `expired_by` is expired.
    """

    entries_before: Microseconds
    expired_by: Microseconds


class ReportCredit(Struct, frozen=True, gc=False):
    """A credit as reports show it.

    `unit` is the currency of money, or what one use of time or printing credit is; amounts of different
    units are never added. `remaining` and `total` are those of the credit's record, None once it is
    deleted. `expires` is the expiry that stood at the end of the report. `price` is what the whole credit
    cost, in ten-thousandths of `price_currency`. `benefit_key` names the contract, benefit and period that a
    plan granted it for.
    """

    account_type: AccountType
    id: int
    business_id: int
    customer_id: int | None
    credit_type: CreditType
    unit: str
    description: str = ""
    customer_name: str = ""
    plan: str = ""
    product: str = ""
    funding: FundingKind = FundingKind.UNKNOWN
    price: Amount | None = None
    price_currency: str = ""
    total: Amount | None = None
    remaining: Amount | None = None
    valid_from: Microseconds | None = None
    expires: Microseconds | None = None
    overdraft: Amount = 0
    created: Microseconds | None = None
    continues: int | None = None
    benefit_key: str = ""
    rate_id: int | None = None

    @property
    def account(self) -> AccountKey:
        return (self.account_type, self.id)

    @property
    def is_money(self) -> bool:
        return self.account_type is AccountType.MONEY


class WindowChange(Struct, frozen=True, gc=False):
    """The expiry of a credit before and after a change of its window; None is never."""

    before: Microseconds | None
    after: Microseconds | None


NO_TERMS: Final[Mapping[str, tuple[Any, Any]]] = MappingProxyType({})


class ReportEntry(Struct, frozen=True, gc=False):
    """A journal entry as reports read it; `at` is the time by which the report orders it.

    `terms` are the changed terms before and after, by name, as JSON values.
    """

    id: int
    account: AccountKey
    sequence: int
    kind: EntryType
    amount: Amount
    balance_after: Amount
    held_after: Amount
    total_after: Amount
    at: Microseconds
    recorded: Microseconds
    effective: Microseconds
    business_id: int
    customer_id: int | None
    member_id: int | None
    source_kind: str | None
    source_id: int | None
    reverses: int | None
    actor: str
    reason: str
    override: bool
    digest: str
    cause: Cause = Cause.UNKNOWN
    window: WindowChange | None = None
    terms: Mapping[str, tuple[Any, Any]] = NO_TERMS


class Position(Struct, frozen=True, gc=False):
    """What a credit holds at a cut: `outstanding` is `remaining` less what has expired.

    `expires` is the expiry that stood then.
    """

    remaining: Amount = 0
    held: Amount = 0
    is_expired: bool = False
    expires: Microseconds | None = None

    @property
    def expired(self) -> Amount:
        return max(self.remaining, 0) if self.is_expired else 0

    @property
    def outstanding(self) -> Amount:
        return self.remaining - self.expired


NOTHING: Final = Position()


class AgedAmount(Struct, frozen=True, gc=False):
    """What one credit or a group of credits holds, by when it expires.

    `band` is one of EXPIRY_BANDS; `week` counts from the end of the report, and is None for what has expired or never
    expires. `credit` has the values that the group has in common.
    """

    credit: ReportCredit
    band: str
    week: int | None
    credits: int
    outstanding: Amount
    expired: Amount


class HeldSum(Struct, frozen=True, gc=False):
    """What one credit or a group of credits holds.

    `amounts` are original, used, remaining, held, expired, not yet valid and outstanding. `credit` has the values that
    the group has in common.
    """

    credit: ReportCredit
    credits: int
    amounts: tuple[Amount, ...]


class CohortSum(Struct, frozen=True, gc=False):
    """What was granted to one credit or a group of credits in one local month, and what remains of it.

    `month` is of the form `2026-03`. `credit` has the values that the group has in common; overdrawn credits are in
    groups of their own.
    """

    credit: ReportCredit
    month: str
    credits: int
    original: Amount
    remaining: Amount
    is_expired: bool

    @property
    def expired(self) -> Amount:
        return max(self.remaining, 0) if self.is_expired else 0


class CreditMovement(Struct, frozen=True, gc=False):
    """One change of the outstanding amount of a credit.

    `entry` is the journal entry that made it, None for an expiry, which follows from time. `outstanding` is
    what the credit holds after it.
    """

    credit: ReportCredit
    at: Microseconds
    flow: Flow
    amount: Amount
    outstanding: Amount
    entry: ReportEntry | None
