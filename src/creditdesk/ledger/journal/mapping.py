"""The mapping between records of the API and the ledger's typed values.

Only this module and the loaders know the column names of credits, uses and journal lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import (
    AccountType,
    EntryType,
    JournalEntry,
    epoch_microseconds,
    from_epoch_microseconds,
)
from creditdesk.ledger.journal.hash_chain import genesis_digest
from creditdesk.ledger.journal.values import CreditTerms, StoredCredit, StoredState, StoredUse
from creditdesk.ledger.rules.amounts import AMOUNT_SCALE, Amount, format_money
from creditdesk.ledger.rules.credit import CreditKey, CreditType, SourceKind
from creditdesk.ledger.rules.funding import Funding, FundingKind
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import FieldError, UnknownStoredValue, ValidationError
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.schema.records import new_record
from creditdesk.schema.validation import NOT_FOUND_MESSAGE

SOURCE_REFERENCES: Final[Mapping[str, SourceKind]] = {
    "BookingId": SourceKind.BOOKING,
    "EventAttendeeId": SourceKind.EVENT_ATTENDANCE,
    "CoworkerInvoiceLineId": SourceKind.INVOICE_LINE,
}
"""The columns by which a use row names what it paid."""

SYSTEM_ACTOR: Final = "system"
"""The actor of entries that were not caused by a user."""


@dataclass(frozen=True, slots=True)
class CreditTypeMapping:
    """The entities and columns of one account type. `scale` converts amounts to stored decimals."""

    account_type: AccountType
    credit_entity: type[Entity]
    history_entity: type[Entity]
    remaining_field: str
    total_field: str
    scale: int

    @property
    def credit_columns(self) -> tuple[str, ...]:
        """The stored columns that `stored_credit` reads."""
        of_time = ("ExtraServiceId", "BookingId", "BookingUniqueId", "Overdraft")
        return (
            *("Id", "BusinessId", "CoworkerId", "CreatedOn", "UpdatedBy"),
            *("ValidFrom", "ExpireDate", self.remaining_field, self.total_field),
            *(of_time if self.account_type is AccountType.TIME else ()),
        )

    @property
    def description_columns(self) -> tuple[str, ...]:
        """The columns that describe a credit to people."""
        if self.account_type is AccountType.MONEY:
            return ("Description", "BusinessCurrencyCode")
        return ("Description", "ExtraServiceName")

    @property
    def use_columns(self) -> tuple[str, ...]:
        """The columns of the history that `stored_use` reads."""
        own = ("Id", self.credit_reference, "CreditUsed", "CreatedOn", "UpdatedBy")
        return (*own, *self.source_columns.values())

    @property
    def source_columns(self) -> dict[str, str]:
        """The columns by which the history names what was paid, by kind of source."""
        columns = self.history_entity.meta().columns
        return {kind.value: name for name, kind in SOURCE_REFERENCES.items() if name in columns}

    @property
    def credit_relation(self) -> str:
        """The history's reference to its credit, as errors name it."""
        return self.credit_entity.__name__

    @property
    def credit_reference(self) -> str:
        return f"{self.credit_entity.__name__}Id"

    def format_amount(self, amount: Amount) -> str:
        """Formats an amount for messages."""
        return format_money(amount) if self.account_type is AccountType.MONEY else str(amount)


MONEY_MAPPING: Final = CreditTypeMapping(
    AccountType.MONEY,
    CoworkerBookingCredit,
    CoworkerBookingCreditUseHistory,
    "RemainingCredit",
    "TotalCredit",
    1,
)
TIME_MAPPING: Final = CreditTypeMapping(
    AccountType.TIME,
    CoworkerExtraService,
    CoworkerExtraServiceUseHistory,
    "RemainingUses",
    "TotalUses",
    AMOUNT_SCALE,
)
MAPPINGS: Final = {
    MONEY_MAPPING.account_type: MONEY_MAPPING,
    TIME_MAPPING.account_type: TIME_MAPPING,
}
MAPPINGS_BY_HISTORY: Final = {mapping.history_entity: mapping for mapping in MAPPINGS.values()}
MAPPINGS_BY_CREDIT: Final = {mapping.credit_entity: mapping for mapping in MAPPINGS.values()}

