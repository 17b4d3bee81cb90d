"""Fills a database: the demo's operator, and credits of the run's own that never run dry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from creditdesk.auth.settings import AuthSettings
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, issue_token, user_with_email
from creditdesk.demo.load import tell
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.ledger.journal.mapping import new_record
from creditdesk.schema.repository import Store

SPENT_CREDITS: Final = 1000
CANDIDATES: Final = 5
PAGE: Final = 25
CREDIT_USES: Final = 5
"""A customer asked about has at least a page of uses, a credit so many."""
VARIANTS: Final = 100
"""So many forms of each reading question, asked in random order."""
_DEEP_POCKET: Final = 1_000_000_0000
_SEED: Final = 1
_ACTOR: Final = "bench@example.com"
_USES: Final = "coworker_booking_credit_use_history"


@dataclass(frozen=True, slots=True)
class Visit:
    """A booking whose customer has as many credits that could pay as there are candidates."""

    coworker: int
    business: int
    booking: int


@dataclass(frozen=True, slots=True)
class Filled:
    """What there is to ask for. `tills` are for our spends, `ceiling_tills` for the ceiling's;
    `since` to `until` are the later half of all uses."""

    token: str
    uses: int
    customers: tuple[tuple[int, int], ...]
    credits: tuple[int, ...]
    use_ids: tuple[int, ...]
    since: datetime
    until: datetime
    tills: range
    ceiling_tills: range
    visits: tuple[Visit, ...]


class _Silent:
    def advance(self, rows: int) -> None:
        """Nobody watches."""


async def fill(store: Store, uses: int) -> Filled:
    """Writes about so many uses of both kinds, unless there are some, and tells what is there."""
    now = datetime.now(UTC).replace(microsecond=0)
    if not await _rows(store, f"SELECT id FROM {_USES} LIMIT 1"):
        await tell(store, uses, _SEED, _Silent())
    random = Random(_SEED)
    uses, last = (await _rows(store, f"SELECT count(*), max(created_on) FROM {_USES}"))[0]
    customers = await _rows(
        store,
        "SELECT c.coworker_id, c.business_id, count(*) FROM coworker_booking_credit_use_history h "
        "JOIN coworker_booking_credit c ON c.id = h.coworker_booking_credit_id "
        f"GROUP BY c.coworker_id, c.business_id HAVING count(*) >= {PAGE} ORDER BY c.coworker_id",
    )
    credits_ = await _rows(
        store,
        "SELECT coworker_booking_credit_id, count(*) FROM coworker_booking_credit_use_history "
        f"GROUP BY coworker_booking_credit_id HAVING count(*) >= {CREDIT_USES} "
        "ORDER BY coworker_booking_credit_id",
    )
    middle = await _rows(
        store, f"SELECT created_on FROM {_USES} ORDER BY created_on LIMIT 1 OFFSET {uses // 2}"
    )
    tills, visits = await _tills(store, now)
    chosen = [random.randint(1, uses) for _ in range(min(VARIANTS, uses))]
    return Filled(
        token=await _token(store, now),
        uses=uses,
        customers=tuple((row[0], row[1]) for row in _some(random, customers)),
        credits=tuple(row[0] for row in _some(random, credits_)),
        use_ids=tuple(chosen),
        since=_instant(middle[0][0]),
        until=_instant(last),
        tills=tills[:SPENT_CREDITS],
        ceiling_tills=tills[-SPENT_CREDITS:],
        visits=visits,
    )


def _some(random: Random, rows: list[Any]) -> list[Any]:
    return random.sample(rows, min(VARIANTS, len(rows)))


async def _tills(store: Store, now: datetime) -> tuple[range, tuple[Visit, ...]]:
    """Credits at customers of their own, five at each: a booking for each of as many customers as
    credits are spent on, and after them the customers of the ceiling's credits."""
    (resource, business) = (await _rows(store, "SELECT id, business_id FROM resource"))[0]
    names = [f"Bench {n}" for n in range(SPENT_CREDITS + SPENT_CREDITS // CANDIDATES)]
    async with store.writing() as unit:
        people = await unit.insert(
            Coworker,
            [
                new_record(Coworker, {"FullName": name, "Businesses": (business,)}, now, _ACTOR)
                for name in names
            ],
        )
        given = {
            "BusinessId": business, "Description": "Till", "CaneBeUsedForBookings": True,
            "TotalCredit": _DEEP_POCKET, "RemainingCredit": _DEEP_POCKET,
        }  # fmt: skip
        owners = [person for person in people for _ in range(CANDIDATES)]
        ids = await unit.insert(
            CoworkerBookingCredit,
            [
                new_record(CoworkerBookingCredit, {**given, "CoworkerId": owner}, now, _ACTOR)
                for owner in owners
            ],
        )
        times = {"FromTime": now + timedelta(days=1), "ToTime": now + timedelta(days=1, hours=2)}
        ours = people[:SPENT_CREDITS]
        bookings = await unit.insert(
            Booking,
            [
                new_record(
                    Booking, {"ResourceId": resource, "CoworkerId": who, **times}, now, _ACTOR
                )
                for who in ours
            ],
        )
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    visits = (Visit(who, business, booking) for who, booking in zip(ours, bookings, strict=True))
    return range(ids[0], ids[0] + len(ids)), tuple(visits)


async def _token(store: Store, now: datetime) -> str:
    settings = AuthSettings()
    secret = await signing_secret(store, settings, now)
    async with store.writing() as unit:
        user = await user_with_email(unit, _ACTOR)
        if user is None:
            user = await create_user(unit, _ACTOR, None, "Bench", is_admin=True, now=now)
        grant = await issue_token(unit, user, secret, settings, now=now)
    return grant.access_token


async def _rows(store: Store, text: str) -> list[Any]:
    async with store.reading() as reading:
        # Questions that no caller may put; both engines' units answer plain SQL.
        return list(await reading.fetch(text, ()))  # type: ignore[attr-defined]


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
