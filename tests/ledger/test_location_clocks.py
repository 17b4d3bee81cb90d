"""A location's clock: its time zone and booking interval, from its record or its profile (rule 20)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from creditdesk.app import build_app
from creditdesk.cli.program import FAILED, OK, run
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.simple_time_zone import SimpleTimeZone
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.repository import Store
from creditdesk.schema.time_zones import find_time_zone, parse_time_zone
from creditdesk.settings import Settings
from creditdesk.storage.engine import open_store
from creditdesk.transfer.importer import Importer
from tests.support.api_client import ApiClient, booking_item, created_id, succeeded
from tests.support.databases import run_in_thread
from tests.support.ledger_builder import LedgerBuilder
from tests.support.progress import CollectingReporter
from tests.support.users import create_location, create_user_token, http_client

PROFILES = "/api/ledger/locationprofiles"
BUSINESSES = "/api/sys/businesses"
EVENING = datetime(2026, 7, 1, 21, tzinfo=UTC)
"""In Madrid 23:00: two hours from here touch two local dates there, and one in UTC."""


@pytest_asyncio.fixture
async def mill(api: ApiClient, store: Store) -> AsyncIterator[ApiClient]:
    """A location of its own that was given no clock, with a customer."""
    yield replace(api, ledger=await LedgerBuilder.create(store))


async def price_of_evening(mill: ApiClient) -> str:
    """What two hours from 21:00 UTC cost at 10.00 a local date."""
    ledger = mill.ledger
    rate = await ledger.add_rate(2, "10.00", resource_types=())
    booking = await ledger.add_booking(FromTime=EVENING, ExtraServiceId=rate)
    (shown,) = await mill.preview(booking_item(booking))
    return str(shown["price"])


async def price_of_ten_minutes(mill: ApiClient) -> str:
    """What ten minutes cost at 60.00 an hour."""
    ledger = mill.ledger
    rate = await ledger.add_rate(1, "60.00", resource_types=())
    booking = await ledger.add_booking(FromTime=EVENING, ToTime=EVENING + timedelta(minutes=10), ExtraServiceId=rate)
    (shown,) = await mill.preview(booking_item(booking))
    return str(shown["price"])


async def test_rule_20_a_location_without_a_clock_counts_in_utc_and_15_minutes(mill: ApiClient) -> None:
    assert await price_of_evening(mill) == "10.0000"
    assert await price_of_ten_minutes(mill) == "15.0000"


async def test_rule_20_a_location_has_the_time_zone_of_its_record(mill: ApiClient) -> None:
    """By the id of a time zone that has Windows' name alone, as the imitated API may show it."""
    zone = await mill.ledger.add(SimpleTimeZone, Name="Romance Standard Time")
    path = f"{BUSINESSES}/{mill.ledger.business}"
    shown = await mill.get(path)
    assert succeeded(await mill.http.put(path, json={**shown, "Name": "Mill", "SimpleTimeZoneId": zone}))
    assert await price_of_evening(mill) == "20.0000"
    named = (await mill.get(f"/api/sys/simpletimezones/{zone}"))["Name"]
    assert named == "Romance Standard Time"


async def test_rule_20_a_profile_counts_before_the_record(mill: ApiClient) -> None:
    zone = await mill.ledger.add(SimpleTimeZone, Name="UTC", NameIana="Etc/UTC")
    async with mill.ledger.store.write_session() as session:
        await session.update(Business, [(mill.ledger.business, {"SimpleTimeZoneId": zone})])
    body = {"BusinessId": mill.ledger.business, "TimeZone": "Europe/Madrid", "BookingIntervalMinutes": 5}
    profile = created_id(await mill.post(PROFILES, body))
    assert (await price_of_evening(mill), await price_of_ten_minutes(mill)) == ("20.0000", "10.0000")
    changed = {"Id": profile, "BusinessId": mill.ledger.business, "BookingIntervalMinutes": 30}
    assert succeeded(await mill.http.put(PROFILES, json=changed))
    assert (await price_of_evening(mill), await price_of_ten_minutes(mill)) == ("10.0000", "30.0000")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("TimeZone", "Europe/Atlantis"),
        ("TimeZone", "Europe"),
        ("TimeZone", "../etc/passwd"),
        ("BookingIntervalMinutes", 0),
        ("BookingIntervalMinutes", 1441),
    ],
)
async def test_rule_20_an_impossible_clock_is_refused(mill: ApiClient, field: str, value: Any) -> None:
    answer = await mill.post(PROFILES, {"BusinessId": mill.ledger.business, field: value})
    assert answer.status_code == 400
    assert answer.json()["Errors"][0]["PropertyName"] == field
    assert await mill.ledger.find(LocationProfile, BusinessId=mill.ledger.business) == []