RowChange = tuple[int, Mapping[str, object]]
"""A row's Id and the columns to set."""

AccountKey = tuple[AccountType, int]
"""A credit's identity in the journal: printing credit is written as time credit."""


def account_key(key: CreditKey) -> AccountKey:
    return (AccountType.MONEY if key.kind is CreditType.MONEY else AccountType.TIME, key.id)


def state_id(account: AccountKey) -> int:
    """The Id of a credit's `AccountState`: even for money, odd for time."""
    kind, credit_id = account
    return 2 * credit_id + (kind is AccountType.TIME)


def is_booking_charge(mapping: CreditTypeMapping, record: Mapping[str, Any]) -> bool:
    """A booking charge has no balance and no journal (rule 5)."""
    if mapping is MONEY_MAPPING:
        return False
    return bool(record.get("BookingId") or record.get("BookingUniqueId"))


def overdraft_limit(mapping: CreditTypeMapping, record: Mapping[str, Any]) -> Amount:
    """How many uses below zero a stored credit may go; money credit never may (rule 33)."""
    return 0 if mapping is MONEY_MAPPING else record.get("Overdraft") or 0


def stored_credit(mapping: CreditTypeMapping, record: Mapping[str, Any]) -> StoredCredit:
    """The credit in a record with at least `credit_columns`. A missing balance counts as 0."""
    is_money = mapping is MONEY_MAPPING
    return StoredCredit(
        id=record["Id"],
        business_id=record["BusinessId"],
        customer_id=record["CoworkerId"],
        created=record["CreatedOn"],
        updated_by=record["UpdatedBy"] or SYSTEM_ACTOR,
        remaining=record[mapping.remaining_field] or 0,
        total=record[mapping.total_field] or 0,
        overdraft=overdraft_limit(mapping, record),
        valid_from=record["ValidFrom"],
        expires=record["ExpireDate"],
        rate_id=None if is_money else record["ExtraServiceId"],
        is_booking_charge=is_booking_charge(mapping, record),
        description=record.get("Description") or record.get("ExtraServiceName") or "",
        currency=record.get("BusinessCurrencyCode") if is_money else None,
    )


def credit_terms(mapping: CreditTypeMapping, record: Mapping[str, Any]) -> CreditTerms:
    """The terms in the record of a create or update. A stored credit without a total counts as 0."""
    return CreditTerms(
        business_id=record["BusinessId"],
        customer_id=record["CoworkerId"],
        total=record[mapping.total_field] or 0,
        valid_from=record.get("ValidFrom"),
        expires=record.get("ExpireDate"),
        rate_id=None if mapping is MONEY_MAPPING else record.get("ExtraServiceId"),
        price=record.get("Price"),
        is_free=bool(record.get("Free")),
        is_booking_charge=is_booking_charge(mapping, record),
    )


def stored_use(mapping: CreditTypeMapping, record: Mapping[str, Any]) -> StoredUse:
    """The use in a history record with at least `use_columns`."""
    sources = ((kind, record.get(name)) for name, kind in SOURCE_REFERENCES.items())
    kind, source_id = next(((k.value, i) for k, i in sources if i), (None, None))
    return StoredUse(
        id=record["Id"],
        credit_id=record[mapping.credit_reference],
        created=record["CreatedOn"],
        updated_by=record["UpdatedBy"] or SYSTEM_ACTOR,
        used=record["CreditUsed"],
        description=record.get("Description"),
        source_kind=kind,
        source_id=source_id,
    )


