"""A cap per member on a team's shared credit (rule 16)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_basket_for_update
from creditdesk.ledger.operations.bookings import (
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.operations.corrections import reverse
from creditdesk.ledger.operations.draw import SpendPlan
from creditdesk.ledger.operations.holds import confirm_hold, release_hold
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import FindQuery
from creditdesk.schema.service import Principal, RequestContext
from creditdesk.storage.engine import open_store
from creditdesk.transfer.export import export_records
from creditdesk.transfer.importer import Importer
from tests.support.ledger_builder import ADMIN_PRINCIPAL, MONEY_USE, money
from tests.support.progress import CollectingReporter
from tests.support.shared_team import (
    DAY,
    MONEY_CREDIT,
    MONTH,
    PRINTING_CREDIT,
    TIME_CREDIT,
    SharedTeam,
)
from tests.support.spending import execute_spend


async def test_rule_16_uses_in_the_period_reduce_the_cap(shared_team: SharedTeam) -> None:
    credit = await shared_team.pool()
    await shared_team.cap("30.00")
    assert await shared_team.covered("20.00") == money("20.00")
    assert await shared_team.covered("20.00") == money("10.00")
    assert await shared_team.covered("20.00") == 0
    assert await shared_team.ledger.remaining_money(credit) == money("70.00")


async def test_rule_16_uses_before_the_cap_was_set_count(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    assert await shared_team.covered("25.00") == money("25.00")
    await shared_team.cap("30.00")
    assert await shared_team.covered("20.00") == money("5.00")


async def test_rule_16_the_cap_holds_over_all_credits_of_the_pool(shared_team: SharedTeam) -> None:
    first, second = await shared_team.pool("15.00"), await shared_team.pool("50.00")
    await shared_team.cap("20.00")
    assert await shared_team.covered("40.00") == money("20.00")
    assert await shared_team.ledger.remaining_money(first) == 0
    assert await shared_team.ledger.remaining_money(second) == money("45.00")


async def test_rule_16_each_member_has_its_own_cap(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    await shared_team.cap("30.00")
    other = await shared_team.ledger.add_customer("Bob")
    async with shared_team.ledger.store.write_session() as session:
        members = (shared_team.payer, shared_team.ledger.customer, other)
        await session.update(Team, [(shared_team.team, {"TeamMembers": members})])
    assert await shared_team.covered("30.00") == money("30.00")
    assert await shared_team.covered("50.00", member=other) == money("30.00")


async def test_rule_16_the_paying_members_own_credit_is_not_capped(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    await shared_team.cap("30.00")
    assert await shared_team.covered("80.00", member=shared_team.payer) == money("80.00")


async def test_rule_16_own_credit_does_not_count_toward_the_cap(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    await shared_team.ledger.add_money_credit("40.00", IsUniversalCredit=True)
    await shared_team.cap("30.00")
    assert await shared_team.covered("100.00") == money("70.00")
    assert await shared_team.covered("100.00") == 0


async def test_rule_16_the_cap_resets_at_the_locations_midnight(shared_team: SharedTeam) -> None:
    shared_team.ledger.now = datetime(2026, 3, 10, 10, 59, tzinfo=UTC)
    await shared_team.pool()
    await shared_team.ledger.add_location_profile("Pacific/Auckland")
    await shared_team.cap("30.00", period=DAY)
    assert await shared_team.covered("20.00") == money("20.00")
    assert await shared_team.covered("20.00") == money("10.00")
    shared_team.ledger.now = datetime(2026, 3, 10, 11, tzinfo=UTC)
    assert await shared_team.covered("40.00") == money("30.00")


async def test_rule_16_the_recording_time_decides_the_period(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    await shared_team.cap("30.00", period=DAY)
    midnight = datetime(2026, 3, 11, tzinfo=UTC)
    shared_team.ledger.now = midnight - timedelta(seconds=1)
    assert await shared_team.covered("30.00") == money("30.00")
    requested_before = shared_team.ledger.request_context()
    # The request came before midnight and got its locks after it.
    shared_team.ledger.now = midnight
    assert await shared_team.covered("30.00", call=requested_before) == money("30.00")
    assert await shared_team.covered("1.00") == 0


async def test_rule_16_the_lowest_of_several_caps_applies(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    await shared_team.cap("50.00")
    await shared_team.cap("20.00", period=DAY)
    assert await shared_team.covered("100.00") == money("20.00")
    shared_team.ledger.now += timedelta(days=1)
    assert await shared_team.covered("100.00") == money("20.00")
    shared_team.ledger.now += timedelta(days=1)
    assert await shared_team.covered("100.00") == money("10.00")


async def test_rule_30_reversed_uses_do_not_count_toward_the_cap(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    await shared_team.cap("30.00")
    await shared_team.spend("30.00")
    (use,) = await shared_team.ledger.find(MONEY_USE)
    async with shared_team.ledger.store.write_session() as session:
        await reverse(
            session,
            MONEY_MAPPING,
            [use["Id"]],
            shared_team.ledger.request_context(),
            shared_team.ledger.context,
            amount=money("12.00"),
        )
    assert await shared_team.covered("50.00") == money("12.00")


async def test_rule_26_held_amounts_count_once(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    await shared_team.cap("30.00")
    first, second = await shared_team.hold("20.00", 101), await shared_team.hold("6.00", 102)
    assert await shared_team.covered("50.00") == money("4.00")
    async with shared_team.ledger.store.write_session() as session:
        await confirm_hold(session, first or 0, shared_team.ledger.request_context(), shared_team.ledger.context)
    assert await shared_team.covered("50.00") == 0
    async with shared_team.ledger.store.write_session() as session:
        await release_hold(session, second or 0, shared_team.ledger.request_context(), shared_team.ledger.context)
    assert await shared_team.covered("50.00") == money("6.00")


async def test_rule_26_a_hold_of_an_earlier_period_is_confirmed_within_the_cap(
    shared_team: SharedTeam,
) -> None:
    await shared_team.pool()
    await shared_team.cap("30.00")
    held = await shared_team.hold("20.00", 101)
    shared_team.ledger.now += timedelta(days=40)
    assert await shared_team.covered("50.00") == money("10.00")
    async with shared_team.ledger.store.write_session() as session:
        await confirm_hold(session, held or 0, shared_team.ledger.request_context(), shared_team.ledger.context)
    assert await shared_team.covered("50.00") == 0


async def test_rule_26_a_sources_own_hold_does_not_reduce_its_cap(shared_team: SharedTeam) -> None:
    await shared_team.pool()
    await shared_team.cap("30.00")
    await shared_team.hold("30.00", 500)
    assert await shared_team.covered("30.00", id=500) == money("30.00")


async def test_rule_25_recalculation_excludes_the_bookings_own_uses(
    shared_team: SharedTeam,
) -> None:
    await shared_team.pool()
    await shared_team.cap("40.00")
    booking = await shared_team.ledger.add_booking(hours=2)
    context, ledger = shared_team.ledger.request_context(), shared_team.ledger.context
    async with shared_team.ledger.store.write_session() as session:
        await charge_bookings(session, [booking], context, ledger)
    for only_show in (True, False):
        async with shared_team.ledger.store.write_session() as session:
            found = await recalculate_booking(session, booking, context, ledger, dry_run=only_show)
        assert found.after == found.before
    assert await shared_team.covered("5.00") == 0
    async with shared_team.ledger.store.write_session() as session:
        await cancel_bookings(session, [booking], context, ledger)
    assert await shared_team.covered("50.00") == money("40.00")


async def test_rule_16_time_is_capped_in_whole_uses(shared_team: SharedTeam) -> None:
    credit = await shared_team.ledger.add_time_credit(600, CoworkerId=shared_team.payer)
    await shared_team.cap("90.00", kind=TIME_CREDIT)
    bookings = [await shared_team.ledger.add_booking(hours=1) for _ in range(2)]
    async with shared_team.ledger.store.write_session() as session:
        await charge_bookings(session, bookings, shared_team.ledger.request_context(), shared_team.ledger.context)
    assert await shared_team.ledger.remaining_uses(credit) == 510


async def test_rule_16_printing_and_time_are_capped_separately(shared_team: SharedTeam) -> None:
    rate = await shared_team.ledger.add_rate(5, "1.00", IsPrintingCredit=True)
    credit = await shared_team.ledger.add_time_credit(600, CoworkerId=shared_team.payer, ExtraServiceId=rate)
    await shared_team.cap("10.00", kind=TIME_CREDIT)
    await shared_team.cap("50.00", kind=PRINTING_CREDIT)

    async def printed(units: int) -> list[str]:
        item = ItemRequest(SourceKind.PRINT_JOB, units, print_units=units)
        context = shared_team.ledger.request_context()
        async with shared_team.ledger.store.write_session() as session:
            buyer = Buyer(shared_team.ledger.customer, shared_team.ledger.business)
            basket = await load_basket_for_update(session, buyer, [item], context)
            result = await execute_spend(
                session,
                SpendPlan(basket, context, shared_team.ledger.context),
                shared_team.ledger.context,
            )
            return [seen.reason.value for seen in result.allocation.sources[0].considered]

    assert await printed(40) == ["used"]
    assert await printed(11) == ["member_cap"]
    assert await printed(10) == ["used"]
    assert await shared_team.ledger.remaining_uses(credit) == 550


async def test_rule_8_a_posted_use_counts_but_is_not_capped(shared_team: SharedTeam) -> None:
    credit = await shared_team.pool()
    await shared_team.cap("30.00")
    booking = await shared_team.ledger.add_booking(hours=1)
    attendance = await shared_team.ledger.add(
        EventAttendee,
        FullName="Ada",
        CoworkerId=shared_team.ledger.customer,
        BusinessId=shared_team.ledger.business,
    )
    await shared_team.ledger.post_use(credit, "15.00", BookingId=booking)
    await shared_team.ledger.post_use(credit, "10.00", EventAttendeeId=attendance)
    assert await shared_team.covered("50.00") == money("5.00")
    await shared_team.ledger.post_use(credit, "50.00")
    assert await shared_team.ledger.remaining_money(credit) == money("20.00")


async def test_an_entry_records_the_member_who_drew(shared_team: SharedTeam) -> None:
    own, credit = (
        await shared_team.ledger.add_money_credit("1.00", IsUniversalCredit=True),
        await shared_team.pool(),
    )
    await shared_team.spend("5.00")
    assert [line["MemberId"] for line in await shared_team.ledger.journal_lines("money", own)] == [
        None,
        None,
    ]
    lines = await shared_team.ledger.journal_lines("money", credit)
    assert [(line["Kind"], line["MemberId"]) for line in lines] == [
        ("grant", None),
        ("use", shared_team.ledger.customer),
    ]


async def test_rule_16_uses_of_credit_hidden_from_the_caller_count(shared_team: SharedTeam) -> None:
    ledger = shared_team.ledger
    elsewhere = await ledger.add(Business, Name="Wharf", CurrencyId=ledger.currency)
    await shared_team.pool()
    await shared_team.pool(BusinessId=elsewhere)
    await shared_team.cap("30.00")
    here, there = (
        RequestContext(Principal(9, "staff@example.com", locations=frozenset({place})), ledger.now)
        for place in (ledger.business, elsewhere)
    )
    async with ledger.store.write_session() as session:
        places = {"Businesses": (ledger.business, elsewhere)}
        await session.update(Coworker, [(ledger.customer, places)])
    assert await shared_team.covered("20.00", call=here) == money("20.00")
    assert await shared_team.covered("20.00", call=there, business=elsewhere) == money("10.00")


@pytest.mark.parametrize("turn", range(3))
async def test_rule_31_concurrent_spends_on_separate_credits_stay_within_the_cap(
    shared_team: SharedTeam, turn: int
) -> None:
    """Two principals see credit of their own locations only, so no credit is locked by both."""
    ledger = shared_team.ledger
    elsewhere = await ledger.add(Business, Name="Wharf", CurrencyId=ledger.currency)
    credits_ = [await shared_team.pool(), await shared_team.pool(BusinessId=elsewhere)]
    await shared_team.cap("30.00")
    async with ledger.store.write_session() as session:
        places = {"Businesses": (ledger.business, elsewhere)}
        await session.update(Coworker, [(ledger.customer, places)])
    callers = [
        (
            place,
            RequestContext(Principal(9, "staff@example.com", locations=frozenset({place})), ledger.now),
        )
        for place in (ledger.business, elsewhere)
    ]
    covered = await asyncio.gather(
        *(shared_team.covered("7.00", call=context, business=place) for _ in range(4) for place, context in callers)
    )
    assert sum(covered) == money("30.00")
    left = [(await ledger.get(CoworkerBookingCredit, c))["RemainingCredit"] for c in credits_]
    assert sum(left) == money("170.00")
    drawn = await ledger.find(JournalLine, Kind="use", MemberId=ledger.customer)
    assert sum(line["Amount"] for line in drawn) == money("30.00")


async def test_caps_survive_export_and_import(
    shared_team: SharedTeam, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    await shared_team.cap("30.00")
    await shared_team.cap("45.00", kind=TIME_CREDIT, period=DAY)
    await export_records(shared_team.ledger.store, tmp_path / "first", CollectingReporter())
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "other.db")
    other = await open_store(f"sqlite:///{tmp_path}/other.db")
    report = CollectingReporter()
    await Importer(other, report, shared_team.ledger.now).run(tmp_path / "first")
    async with other.read_session() as session:
        found = await session.find(PoolCap)
    await other.close()
    assert report.problems == []
    assert [(c["TeamName"], c["CreditKind"], c["Period"], c["Amount"]) for c in found] == [
        ("Cog", MONEY_CREDIT, MONTH, money("30.00")),
        ("Cog", TIME_CREDIT, DAY, money("45.00")),
    ]


class Counting:
    """A session that counts the queries on one entity."""

    def __init__(self, session: Any) -> None:
        self.unit = session
        self.queried: list[str] = []

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        self.queried += [question.entity.__name__ for question in queries]
        found: list[list[Record]] = await self.unit.find_many(queries)
        return found

    def __getattr__(self, name: str) -> Any:
        def noted(entity: Any, *given: Any, **named: Any) -> Any:
            self.queried.append(entity.__name__)
            return getattr(self.unit, name)(entity, *given, **named)

        return noted


async def statements_of_a_basket(shared_team: SharedTeam) -> list[str]:
    async with shared_team.ledger.store.write_session() as session:
        counting: Any = Counting(session)
        item = ItemRequest(SourceKind.CHARGE, 1, money("1.00"))
        buyer = Buyer(shared_team.ledger.customer, shared_team.ledger.business)
        await load_basket_for_update(
            counting, buyer, [item], shared_team.ledger.request_context(caller=ADMIN_PRINCIPAL)
        )
        queried_entities: list[str] = counting.queried
        return queried_entities


async def test_caps_cost_one_statement_with_a_team_and_none_without(
    shared_team: SharedTeam,
) -> None:
    await shared_team.ledger.add_money_credit("1.00")
    assert PoolCap.__name__ not in await statements_of_a_basket(shared_team)
    await shared_team.pool()
    queried = await statements_of_a_basket(shared_team)
    assert queried.count(PoolCap.__name__) == 1
    assert JournalLine.__name__ not in queried
