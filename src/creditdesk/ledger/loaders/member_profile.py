"""Who a signed-in member is: its customers, their locations, and the credit that their teams share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, load_location_clocks
from creditdesk.ledger.loaders.member_pools import SharedPool, load_shared_pools
from creditdesk.ledger.loaders.payers import load_payers
from creditdesk.ledger.loaders.rows import TypedRow, find_by_id, find_rows
from creditdesk.schema.repository import ReadSession


@dataclass(frozen=True, slots=True)
class MemberLocation:
    """A location of a member; `zone` is the IANA name of its clock."""

    id: int
    name: str
    currency: str
    zone: str


@dataclass(frozen=True, slots=True)
class MemberProfile:
    """One customer of a member."""

    customer_id: int
    name: str
    email: str
    locations: tuple[MemberLocation, ...]
    pools: tuple[SharedPool, ...]


class _CustomerNameRow(TypedRow, frozen=True, gc=False):
    entity = Coworker

    full_name: str | None
    email: str | None


class _MoneyLocationRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerBookingCredit

    coworker_id: int
    business_id: int


class _TimeLocationRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerExtraService

    coworker_id: int
    business_id: int


class _LocationNameRow(TypedRow, frozen=True, gc=False):
    entity = Business

    name: str | None
    currency_code: str | None


async def load_member_profiles(
    session: ReadSession, customer_ids: Collection[int], now: datetime
) -> list[MemberProfile]:
    """The profiles of customers that exist, by Id. Locations are theirs, and those of their credit."""
    payers = await load_payers(session, customer_ids, now)
    names = await find_by_id(session, _CustomerNameRow, customer_ids)
    money = await find_rows(session, _MoneyLocationRow, CoworkerId=set(customer_ids))
    time = await find_rows(session, _TimeLocationRow, CoworkerId=set(customer_ids))
    places = [*((c.coworker_id, c.business_id) for c in money), *((c.coworker_id, c.business_id) for c in time)]
    by_customer = {
        customer_id: {*each.location_ids, *(place for owner, place in places if owner == customer_id)}
        for customer_id, each in payers.items()
    }
    locations = await _load_locations(session, {i for ids in by_customer.values() for i in ids})
    return [
        MemberProfile(
            customer_id,
            names[customer_id].full_name or "",
            names[customer_id].email or "",
            tuple(locations[i] for i in sorted(by_customer[customer_id]) if i in locations),
            tuple(await load_shared_pools(session, payers[customer_id], now)),
        )
        for customer_id in sorted(payers)
    ]


async def _load_locations(session: ReadSession, ids: Collection[int]) -> dict[int, MemberLocation]:
    rows = await find_by_id(session, _LocationNameRow, ids)
    clocks = await load_location_clocks(session, rows)
    return {
        row.id: MemberLocation(
            row.id, row.name or "", row.currency_code or "", clocks.get(row.id, DEFAULT_CLOCK).zone.key
        )
        for row in rows.values()
    }