STORED_STATE_COLUMNS: Final = (
    *("Id", "Digest", "Sequence", "Held", "LastRecordedOn", "Priority", "Funding", "PricePaid", "SourceDocument"),
    *("ExpirySwept", "GrantedFrom", "TimesRolled"),
)
"""The columns that `stored_state` reads."""


def stored_state(account: AccountKey, record: Mapping[str, Any] | None) -> StoredState:
    """The state in an `AccountState` record, or the first state of an account without one."""
    if record is None:
        return StoredState(genesis_digest(*account), is_new=True)
    return StoredState(
        digest=bytes.fromhex(record["Digest"]),
        sequence=record["Sequence"],
        held=record["Held"] // MAPPINGS[account[0]].scale,
        last_recorded=record["LastRecordedOn"],
        priority=record["Priority"],
        funding=Funding(FundingKind(record["Funding"]), record["PricePaid"], record["SourceDocument"]),
        expiry_recorded=record["ExpirySwept"],
        granted_from=record["GrantedFrom"],
        times_rolled=record["TimesRolled"],
    )


def chain_end_values(account: AccountKey, state: StoredState) -> dict[str, object]:
    """The columns of an `AccountState` that change with every entry."""
    return {
        "Sequence": state.sequence,
        "Digest": state.digest.hex(),
        "Held": state.held * MAPPINGS[account[0]].scale,
        "LastRecordedOn": state.last_recorded,
    }


def state_values(account: AccountKey, state: StoredState) -> dict[str, object]:
    """The columns of an `AccountState` that change with the state."""
    return {
        **chain_end_values(account, state),
        "Priority": state.priority,
        "Funding": state.funding.kind.value,
        "PricePaid": state.funding.price_paid,
        "SourceDocument": state.funding.document,
        "ExpirySwept": state.expiry_recorded,
        "GrantedFrom": state.granted_from,
        "TimesRolled": state.times_rolled,
    }


def new_state_record(account: AccountKey, state: StoredState, now: datetime, unique_id: str | None = None) -> Record:
    """The record of an account's first state, under a new UniqueId unless one is given."""
    kind, credit_id = account
    values = {
        "Id": state_id(account),
        "CreditKind": kind.value,
        "CreditId": credit_id,
        "UniqueId": unique_id,
        **state_values(account, state),
    }
    return new_record(AccountState, values, now, "")


_instant = lru_cache(maxsize=64)(from_epoch_microseconds)
"""Cached, because all entries of a transaction have the same."""


def entry_record(entry: JournalEntry, digest: bytes) -> Record:
    """The journal record of an entry."""
    mapping = MAPPINGS[entry.credit_kind]
    recorded = _instant(entry.recorded_microseconds)
    values = {
        "Id": entry.line_id,
        "BusinessId": entry.location_id,
        "CoworkerId": entry.owner_id,
        mapping.credit_reference: entry.credit_id,
        "CreditKind": entry.credit_kind.value,
        "CreditId": entry.credit_id,
        "Sequence": entry.sequence,
        "Kind": entry.kind.value,
        "Cause": entry.cause.value,
        "Amount": entry.amount * mapping.scale,
        "BalanceAfter": entry.balance_after * mapping.scale,
        "HeldAfter": entry.held_after * mapping.scale,
        "TotalAfter": entry.total_after * mapping.scale,
        "SourceKind": entry.source_kind,
        "SourceId": entry.source_id,
        "Actor": entry.actor,
        "Reason": entry.reason,
        "IdempotencyKey": entry.idempotency_key,
        "Reverses": entry.reverses,
        "RuleVersion": entry.rule_version,
        "EffectiveOn": _instant(entry.effective_microseconds),
        "RecordedOn": recorded,
        "HistoryId": entry.history_id,
        "Override": entry.override,
        "MemberId": entry.member_id,
        "AllocationId": entry.allocation_id,
        "Document": entry.document,
        "FormatVersion": entry.format_version,
        "Digest": digest.hex(),
        "UniqueId": entry.unique_id,
    }
    return new_record(JournalLine, values, recorded, entry.actor)


