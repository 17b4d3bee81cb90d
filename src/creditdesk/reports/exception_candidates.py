"""Finds the credits that an exception can be about, so that only their journals are read.

Each search uses an index of the database or one pass over the credits. It may find too many: the rules of
`exception_search` then judge each credit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, MONEY_MAPPING, TIME_MAPPING, AccountKey, CreditTypeMapping
from creditdesk.ledger.loaders.expiry import find_expired, without_charges
from creditdesk.reports.journal_loader import Period, changed_accounts
from creditdesk.reports.ledger_view import LocationInfo
from creditdesk.reports.periods import end_cut
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.values import END_OF_TIME
from creditdesk.schema.cross_checks import Counterpart, Newest, Pairing
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession

_BOOKINGS_PER_LOAD: Final = 2000
_EXPIRED_PER_LOAD: Final = 50_000
_BENEFIT_COLUMNS: Final = {
    MONEY_MAPPING: ("CoworkerContractUniqueId", "TariffBookingCreditId", "ValidFrom"),
    TIME_MAPPING: ("CoworkerContractUniqueId", "ExtraServiceId", "ValidFrom"),
}
_PRINTING: Final = Counterpart(
    TIME_MAPPING.credit_entity,
    (Pairing("Id", "CreditId"),),
    where(TIME_MAPPING.credit_entity, ExtraServiceIsPrintingCredit=True),
)
"""The kind of record that holds printing credit."""


async def find_candidates(
    session: ReadSession, request: ReportRequest, locations: Mapping[int, LocationInfo]
) -> set[AccountKey]:
    """A superset of the locations' credits that a rule can find something about, by recorded order."""
    ids = tuple(locations) or (0,)
    found = await _questioned(session, locations)
    of_most = 2 * len(locations) > await session.count(Business)
    for mapping in MAPPINGS.values():
        of_locations = where(mapping.credit_entity, BusinessId=ids)
        if not request.is_of_past:
            found |= _accounts(mapping, await _unexplained(session, mapping, of_locations, of_most=of_most))
        found |= await _unrecorded_expiries(session, mapping, request)
        benefit = _BENEFIT_COLUMNS[mapping]
        found |= _accounts(mapping, await session.find_repeated(mapping.credit_entity, benefit, of_locations))
        found |= _accounts(mapping, await _below_zero(session, mapping, of_locations))
    found |= await _used_for_cancelled_bookings(session, locations)
    found |= await _capped(session)
    return found | await _changed_since(session, request, locations)


def newest_entry(account_type: AccountType, value: str) -> Newest:
    """A value of the newest entry of each credit of a type; recorded time never runs backwards within one (rule 4)."""
    of_type = where(JournalLine, CreditKind=account_type.value)
    return Newest(JournalLine, of_type, "CreditId", ("RecordedOn", "Sequence"), value)


async def _questioned(session: ReadSession, locations: Collection[int]) -> set[AccountKey]:
    """Credits with an override, a use without a source, or a change without a reason.

    A posted use of printing credit has no field for the print job.
    """
    columns = ("CreditKind", "CreditId", "BusinessId")
    without_reason = await session.find_listed(JournalLine, "unreasoned", columns)
    overridden = await session.find_listed(JournalLine, "in_question", columns, where(JournalLine, Override=True))
    rows = [*without_reason, *overridden]
    for mapping in MAPPINGS.values():
        others = where(JournalLine, Override=False, CreditKind=mapping.account_type.value)
        printing = _PRINTING if mapping is TIME_MAPPING else None
        rows += await session.find_listed(JournalLine, "in_question", columns, others, without=printing)
    return {(AccountType(kind), credit_id) for kind, credit_id, location in rows if location in locations}


async def _unexplained(
    session: ReadSession, mapping: CreditTypeMapping, filters: tuple[Filter, ...], *, of_most: bool
) -> list[int]:
    """Credits whose record shows another balance than the journal."""
    newest = newest_entry(mapping.account_type, "BalanceAfter")
    with_balance = (*filters, *without_charges(mapping))
    return await session.find_unequal(
        mapping.credit_entity, mapping.remaining_field, newest, with_balance, scale=mapping.scale, of_most=of_most
    )


async def _unrecorded_expiries(
    session: ReadSession, mapping: CreditTypeMapping, request: ReportRequest
) -> set[AccountKey]:
    found: set[AccountKey] = set()
    after: int | None = 0
    while after is not None:
        page = await find_expired(session, mapping, request.now, limit=_EXPIRED_PER_LOAD, after_id=after)
        found |= set(page.accounts)
        after = page.last_id
    return found


async def _below_zero(session: ReadSession, mapping: CreditTypeMapping, filters: tuple[Filter, ...]) -> list[int]:
    remaining = mapping.credit_entity.meta().columns[mapping.remaining_field]
    overdrawn = (*filters, Filter(remaining, Comparison.AT_MOST, -1))
    return [record["Id"] for record in await session.find(mapping.credit_entity, overdrawn, columns=("Id",))]


async def _used_for_cancelled_bookings(session: ReadSession, locations: Collection[int]) -> set[AccountKey]:
    rows = await session.find_listed(JournalLine, "cancelled", ("BusinessId", "SourceId"))
    bookings = sorted({booking for location, booking in rows if location in locations})
    found: set[AccountKey] = set()
    for first in range(0, len(bookings), _BOOKINGS_PER_LOAD):
        part = bookings[first : first + _BOOKINGS_PER_LOAD]
        for mapping in MAPPINGS.values():
            entity, reference = mapping.history_entity, mapping.credit_reference
            uses = await session.find(entity, where(entity, BookingId=part), columns=("Id", reference))
            found |= _accounts(mapping, [use[reference] for use in uses])
    return found


async def _capped(session: ReadSession) -> set[AccountKey]:
    """The credits of the paying members of teams with a cap."""
    caps = await session.find(PoolCap, (), columns=("Id", "TeamId"))
    teams = {cap["TeamId"] for cap in caps}
    if not teams:
        return set()
    rows = await session.find(Team, where(Team, Id=teams), columns=("Id", "PayingMemberId"))
    payers = {row["PayingMemberId"] for row in rows if row["PayingMemberId"]}
    found: set[AccountKey] = set()
    for mapping in MAPPINGS.values():
        entity = mapping.credit_entity
        records = await session.find(entity, where(entity, CoworkerId=payers or {0}), columns=("Id",))
        found |= _accounts(mapping, [record["Id"] for record in records])
    return found


async def _changed_since(
    session: ReadSession, request: ReportRequest, locations: Mapping[int, LocationInfo]
) -> set[AccountKey]:
    """The credits whose state at the end of the report differs from now; none if the report ends now."""
    found: set[AccountKey] = set()
    if request.ends is None:
        return found
    now = epoch_microseconds(request.now)
    for each in locations.values():
        since = end_cut(request.ends, each.zone, request.now).entries_before
        found |= await changed_accounts(session, each.id, [Period(since, END_OF_TIME, expired_by=now)])
    return found


def _accounts(mapping: CreditTypeMapping, ids: Collection[int]) -> set[AccountKey]:
    return {(mapping.account_type, credit_id) for credit_id in ids}
