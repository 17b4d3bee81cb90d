"""Records for the costly calls: users to sign in, a user of one location, and customers with many credits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from benchmarks.load import HttpRequest
from benchmarks.scenarios import USE_ENTITY
from benchmarks.seeding import SeedData
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, issue_token, set_roles
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.resource import Resource
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.corrections import NewCredit, grant
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.settings import AuthSettings
from creditdesk.storage.engine import open_store

PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - of users in a temporary database
USERS: Final = 100
WIDE_CUSTOMERS: Final = 10
WIDE: Final = 20
"""Credits of a wide customer, and items of its baskets."""
_BASKETS: Final = 200
_ACTOR: Final = "bench@example.com"


@dataclass(frozen=True, slots=True)
class CostlyRecords:
    """E-mails of users with PASSWORD who never signed in, the token of a user of one location, and baskets."""

    emails: Sequence[str]
    restricted_token: str
    wide_baskets: Sequence[HttpRequest]

    def customer_baskets(self, seeded: SeedData) -> list[HttpRequest]:
        """Spends of a booking, each of another customer."""
        return [
            _basket("spends", each.coworker_id, each.business_id, [(each.booking_id, 0.01)])
            for each in seeded.booking_cases
        ]


def create_costly_records(url: str, seeded: SeedData) -> CostlyRecords:
    """Creates new records in a seeded database."""
    return asyncio.run(_create(url, seeded))


async def _create(url: str, seeded: SeedData) -> CostlyRecords:
    settings = settings_with_key(url).auth
    now = datetime.now(UTC).replace(microsecond=0)
    store = await open_store(url, migrated=True)
    try:
        location = seeded.customers[0][1]
        emails = await _users(store, now)
        return CostlyRecords(
            emails, await _restricted_token(store, settings, location, now), await _wide_baskets(store, now)
        )
    finally:
        await store.close()


async def _users(store: Store, now: datetime) -> list[str]:
    emails = [f"caller-{number}-{now:%Y%m%d%H%M%S}@example.com" for number in range(USERS)]
    async with store.write_session() as session:
        for email in emails:
            await create_user(session, email, PASSWORD, "Caller", is_admin=True, now=now)
    return emails


async def _restricted_token(store: Store, settings: AuthSettings, location: int, now: datetime) -> str:
    secret = await signing_secret(store, settings, now)
    email = "one-location@example.com"
    async with store.write_session() as session:
        user = await find_user_id(session, email)
        if user is None:
            user = await create_user(session, email, None, "Desk", is_admin=False, now=now, businesses=(location,))
            await set_roles(session, user, location, [USE_ENTITY.roles["list"]], now=now)
        return (await issue_token(session, user, secret, settings, now=now)).access_token


async def _wide_baskets(store: Store, now: datetime) -> list[HttpRequest]:
    """Baskets of WIDE bookings whose amounts compete for WIDE credits; no two alike."""
    random = Random(1)
    async with store.write_session() as session:
        [resource, *_] = await session.find(Resource, columns=["Id", "BusinessId"], limit=1)
        customers = [await _wide_customer(session, resource["Id"], resource["BusinessId"], now, random)
                     for _ in range(WIDE_CUSTOMERS)]  # fmt: skip
    return [
        _basket(
            "previews", coworker, resource["BusinessId"],
            [(booking, random.randrange(500, 1500) / 100) for booking in bookings],
        )
        for coworker, bookings in (random.choice(customers) for _ in range(_BASKETS))
    ]  # fmt: skip


async def _wide_customer(
    session: WriteSession, resource: int, business: int, now: datetime, random: Random
) -> tuple[int, list[int]]:
    """A customer and its bookings."""
    values = {"FullName": "Wide", "Businesses": (business,)}
    [coworker] = await session.insert(Coworker, [new_record(Coworker, values, now, _ACTOR)])
    given = {"BusinessId": business, "CoworkerId": coworker, "CaneBeUsedForBookings": True}
    credits_ = [
        NewCredit(
            random.randrange(500_00, 1500_00),
            {**given, "Description": f"Wide {number}", "ExpireDate": now + timedelta(days=random.randrange(30, 300))},
        )
        for number in range(WIDE)
    ]
    context = RequestContext(Principal(0, _ACTOR, unrestricted=True), now)
    await grant(session, MONEY_MAPPING, credits_, context, LedgerContext(lambda: now))
    bookings = [
        new_record(
            Booking,
            {
                "ResourceId": resource, "CoworkerId": coworker,
                "FromTime": now + timedelta(days=day), "ToTime": now + timedelta(days=day, hours=1),
            },
            now, _ACTOR,
        )
        for day in range(1, WIDE + 1)
    ]  # fmt: skip
    return coworker, await session.insert(Booking, bookings)


def _basket(path: str, coworker: int, business: int, items: Sequence[tuple[int, float]]) -> HttpRequest:
    sources = [{"Kind": "booking", "Id": booking, "Amount": amount} for booking, amount in items]
    body = {"CoworkerId": coworker, "BusinessId": business, "Sources": sources}
    return HttpRequest("POST", f"/api/ledger/{path}", json.dumps(body))