ENTRY_COLUMNS: Final = (
    *("Id", "UniqueId", "BusinessId", "CoworkerId", "CreditKind", "CreditId", "Sequence", "Kind", "Cause"),
    *("Amount", "BalanceAfter", "HeldAfter", "TotalAfter", "SourceKind", "SourceId", "Actor", "Reason"),
    *("IdempotencyKey", "Reverses", "RuleVersion", "EffectiveOn", "RecordedOn", "HistoryId", "Override"),
    *("MemberId", "AllocationId", "Document", "FormatVersion"),
)
"""The columns that `entry_from_record` reads."""


_ENTRY_TYPES: Final = {kind.value: kind for kind in EntryType}
_ACCOUNT_TYPES: Final = {kind.value: kind for kind in AccountType}
_CAUSES: Final = {cause.value: cause for cause in Cause}


def entry_types(record: Mapping[str, Any]) -> tuple[AccountType, EntryType]:
    """The kinds of credit and of entry in a journal record. Raises UnknownStoredValue."""
    account_type, kind = _ACCOUNT_TYPES.get(record["CreditKind"]), _ENTRY_TYPES.get(record["Kind"])
    if account_type is None or kind is None:
        name = "CreditKind" if account_type is None else "Kind"
        raise UnknownStoredValue(JournalLine.__name__, record["Id"], name, record[name])
    return account_type, kind


def entry_from_record(record: Record) -> JournalEntry:
    """The entry in a journal record. Raises UnknownStoredValue for a kind that does not exist."""
    account_type, kind = entry_types(record)
    mapping = MAPPINGS[account_type]
    return JournalEntry(
        credit_kind=mapping.account_type,
        credit_id=record["CreditId"],
        sequence=record["Sequence"],
        kind=kind,
        amount=_unscaled(record["Amount"], mapping),
        balance_after=_unscaled(record["BalanceAfter"], mapping),
        held_after=_unscaled(record["HeldAfter"], mapping),
        total_after=_unscaled(record["TotalAfter"], mapping),
        source_kind=record["SourceKind"],
        source_id=record["SourceId"],
        actor=record["Actor"],
        reason=record["Reason"],
        idempotency_key=record["IdempotencyKey"],
        reverses=record["Reverses"],
        rule_version=record["RuleVersion"],
        effective_microseconds=epoch_microseconds(record["EffectiveOn"]),
        recorded_microseconds=epoch_microseconds(record["RecordedOn"]),
        history_id=record["HistoryId"],
        override=record["Override"],
        cause=_CAUSES.get(record["Cause"]) or Cause(record["Cause"]),
        line_id=record["Id"],
        unique_id=record["UniqueId"],
        location_id=record["BusinessId"],
        owner_id=record["CoworkerId"],
        member_id=record["MemberId"],
        allocation_id=record["AllocationId"],
        document=record["Document"],
        format_version=record["FormatVersion"],
    )


def _unscaled(scaled: int, mapping: CreditTypeMapping) -> Amount:
    """A stored amount in the credit's smallest unit.

    An amount that is not a whole number of units was altered. It is returned unchanged, so the entry's digest fails.
    """
    if mapping.scale == 1:
        return scaled
    whole, rest = divmod(scaled, mapping.scale)
    return scaled if rest else whole


def recorded_by(at: datetime) -> tuple[Filter, Order]:
    """The filter for journal entries recorded by `at`, and the order with the latest first."""
    recorded = JournalLine.meta().columns["RecordedOn"]
    return Filter(recorded, Comparison.AT_MOST, at), Order(recorded, descending=True)


def unknown_reference(relation: str, attempted: object) -> ValidationError:
    """The error for a reference to a record that does not exist for the caller."""
    return ValidationError(FieldError(relation, NOT_FOUND_MESSAGE, attempted))
