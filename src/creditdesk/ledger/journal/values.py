"""Stored credits and account states as typed values.

Amounts are in the credit's smallest unit: ten-thousandths of the currency, or whole uses.
Instants are aware and in UTC.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import DEFAULT_PRIORITY
from creditdesk.ledger.rules.funding import UNKNOWN_FUNDING, Funding


class StoredCredit(Struct, frozen=True, gc=False):
    """A credit's row, as far as the journal needs it. A booking charge has no balance (rule 5).

    `description` and `currency` are set only where they were read.
    """

    id: int
    business_id: int
    customer_id: int | None
    created: datetime
    updated_by: str
    remaining: Amount
    total: Amount
    overdraft: Amount = 0
    valid_from: datetime | None = None
    expires: datetime | None = None
    rate_id: int | None = None
    is_booking_charge: bool = False
    description: str = ""
    currency: str | None = None


class CreditTerms(Struct, frozen=True, gc=False):
    """The terms of a credit that a caller sets. Only time credit has `price` and `is_free`."""

    business_id: int
    customer_id: int | None
    total: Amount
    valid_from: datetime | None = None
    expires: datetime | None = None
    rate_id: int | None = None
    price: Amount | None = None
    is_free: bool = False
    is_booking_charge: bool = False


class StoredUse(Struct, frozen=True, gc=False):
    """A row of a use history: what one use took, negative for what was returned (rule 2).

    `used` is None for a use whose length is unknown; it moved nothing (rule 9).
    """

    id: int
    credit_id: int | None
    created: datetime
    updated_by: str
    used: Amount | None
    description: str | None = None
    source_kind: str | None = None
    source_id: int | None = None


class ReservedAmount(Struct, frozen=True, gc=False):
    """What one hold reserves of a credit for a source, and until when (rule 26)."""

    hold_id: int
    amount: Amount
    source_kind: str
    source_id: int
    until: datetime | None
    allocation_id: int | None = None


class StoredState(Struct, frozen=True, gc=False):
    """The stored state of a credit beyond its record: the end of its journal, and settings of creditdesk.

    `expiry_recorded` is the expiry for which the journal has an expiry entry (rule 28).
    `granted_from` is the credit that this one continues, by roll-over or re-issue.
    `funding` says where the credit came from (rule 35). `is_new` is true until the state is stored for the first time.
    """

    digest: bytes
    sequence: int = 0
    held: Amount = 0
    last_recorded: datetime | None = None
    priority: int = DEFAULT_PRIORITY
    funding: Funding = UNKNOWN_FUNDING
    expiry_recorded: datetime | None = None
    granted_from: int | None = None
    times_rolled: int = 0
    is_new: bool = False
