"""Loads whole journals of credits in batches: those of a location, or those that changed in a period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import AccountType, EntryType, epoch_microseconds, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, CreditTypeMapping, state_id
from creditdesk.ledger.loaders.rows import AccountRow, TypedRow, find_by_id, find_filtered
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.entry_loader import REPORT_ENTRY_COLUMNS, report_entry
from creditdesk.reports.values import BEGINNING, END_OF_TIME, Microseconds, ReportCredit, ReportEntry
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.repository import ReadSession, find_first

CREDIT_BATCH_SIZE: Final = 2000
_STEP: Final = timedelta(days=7) // timedelta(microseconds=1)
"""The part of a journal that is read at once, in microseconds."""

_GONE: Final = (Cause.DELETED.value, Cause.LOCATION_CHANGED.value)
"""Causes of entries whose credit may no longer have a record at the location."""


class Period(NamedTuple):
    """Entries from `starts`, before `ends`; validity windows that begin or end by `expired_by`."""

    starts: Microseconds
    ends: Microseconds
    expired_by: Microseconds = BEGINNING


class CreditJournal(NamedTuple):
    """A credit and all its entries in order of recording."""

    credit: ReportCredit
    entries: list[ReportEntry]


class _MoneyRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerBookingCredit

    business_id: int
    valid_from: datetime | None
    expire_date: datetime | None


class _TimeRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerExtraService

    business_id: int
    extra_service_id: int | None
    valid_from: datetime | None
    expire_date: datetime | None


class _OriginRow(AccountRow, frozen=True, gc=False):
    entity = AccountState

    granted_from: int | None
    funding: FundingKind


async def location_accounts(session: ReadSession, location_id: int) -> AsyncIterator[Sequence[AccountKey]]:
    """Every account that may be in a location's totals, once, in batches."""
    everything = Period(BEGINNING, END_OF_TIME)
    gone = await _accounts_of(session, where(JournalLine, BusinessId=location_id, Cause=_GONE), everything)
    yield sorted(gone)
    for mapping in MAPPINGS.values():
        of_location = where(mapping.credit_entity, BusinessId=location_id)
        async for batch in find_batches(session, mapping.credit_entity, CREDIT_BATCH_SIZE, ("Id",), of_location):
            accounts = [(mapping.account_type, record["Id"]) for record in batch]
            yield [account for account in accounts if account not in gone]


async def changed_accounts(session: ReadSession, location_id: int, periods: Iterable[Period]) -> set[AccountKey]:
    """The accounts with entries at a location in one of the periods, or whose window begins or ends in one."""
    found: set[AccountKey] = set()
    for period in periods:
        found |= await _accounts_of(session, where(JournalLine, BusinessId=location_id), period)
        for mapping in MAPPINGS.values():
            for name in ("ExpireDate", "ValidFrom"):
                filters = tuple(_between(mapping, name, period))
                rows = await session.find(mapping.credit_entity, filters, columns=("Id", "BusinessId"))
                found |= {(mapping.account_type, row["Id"]) for row in rows if row["BusinessId"] == location_id}
    return found


async def reassigned_accounts(session: ReadSession, since: Microseconds) -> tuple[set[AccountKey], Microseconds | None]:
    """The accounts whose terms changed since an instant, at any location, and when the first deleted one began.

    Totals from before a deletion may have counted the credit under terms that are no longer stored.
    """
    changed: set[AccountKey] = set()
    deleted: set[AccountKey] = set()
    columns = ("CreditKind", "CreditId", "Kind", "Cause")
    recent = tuple(created_in(Period(since, END_OF_TIME)))
    for account_type, credit_id, kind, cause in await session.find_listed(JournalLine, "reassigned", columns, recent):
        account = (AccountType(account_type), credit_id)
        if kind == EntryType.CHANGE.value:
            changed.add(account)
        elif cause == Cause.DELETED.value:
            deleted.add(account)
    begun = [journal.entries[0].at for journal in await load_credit_journals(session, deleted)]
    return changed, min(begun, default=None)


async def load_credit_journals(session: ReadSession, accounts: Collection[AccountKey]) -> list[CreditJournal]:
    """The credits of the accounts with their journals; leaves out those without entries, such as booking charges."""
    entries: dict[AccountKey, list[ReportEntry]] = defaultdict(list)
    credits_: dict[AccountKey, ReportCredit] = {}
    for mapping in MAPPINGS.values():
        ids = [credit_id for kind, credit_id in accounts if kind is mapping.account_type]
        if not ids:
            continue
        filters = where(JournalLine, CreditKind=mapping.account_type.value, CreditId=ids)
        for record in await session.find(JournalLine, filters, columns=REPORT_ENTRY_COLUMNS):
            entry = report_entry(record, by_effect=False)
            entries[entry.account].append(entry)
        credits_ |= await _load_credits(session, mapping, ids)
    found = []
    for account, own in entries.items():
        own.sort(key=lambda entry: entry.sequence)
        credit = credits_.get(account)
        found.append(CreditJournal(credit or _deleted_credit(own[0]), own))
    return found


