"""Seeds a database: the demo data, and credits that are large enough for every spend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, issue_token
from creditdesk.demo.load import load_demo
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.corrections import NewCredit, grant
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.settings import AuthSettings

SPEND_CREDITS: Final = 1000
CREDITS_PER_CUSTOMER: Final = 5
PAGE_ROWS: Final = 25
MIN_CREDIT_USES: Final = 5
"""A customer in list scenarios has at least PAGE_ROWS uses, a credit MIN_CREDIT_USES."""
VARIANTS: Final = 100
"""The number of variants of each read, sent in random order."""
_LARGE_AMOUNT: Final = 1_000_000_0000
_SEED: Final = 1
_ACTOR_EMAIL: Final = "bench@example.com"
_USES: Final = "coworker_booking_credit_use_history"


@dataclass(frozen=True, slots=True)
class BookingCase:
    """A booking whose customer has CREDITS_PER_CUSTOMER credits that may pay for it."""

    coworker_id: int
    business_id: int
    booking_id: int


@dataclass(frozen=True, slots=True)
class SeedData:
    """The seeded records. `spend_credits` are for the server, `ceiling_credits` for the ceiling; `since` to
    `until` is the later half of all uses.
    """

    token: str
    uses: int
    customers: tuple[tuple[int, int], ...]
    listed_credits: tuple[int, ...]
    use_ids: tuple[int, ...]
    since: datetime
    until: datetime
    spend_credits: range
    ceiling_credits: range
    booking_cases: tuple[BookingCase, ...]


async def seed(store: Store, uses: int, auth: AuthSettings) -> SeedData:
    """Creates about `uses` uses of both types unless there are some, and returns the records to use."""
    now = datetime.now(UTC).replace(microsecond=0)
    if not await _rows(store, f"SELECT id FROM {_USES} LIMIT 1"):
        await load_demo(store, uses, _SEED, NullReporter())
    random = Random(_SEED)
    uses, last = (await _rows(store, f"SELECT count(*), max(created_on) FROM {_USES}"))[0]
    customers = await _rows(
        store,
        "SELECT c.coworker_id, c.business_id, count(*) FROM coworker_booking_credit_use_history h "
        "JOIN coworker_booking_credit c ON c.id = h.coworker_booking_credit_id "
        f"GROUP BY c.coworker_id, c.business_id HAVING count(*) >= {PAGE_ROWS} ORDER BY c.coworker_id",
    )
    credits_ = await _rows(
        store,
        "SELECT coworker_booking_credit_id, count(*) FROM coworker_booking_credit_use_history "
        f"GROUP BY coworker_booking_credit_id HAVING count(*) >= {MIN_CREDIT_USES} "
        "ORDER BY coworker_booking_credit_id",
    )
    middle = await _rows(store, f"SELECT created_on FROM {_USES} ORDER BY created_on LIMIT 1 OFFSET {uses // 2}")
    tills, visits = await _add_spend_credits(store, now)
    chosen = [random.randint(1, uses) for _ in range(min(VARIANTS, uses))]
    return SeedData(
        token=await _token(store, auth, now),
        uses=uses,
        customers=tuple((row[0], row[1]) for row in _sample_rows(random, customers)),
        listed_credits=tuple(row[0] for row in _sample_rows(random, credits_)),
        use_ids=tuple(chosen),
        since=_parse_datetime(middle[0][0]),
        until=_parse_datetime(last),
        spend_credits=tills[:SPEND_CREDITS],
        ceiling_credits=tills[-SPEND_CREDITS:],
        booking_cases=visits,
    )


def _sample_rows(random: Random, rows: list[Any]) -> list[Any]:
    return random.sample(rows, min(VARIANTS, len(rows)))


async def _add_spend_credits(store: Store, now: datetime) -> tuple[range, tuple[BookingCase, ...]]:
    """Credits of their own customers, five for each, with a booking for the first customers."""
    (resource, business) = (await _rows(store, "SELECT id, business_id FROM resource"))[0]
    names = [f"Bench {n}" for n in range(SPEND_CREDITS + SPEND_CREDITS // CREDITS_PER_CUSTOMER)]
    async with store.write_session() as unit:
        people = await unit.insert(
            Coworker,
            [new_record(Coworker, {"FullName": name, "Businesses": (business,)}, now, _ACTOR_EMAIL) for name in names],
        )
        given = {"BusinessId": business, "Description": "Till", "CaneBeUsedForBookings": True}
        owners = [person for person in people for _ in range(CREDITS_PER_CUSTOMER)]
        context = RequestContext(Principal(0, _ACTOR_EMAIL, unrestricted=True), now)
        ids = await grant(
            unit,
            MONEY_MAPPING,
            [NewCredit(_LARGE_AMOUNT, {**given, "CoworkerId": owner}) for owner in owners],
            context,
            LedgerContext(lambda: now),
        )
        times = {"FromTime": now + timedelta(days=1), "ToTime": now + timedelta(days=1, hours=2)}
        ours = people[:SPEND_CREDITS]
        bookings = await unit.insert(
            Booking,
            [
                new_record(Booking, {"ResourceId": resource, "CoworkerId": who, **times}, now, _ACTOR_EMAIL)
                for who in ours
            ],
        )
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    visits = (BookingCase(who, business, booking) for who, booking in zip(ours, bookings, strict=True))
    return range(ids[0], ids[0] + len(ids)), tuple(visits)


async def _token(store: Store, settings: AuthSettings, now: datetime) -> str:
    secret = await signing_secret(store, settings, now)
    async with store.write_session() as unit:
        user = await find_user_id(unit, _ACTOR_EMAIL)
        if user is None:
            user = await create_user(unit, _ACTOR_EMAIL, None, "Bench", is_admin=True, now=now)
        grant = await issue_token(unit, user, secret, settings, now=now)
    return grant.access_token


async def _rows(store: Store, text: str) -> list[Any]:
    async with store.read_session() as reading:
        # The sessions of both engines run plain SQL; the protocol does not offer it.
        return list(await reading.fetch(text, ()))  # type: ignore[attr-defined]


def _parse_datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
