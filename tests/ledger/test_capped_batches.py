"""Member caps over batches of baskets, and the one order of locks (rules 16, 31)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.loaders.items import BasketRequest, Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_baskets
from creditdesk.ledger.operations.bookings import charge_bookings, recalculate_booking
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import raise_first_error
from creditdesk.storage.session import BaseWriteSession
from tests.ledger.test_basket_batches import source_of
from tests.support.ledger_builder import money
from tests.support.shared_team import DAY, SharedTeam

SPENDS = "/api/ledger/spends"
PREVIEWS = "/api/ledger/previews"
HOLDS = "/api/ledger/holds"
ORDER = (Booking, Hold, PoolCap, CoworkerBookingCredit, CoworkerExtraService, AccountState)
"""The one order of locks: items, their holds, caps, credits, account states."""


async def add_members(shared_team: SharedTeam, count: int) -> list[int]:
    """Adds members to the team until there are `count` with its first one."""
    ledger = shared_team.ledger
    made = [ledger.customer, *[await ledger.add_customer(f"Member {n}") for n in range(1, count)]]
    async with ledger.store.write_session() as session:
        await session.update(Team, [(shared_team.team, {"TeamMembers": (shared_team.payer, *made)})])
    return made


def charge(shared_team: SharedTeam, member: int, number: int, amount: int) -> dict[str, Any]:
    source = {"Kind": "charge", "Id": number, "Amount": amount}
    return {"CoworkerId": member, "BusinessId": shared_team.ledger.business, "Sources": [source]}


@pytest.fixture
def locked_entities(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[type[Entity]]]:
    """Returns the entities of the records locked since the last call, in order of locking."""
    taken: dict[tuple[type[Entity], int], None] = {}
    real = BaseWriteSession.lock

    async def noted(
        self: BaseWriteSession,
        entity: type[Entity],
        ids: Any,
        columns: Any = (),
        *,
        skip_locked: Any = (),
    ) -> Any:
        taken.update(dict.fromkeys((entity, each) for each in sorted({*ids, *skip_locked})))
        return await real(self, entity, ids, columns, skip_locked=skip_locked)

    monkeypatch.setattr(BaseWriteSession, "lock", noted)

    def since() -> list[type[Entity]]:
        found = [entity for entity, _ in taken]
        taken.clear()
        return found

    return since


def is_in_order(locked: list[type[Entity]]) -> bool:
    places = [ORDER.index(entity) for entity in locked]
    return PoolCap in locked and places == sorted(places)


async def test_rule_16_concurrent_spends_apply_each_members_cap(
    shared_team: SharedTeam, client: httpx.AsyncClient
) -> None:
    people = await add_members(shared_team, 4)
    credit = await shared_team.pool("100.00")
    await shared_team.cap("20.00")
    bodies = [charge(shared_team, who, 10 * who + turn, 15) for turn in range(2) for who in people]
    answers = await asyncio.gather(*(client.post(SPENDS, json=body) for body in bodies))
    left = [source_of(answer)["uncovered"] for answer in answers]
    of_each = [sorted(left[place::4]) for place in range(4)]
    assert of_each == [["0.0000", "10.0000"]] * 4
    assert await shared_team.ledger.remaining_money(credit) == money("20.00")


async def test_rule_16_a_pool_smaller_than_its_caps_is_not_overdrawn(
    shared_team: SharedTeam, client: httpx.AsyncClient
) -> None:
    people = await add_members(shared_team, 4)
    credit = await shared_team.pool("50.00")
    await shared_team.cap("20.00")
    answers = await asyncio.gather(
        *(client.post(SPENDS, json=charge(shared_team, who, n, 30)) for n, who in enumerate(people, 1))
    )
    left = sorted(source_of(answer)["uncovered"] for answer in answers)
    assert left == ["10.0000", "10.0000", "20.0000", "30.0000"]
    assert await shared_team.ledger.remaining_money(credit) == 0


async def test_rule_19_concurrent_previews_count_each_members_draws(
    shared_team: SharedTeam, client: httpx.AsyncClient, counters: Counter[str]
) -> None:
    people = await add_members(shared_team, 3)
    await shared_team.pool("100.00")
    await shared_team.cap("20.00")
    for drawn, who in zip((0, 5, 20), people, strict=True):
        await client.post(SPENDS, json=charge(shared_team, who, 100 + who, drawn))
    counters.clear()
    answers = await asyncio.gather(*(client.post(PREVIEWS, json=charge(shared_team, who, who, 30)) for who in people))
    seen = [source_of(answer) for answer in answers]
    assert [each["uncovered"] for each in seen] == ["10.0000", "15.0000", "30.0000"]
    assert [each["considered"][0]["reason"] for each in seen] == ["used", "used", "member_cap"]
    assert counters["write_session"] == 0


async def test_loading_capped_baskets_takes_a_constant_number_of_statements(
    shared_team: SharedTeam, client: httpx.AsyncClient, counters: Counter[str]
) -> None:
    people = await add_members(shared_team, 6)
    await shared_team.pool("500.00")
    await shared_team.cap("20.00")
    await shared_team.cap("15.00", period=DAY)
    for who in people:
        await client.post(SPENDS, json=charge(shared_team, who, who, 5))
        await client.post(HOLDS, json=charge(shared_team, who, 100 + who, 3))
    place = shared_team.ledger.business
    requests = [
        BasketRequest(
            Buyer(who, place),
            (ItemRequest(SourceKind.CHARGE, 200 + who, money("9.00")),),
            shared_team.ledger.request_context(),
        )
        for who in people
    ]
    counts = []
    for baskets in (requests[:1], requests):
        counters.clear()
        async with shared_team.ledger.store.read_session() as session:
            read = await load_baskets(session, baskets)
        counts.append(counters["fetch"])
        lowest = [each.credits[0].member_cap_left for each in raise_first_error(read)]
        assert lowest == [money("7.00")] * len(baskets)
    assert counts[0] == counts[1]


async def test_rule_16_bookings_in_one_charge_stay_within_the_cap(shared_team: SharedTeam) -> None:
    ledger = shared_team.ledger
    ada, eve = await add_members(shared_team, 2)
    credit = await shared_team.pool("200.00", CaneBeUsedForBookings=True)
    await shared_team.cap("50.00")
    bookings = [await ledger.add_booking(hours=1, CoworkerId=who) for who in (ada, ada, eve, ada)]
    async with ledger.store.write_session() as session:
        charged = await charge_bookings(session, bookings, ledger.request_context(), ledger.context)
    assert [each.booking_id for each in charged] == bookings
    left = [each.allocation.sources[0].uncovered for each in charged if each.allocation]
    assert left == [0, 0, 0, money("10.00")]
    assert await ledger.remaining_money(credit) == money("130.00")


async def test_rule_31_all_operations_lock_in_one_order(
    shared_team: SharedTeam,
    client: httpx.AsyncClient,
    locked_entities: Callable[[], list[type[Entity]]],
) -> None:
    ledger = shared_team.ledger
    ada, eve = await add_members(shared_team, 2)
    await shared_team.pool("500.00", CaneBeUsedForBookings=True)
    for who in (eve, ada):
        await ledger.add_money_credit("10.00", CoworkerId=who)
    await ledger.add_time_credit(60)
    await shared_team.cap("400.00")
    await shared_team.cap("90.00", kind=2)
    bookings = [await ledger.add_booking(hours=3, CoworkerId=who) for who in (ada, ada, ada, eve)]
    for booking in bookings[1:3]:
        source = {"Kind": "booking", "Id": booking}
        locked_entities()
        held = await client.post(HOLDS, json={"CoworkerId": ada, "Sources": [source]})
        assert held.json()["Value"]["HoldId"]
        assert is_in_order(locked_entities())
    async with ledger.store.write_session() as session:
        await charge_bookings(session, bookings[:1], ledger.request_context(), ledger.context)
        locked_entities()
        charged = await charge_bookings(session, bookings, ledger.request_context(), ledger.context)
        assert [each.allocation is None for each in charged] == [True, False, False, False]
        assert is_in_order(locked_entities())
    locked_entities()
    async with ledger.store.write_session() as session:
        await recalculate_booking(session, bookings[1], ledger.request_context(), ledger.context)
    assert is_in_order(locked_entities())
    again = {"CoworkerId": ada, "Sources": [{"Kind": "booking", "Id": bookings[1]}]}
    locked_entities()
    await client.post(SPENDS, json=again)
    assert is_in_order(locked_entities())