def batches_of(accounts: Iterable[AccountKey]) -> Iterator[Sequence[AccountKey]]:
    """Accounts in batches of `CREDIT_BATCH_SIZE`, in order."""
    ordered = sorted(accounts)
    for first in range(0, len(ordered), CREDIT_BATCH_SIZE):
        yield ordered[first : first + CREDIT_BATCH_SIZE]


async def first_entry_on(session: ReadSession, location_id: int) -> datetime | None:
    """When the first entry of a location was recorded, to the second; None without any."""
    oldest_first = Order(JournalLine.meta().columns["CreatedOn"])
    of_location = where(JournalLine, BusinessId=location_id)
    first = await find_first(session, JournalLine, of_location, oldest_first, columns=("Id", "CreatedOn"))
    return first["CreatedOn"] if first else None


async def find_lines(
    session: ReadSession, filters: Sequence[Filter], period: Period, columns: Sequence[str]
) -> AsyncIterator[list[Record]]:
    """The journal records of a period, a week at a time, including all records of its last second."""
    order = Order(JournalLine.meta().columns["CreatedOn"])
    starts = period.starts
    while starts < period.ends:
        left = (*filters, *created_in(Period(starts, period.ends)))
        first = await find_first(session, JournalLine, left, order, columns=("Id", "CreatedOn"))
        if first is None:
            return
        ends = min(epoch_microseconds(first["CreatedOn"]) + _STEP, period.ends)
        yield await session.find(JournalLine, (*filters, *created_in(Period(starts, ends))), order, columns=columns)
        starts = ends


def created_in(period: Period) -> Iterator[Filter]:
    """Filters for the entries created in a period, by the second of their recording, which is indexed."""
    created = JournalLine.meta().columns["CreatedOn"]
    if period.starts != BEGINNING:
        yield Filter(created, Comparison.AT_LEAST, from_epoch_microseconds(period.starts))
    if period.ends != END_OF_TIME:
        yield Filter(created, Comparison.AT_MOST, from_epoch_microseconds(period.ends - 1))


def _between(mapping: CreditTypeMapping, name: str, period: Period) -> Iterator[Filter]:
    column = mapping.credit_entity.meta().columns[name]
    if period.starts != BEGINNING:
        yield Filter(column, Comparison.AT_LEAST, from_epoch_microseconds(period.starts))
    yield Filter(column, Comparison.AT_MOST, from_epoch_microseconds(period.expired_by))


async def _accounts_of(session: ReadSession, filters: Sequence[Filter], period: Period) -> set[AccountKey]:
    found: set[AccountKey] = set()
    async for lines in find_lines(session, filters, period, ("Id", "CreditKind", "CreditId")):
        found |= {(AccountType(line["CreditKind"]), line["CreditId"]) for line in lines}
    return found


async def _load_credits(
    session: ReadSession, mapping: CreditTypeMapping, ids: list[int]
) -> dict[AccountKey, ReportCredit]:
    account_type = mapping.account_type
    filters = where(mapping.credit_entity, Id=ids)
    rows: list[_MoneyRow] | list[_TimeRow]
    if account_type is AccountType.MONEY:
        rows = await find_filtered(session, _MoneyRow, filters)
    else:
        rows = await find_filtered(session, _TimeRow, filters)
    states = await find_by_id(session, _OriginRow, (state_id((account_type, row.id)) for row in rows))
    found: dict[AccountKey, ReportCredit] = {}
    for row in rows:
        account = (account_type, row.id)
        origin = states.get(state_id(account))
        found[account] = ReportCredit(
            account_type=account_type,
            id=row.id,
            business_id=row.business_id,
            customer_id=None,
            credit_type=CreditType.MONEY if account_type is AccountType.MONEY else CreditType.TIME,
            unit="",
            funding=origin.funding if origin else FundingKind.UNKNOWN,
            valid_from=None if row.valid_from is None else epoch_microseconds(row.valid_from),
            expires=None if row.expire_date is None else epoch_microseconds(row.expire_date),
            continues=origin.granted_from if origin else None,
            rate_id=row.extra_service_id if isinstance(row, _TimeRow) else None,
        )
    return found


def _deleted_credit(entry: ReportEntry) -> ReportCredit:
    """A deleted credit, as its first entry describes it."""
    account_type, credit_id = entry.account
    credit_type = CreditType.MONEY if account_type is AccountType.MONEY else CreditType.TIME
    return ReportCredit(account_type, credit_id, entry.business_id, entry.customer_id, credit_type, "")