async def test_rule_20_a_location_has_one_profile(mill: ApiClient) -> None:
    body = {"BusinessId": mill.ledger.business, "TimeZone": "W. Europe Standard Time"}
    profile = created_id(await mill.post(PROFILES, body))
    assert (await mill.get(f"{PROFILES}/{profile}"))["TimeZone"] == "Europe/Berlin"
    assert (await mill.post(PROFILES, body)).status_code == 400


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("GMT Standard Time", "Europe/London"),
        ("Eastern Standard Time", "America/New_York"),
        (" Asia/Tokyo ", "Asia/Tokyo"),
        ("UTC", "UTC"),
        ("Lunar Standard Time", None),
        ("", None),
    ],
)
def test_time_zones_by_either_name(text: str, zone: str | None) -> None:
    assert find_time_zone(text) == zone
    if zone is None:
        with pytest.raises(ParseError, match="Europe/Madrid"):
            parse_time_zone(text)


def test_command_sets_and_shows_clocks(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    made: list[LedgerBuilder] = []

    async def add() -> None:
        store = await open_store(database)
        made.append(await LedgerBuilder.create(store))
        await store.close()

    run_in_thread(add())
    location = made[0].business
    words = ["location", "set", str(location), "--database", database]
    assert run(["location", "list", "--database", database]) == OK
    assert f"{location}  Mill: not set: UTC, 15 minutes" in capsys.readouterr().out.splitlines()
    assert run([*words, "--time-zone", "Europe/Madrid"]) == OK
    assert run([*words, "--booking-interval", "30"]) == OK
    assert capsys.readouterr().out.splitlines()[-1] == f"{location}  Mill: Europe/Madrid, 30 minutes"
    assert run([*words, "--time-zone", "Europe/Atlantis"]) == FAILED
    assert "TimeZone: must be a time zone such as Europe/Madrid" in capsys.readouterr().err
    assert run(words) == FAILED
    assert "--time-zone" in capsys.readouterr().err
    unknown = ["location", "set", "987654", "--time-zone", "UTC", "--database", database]
    assert run(unknown) == FAILED
    assert "Business: is not found" in capsys.readouterr().err


async def test_files_bring_time_zones_and_profiles(store: Store, tmp_path: Path) -> None:
    """A file with an unknown time zone is refused row by row, never read as UTC."""
    ledger = await LedgerBuilder.create(store)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "simpletimezones.csv").write_text("Id,Name,NameIana\n2023,GMT Standard Time,Europe/London\n")
    (folder / "locationprofiles.csv").write_text(
        f"BusinessId,TimeZone,BookingIntervalMinutes\n{ledger.business},Romance Standard Time,5\n"
        f"{ledger.business},Mars/Olympus,5\n"
    )
    report = CollectingReporter()
    await Importer(store, report, EVENING).run(folder)
    (profile,) = await ledger.find(LocationProfile, BusinessId=ledger.business)
    assert (profile["TimeZone"], profile["BookingIntervalMinutes"]) == ("Europe/Paris", 5)
    (problem,) = report.problems
    assert "Mars/Olympus" in problem
    assert "the row is refused" in problem


async def test_the_signed_in_user_is_shown_the_time_zone(mill: ApiClient, store: Store) -> None:
    zone = await mill.ledger.add(SimpleTimeZone, Name="GMT Standard Time")
    async with store.write_session() as session:
        await session.update(Business, [(mill.ledger.business, {"SimpleTimeZoneId": zone})])
    token = await create_user_token(store, f"zone{zone}@example.com", business_ids=[mill.ledger.business])
    async with http_client(build_app(store, Settings()), token) as client:
        shown = (await client.get("/api/auth/me")).json()
    assert shown["DefaultSimpleTimeZoneName"] == "GMT Standard Time"
    assert shown["DefaultSimpleTimeZoneNameIana"] == "Europe/London"


async def test_a_location_has_one_profile(api: ApiClient, store: Store) -> None:
    """Nor does it get a second one when three are posted at the same moment."""
    body = {"BusinessId": await create_location(store, "North"), "BookingIntervalMinutes": 5}
    answers = await asyncio.gather(*(api.post(PROFILES, body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400]
    for refused in (answer for answer in answers if answer.status_code == 400):
        [error] = refused.json()["Errors"]
        assert (error["PropertyName"], error["Message"]) == ("BusinessId", "is already used by another record")
