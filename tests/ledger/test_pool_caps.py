"""A cap per member on a team's shared credit, kept whatever the path and the company (rule 16)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
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
from creditdesk.ledger.journal.mapping import MONEY
from creditdesk.ledger.loaders.sources import Asked, Whose
from creditdesk.ledger.operations.baskets import basket_to_draw
from creditdesk.ledger.operations.bookings import (
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.operations.corrections import reverse
from creditdesk.ledger.operations.draw import Drawing, held_for, spend
from creditdesk.ledger.operations.holds import confirm, hold, release
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.ledger.rules.credit import LedgerPolicy, SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.progress import Gathered
from creditdesk.schema.repository import Question
from creditdesk.schema.service import Call, Caller
from creditdesk.storage.engine import open_store
from creditdesk.transfer.export import export_records
from creditdesk.transfer.importer import Import
from tests.ledger.town import ADMIN, MONEY_USE, Town, money

MONEY_CREDIT, TIME_CREDIT, PRINTING_CREDIT = 1, 2, 3
DAY, MONTH = 1, 3


@dataclass
class Club:
    """A team whose paying member shares credit, and a member of it at the desk."""

    town: Town
    payer: int
    team: int
    charges: int = 0

    async def cap(self, amount: str, kind: int = MONEY_CREDIT, period: int = MONTH) -> int:
        return await self.town.add(
            PoolCap, TeamId=self.team, CreditKind=kind, Period=period, Amount=money(amount)
        )

    async def pool(self, total: str = "100.00", **values: Any) -> int:
        given = {"CoworkerId": self.payer, "IsUniversalCredit": True, **values}
        return await self.town.add_money(total, **given)

    async def spend(
        self, amount: str, member: int | None = None, call: Call | None = None, **given: Any
    ) -> Allocation:
        """Pays a charge of a member: the one at the desk, unless another is named."""
        self.charges += 1
        asked = Asked(SourceKind.CHARGE, given.get("id", self.charges), money(amount))
        whose = Whose(member or self.town.customer, given.get("business", self.town.business))
        call = call or self.town.call()
        async with self.town.store.writing() as unit:
            basket = await basket_to_draw(unit, whose, [asked], call)
            holds = await held_for(unit, SourceKey(SourceKind.CHARGE, asked.id))
            drawing = Drawing(basket, call, self.town.policy, holds)
            return (await spend(unit, drawing, self.town.desk))[0]

    async def covered(self, amount: str, **given: Any) -> int:
        found = (await self.spend(amount, **given)).sources[0]
        return found.price - found.uncovered

    async def hold(self, amount: str, source: int) -> int | None:
        asked = Asked(SourceKind.CHARGE, source, money(amount))
        async with self.town.store.writing() as unit:
            whose = Whose(self.town.customer, self.town.business)
            basket = await basket_to_draw(unit, whose, [asked], self.town.call())
            return (await hold(unit, basket, self.town.call(), self.town.desk)).group


@pytest.fixture
async def club(town: Town) -> Club:
    payer = await town.add_customer("Paula")
    team = await town.add(
        Team,
        Name="Cog",
        BusinessId=town.business,
        PayingMemberId=payer,
        ShareBookingCredit=True,
        ShareExtraServices=True,
        TeamMembers=(payer, town.customer),
    )
    return Club(town, payer, team)


async def test_rule_16_what_a_member_drew_in_the_period_comes_off_its_cap(club: Club):
    credit = await club.pool()
    await club.cap("30.00")
    assert await club.covered("20.00") == money("20.00")
    assert await club.covered("20.00") == money("10.00")
    assert await club.covered("20.00") == 0
    assert await club.town.money_left(credit) == money("70.00")


async def test_rule_16_draws_before_the_cap_was_set_count_too(club: Club):
    await club.pool()
    assert await club.covered("25.00") == money("25.00")
    await club.cap("30.00")
    assert await club.covered("20.00") == money("5.00")


async def test_rule_16_the_cap_holds_over_all_credits_of_the_pool(club: Club):
    first, second = await club.pool("15.00"), await club.pool("50.00")
    await club.cap("20.00")
    assert await club.covered("40.00") == money("20.00")
    assert await club.town.money_left(first) == 0
    assert await club.town.money_left(second) == money("45.00")


async def test_rule_16_each_member_has_its_own(club: Club):
    await club.pool()
    await club.cap("30.00")
    other = await club.town.add_customer("Bob")
    async with club.town.store.writing() as unit:
        members = (club.payer, club.town.customer, other)
        await unit.update(Team, [(club.team, {"TeamMembers": members})])
    assert await club.covered("30.00") == money("30.00")
    assert await club.covered("50.00", member=other) == money("30.00")


async def test_rule_16_the_paying_member_has_none_on_its_own_credit(club: Club):
    await club.pool()
    await club.cap("30.00")
    assert await club.covered("80.00", member=club.payer) == money("80.00")


async def test_rule_16_own_credit_is_beside_the_cap(club: Club):
    await club.pool()
    await club.town.add_money("40.00", IsUniversalCredit=True)
    await club.cap("30.00")
    assert await club.covered("100.00") == money("70.00")
    assert await club.covered("100.00") == 0


async def test_rule_16_the_cap_is_whole_again_when_the_locations_day_begins(club: Club):
    await club.pool()
    await club.town.add_profile("Pacific/Auckland")
    await club.cap("30.00", period=DAY)
    club.town.now = datetime(2026, 3, 10, 10, 59, tzinfo=UTC)
    assert await club.covered("20.00") == money("20.00")
    assert await club.covered("20.00") == money("10.00")
    club.town.now = datetime(2026, 3, 10, 11, tzinfo=UTC)
    assert await club.covered("40.00") == money("30.00")


async def test_rule_16_the_period_is_that_of_the_instant_the_use_is_recorded_at(club: Club):
    await club.pool()
    await club.cap("30.00", period=DAY)
    midnight = datetime(2026, 3, 11, tzinfo=UTC)
    club.town.now = midnight - timedelta(seconds=1)
    assert await club.covered("30.00") == money("30.00")
    asked_before = club.town.call()
    # The call came before midnight and got its locks after it.
    club.town.now = midnight
    assert await club.covered("30.00", call=asked_before) == money("30.00")
    assert await club.covered("1.00") == 0


async def test_rule_16_of_several_caps_the_lowest_counts(club: Club):
    await club.pool()
    await club.cap("50.00")
    await club.cap("20.00", period=DAY)
    assert await club.covered("100.00") == money("20.00")
    club.town.now += timedelta(days=1)
    assert await club.covered("100.00") == money("20.00")
    club.town.now += timedelta(days=1)
    assert await club.covered("100.00") == money("10.00")


async def test_rule_30_what_is_reversed_may_be_drawn_again(club: Club):
    await club.pool()
    await club.cap("30.00")
    await club.spend("30.00")
    (use,) = await club.town.rows(MONEY_USE)
    async with club.town.store.writing() as unit:
        await reverse(
            unit, MONEY, [use["Id"]], club.town.call(), club.town.desk, amount=money("12.00")
        )
    assert await club.covered("50.00") == money("12.00")


async def test_rule_26_what_is_held_counts_and_is_not_counted_twice(club: Club):
    await club.pool()
    await club.cap("30.00")
    first, second = await club.hold("20.00", 101), await club.hold("6.00", 102)
    assert await club.covered("50.00") == money("4.00")
    async with club.town.store.writing() as unit:
        await confirm(unit, first or 0, club.town.call(), club.town.desk)
    assert await club.covered("50.00") == 0
    async with club.town.store.writing() as unit:
        await release(unit, second or 0, club.town.call(), club.town.desk)
    assert await club.covered("50.00") == money("6.00")


async def test_rule_26_a_hold_of_an_earlier_period_is_confirmed_within_the_cap(club: Club):
    await club.pool()
    await club.cap("30.00")
    held = await club.hold("20.00", 101)
    club.town.now += timedelta(days=40)
    assert await club.covered("50.00") == money("10.00")
    async with club.town.store.writing() as unit:
        await confirm(unit, held or 0, club.town.call(), club.town.desk)
    assert await club.covered("50.00") == 0


async def test_rule_26_what_is_held_for_the_source_itself_is_there_to_pay_it(club: Club):
    await club.pool()
    await club.cap("30.00")
    await club.hold("30.00", 500)
    assert await club.covered("30.00", id=500) == money("30.00")


async def test_rule_25_a_booking_decided_again_has_its_own_draw_back(club: Club):
    await club.pool()
    await club.cap("40.00")
    booking = await club.town.add_booking(hours=2)
    call, desk = club.town.call(), club.town.desk
    async with club.town.store.writing() as unit:
        await charge_bookings(unit, [booking], call, desk)
    for only_show in (True, False):
        async with club.town.store.writing() as unit:
            found = await recalculate_booking(unit, booking, call, desk, only_show=only_show)
        assert found.after == found.before
    assert await club.covered("5.00") == 0
    async with club.town.store.writing() as unit:
        await cancel_bookings(unit, [booking], call, desk)
    assert await club.covered("50.00") == money("40.00")


async def test_rule_16_time_is_capped_in_whole_uses(club: Club):
    credit = await club.town.add_time(600, CoworkerId=club.payer)
    await club.cap("90.00", kind=TIME_CREDIT)
    bookings = [await club.town.add_booking(hours=1) for _ in range(2)]
    async with club.town.store.writing() as unit:
        await charge_bookings(unit, bookings, club.town.call(), club.town.desk)
    assert await club.town.uses_left(credit) == 510


async def test_rule_16_printing_is_capped_apart_from_time(club: Club):
    rate = await club.town.add_rate(5, "1.00", IsPrintingCredit=True)
    credit = await club.town.add_time(600, CoworkerId=club.payer, ExtraServiceId=rate)
    await club.cap("10.00", kind=TIME_CREDIT)
    await club.cap("50.00", kind=PRINTING_CREDIT)

    async def printed(units: int) -> list[str]:
        asked = Asked(SourceKind.PRINT_JOB, units, print_units=units)
        call = club.town.call()
        async with club.town.store.writing() as unit:
            whose = Whose(club.town.customer, club.town.business)
            basket = await basket_to_draw(unit, whose, [asked], call)
            done, _ = await spend(unit, Drawing(basket, call, LedgerPolicy()), club.town.desk)
            return [seen.reason.value for seen in done.sources[0].considered]

    assert await printed(40) == ["used"]
    assert await printed(11) == ["member_cap"]
    assert await printed(10) == ["used"]
    assert await club.town.uses_left(credit) == 550


async def test_rule_8_a_posted_use_is_not_capped_but_counts(club: Club):
    credit = await club.pool()
    await club.cap("30.00")
    booking = await club.town.add_booking(hours=1)
    attendance = await club.town.add(
        EventAttendee, FullName="Ada", CoworkerId=club.town.customer, BusinessId=club.town.business
    )
    await club.town.use(credit, "15.00", BookingId=booking)
    await club.town.use(credit, "10.00", EventAttendeeId=attendance)
    assert await club.covered("50.00") == money("5.00")
    await club.town.use(credit, "50.00")
    assert await club.town.money_left(credit) == money("20.00")


async def test_a_line_says_which_member_drew_on_anothers_credit(club: Club):
    own, credit = await club.town.add_money("1.00", IsUniversalCredit=True), await club.pool()
    await club.spend("5.00")
    assert [line["MemberId"] for line in await club.town.lines("money", own)] == [None, None]
    lines = await club.town.lines("money", credit)
    assert [(line["Kind"], line["MemberId"]) for line in lines] == [
        ("grant", None),
        ("use", club.town.customer),
    ]


async def test_rule_16_draws_on_credit_that_the_caller_does_not_see_count(club: Club):
    town = club.town
    elsewhere = await town.add(Business, Name="Wharf", CurrencyId=town.currency)
    await club.pool()
    await club.pool(BusinessId=elsewhere)
    await club.cap("30.00")
    here, there = (
        Call(Caller(9, "staff@example.com", locations=frozenset({place})), town.now)
        for place in (town.business, elsewhere)
    )
    async with town.store.writing() as unit:
        places = {"Businesses": (town.business, elsewhere)}
        await unit.update(Coworker, [(town.customer, places)])
    assert await club.covered("20.00", call=here) == money("20.00")
    assert await club.covered("20.00", call=there, business=elsewhere) == money("10.00")


@pytest.mark.parametrize("turn", range(3))
async def test_rule_31_spends_at_once_on_separate_credits_never_pass_the_cap(club: Club, turn: int):
    """Two desks see credit of their own locations only, so no credit is locked by both."""
    town = club.town
    elsewhere = await town.add(Business, Name="Wharf", CurrencyId=town.currency)
    credits_ = [await club.pool(), await club.pool(BusinessId=elsewhere)]
    await club.cap("30.00")
    async with town.store.writing() as unit:
        places = {"Businesses": (town.business, elsewhere)}
        await unit.update(Coworker, [(town.customer, places)])
    callers = [
        (place, Call(Caller(9, "staff@example.com", locations=frozenset({place})), town.now))
        for place in (town.business, elsewhere)
    ]
    covered = await asyncio.gather(
        *(
            club.covered("7.00", call=call, business=place)
            for _ in range(4)
            for place, call in callers
        )
    )
    assert sum(covered) == money("30.00")
    left = [(await town.get(CoworkerBookingCredit, c))["RemainingCredit"] for c in credits_]
    assert sum(left) == money("170.00")
    drawn = await town.rows(JournalLine, Kind="use", MemberId=town.customer)
    assert sum(line["Amount"] for line in drawn) == money("30.00")


async def test_caps_go_out_with_the_files_and_come_in_again(
    club: Club, request: pytest.FixtureRequest, tmp_path: Path
):
    await club.cap("30.00")
    await club.cap("45.00", kind=TIME_CREDIT, period=DAY)
    await export_records(club.town.store, tmp_path / "first", Gathered())
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "other.db")
    other = await open_store(f"sqlite:///{tmp_path}/other.db")
    report = Gathered()
    await Import(other, report, club.town.now).run(tmp_path / "first")
    async with other.reading() as reading:
        found = await reading.find(PoolCap)
    await other.close()
    assert report.problems == []
    assert [(c["TeamName"], c["CreditKind"], c["Period"], c["Amount"]) for c in found] == [
        ("Cog", MONEY_CREDIT, MONTH, money("30.00")),
        ("Cog", TIME_CREDIT, DAY, money("45.00")),
    ]


class Counting:
    """A unit that counts the questions it is asked of one entity."""

    def __init__(self, unit: Any) -> None:
        self.unit = unit
        self.asked: list[str] = []

    async def find_all(self, questions: Sequence[Question]) -> list[list[Record]]:
        self.asked += [question.entity.__name__ for question in questions]
        found: list[list[Record]] = await self.unit.find_all(questions)
        return found

    def __getattr__(self, name: str) -> Any:
        def noted(entity: Any, *given: Any, **named: Any) -> Any:
            self.asked.append(entity.__name__)
            return getattr(self.unit, name)(entity, *given, **named)

        return noted


async def asked_of_a_basket(club: Club) -> list[str]:
    async with club.town.store.writing() as unit:
        counting: Any = Counting(unit)
        asked = Asked(SourceKind.CHARGE, 1, money("1.00"))
        whose = Whose(club.town.customer, club.town.business)
        await basket_to_draw(counting, whose, [asked], club.town.call(caller=ADMIN))
        return counting.asked


async def test_a_team_without_a_cap_costs_one_look_and_no_team_none(club: Club):
    await club.town.add_money("1.00")
    assert PoolCap.__name__ not in await asked_of_a_basket(club)
    await club.pool()
    asked = await asked_of_a_basket(club)
    assert asked.count(PoolCap.__name__) == 1
    assert JournalLine.__name__ not in asked
