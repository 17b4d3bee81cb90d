"""Conventions of lists that hold for every entity: paging, sorting and filters."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from creditdesk.app import build_app
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.repository import Store
from creditdesk.settings import (
    ApiSettings,
    Settings,
)
from tests.support.http_cases import FAILURE, TYPES
from tests.support.record_builder import RecordBuilder, stored_row
from tests.support.users import http_client


def page_position(body: dict[str, Any]) -> tuple[Any, ...]:
    """Where a page lies: first, last, page, pages, next, previous."""
    names = ("FirstItem", "LastItem", "PageNumber", "TotalPages", "HasNextPage", "HasPreviousPage")
    return tuple(body[name] for name in names)


async def list_names(client: httpx.AsyncClient, location: int, **params: Any) -> dict[str, Any]:
    response = await client.get(TYPES, params={"ResourceType_Business": location} | params)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({}, (1, 25, 1, 3, True, False)),
        ({"page": 2}, (26, 50, 2, 3, True, True)),
        ({"page": 3}, (51, 60, 3, 3, False, True)),
        ({"page": 4}, (0, 0, 4, 3, False, True)),
        ({"page": 0}, (1, 25, 1, 3, True, False)),
        ({"page": -5}, (1, 25, 1, 3, True, False)),
        ({"size": 0}, (1, 25, 1, 3, True, False)),
        ({"size": 5000}, (1, 60, 1, 1, False, False)),
        ({"Page": "2", "SIZE": "50"}, (51, 60, 2, 2, False, True)),
        ({"page": ""}, (1, 25, 1, 3, True, False)),
        ({"page": 9_999_999_999}, (0, 0, 9_999_999_999, 3, False, True)),
        ({"ResourceType_Name": "nothing like it"}, (0, 0, 1, 0, False, False)),
        ({"PageNumber": 3, "PageSize": 5}, (1, 25, 1, 3, True, False)),
    ],
)
async def test_paging(client: httpx.AsyncClient, location: int, params: dict[str, Any], where: tuple[Any, ...]) -> None:
    assert page_position(await list_names(client, location, **params)) == where


async def test_a_page_has_up_to_ten_thousand_records(client: httpx.AsyncClient, builder: RecordBuilder) -> None:
    business = await builder.create_business("Large pages")
    rows = [stored_row(ResourceType, Name=f"Room {n:05d}", BusinessId=business) for n in range(10_001)]
    async with builder.store.write_session() as session:
        await session.insert(ResourceType, rows)
    for sent, size, pages in ((5_000, 5_000, 3), (10_000, 10_000, 2), (20_000, 10_000, 2)):
        page = await list_names(client, business, size=sent, orderBy="Name", dir=-1)
        assert (page["PageSize"], page["TotalItems"], page["TotalPages"]) == (size, 10_001, pages)
        assert [each["Name"] for each in page["Records"]] == [f"Room {10_000 - n:05d}" for n in range(size)]


async def test_the_page_size_may_be_bounded(store: Store, admin_token: str, location: int) -> None:
    app = build_app(store, Settings(api=ApiSettings(max_page_size=40)))
    async with http_client(app, admin_token) as client:
        assert page_position(await list_names(client, location, size=41)) == (1, 40, 1, 2, True, False)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ({"orderBy": "Name"}, ["Room 00", "Room 01"]),
        ({"orderby": "NAME", "dir": "1"}, ["Room 00", "Room 01"]),
        ({"orderBy": "Name", "dir": "-1"}, ["Room 59", "Room 58"]),
        ({"orderBy": "Name", "dir": "Descending"}, ["Room 59", "Room 58"]),
        ({"orderBy": "Name", "dir": "ascending"}, ["Room 00", "Room 01"]),
        ({"orderBy": "Name", "dir": "0"}, ["Room 00", "Room 01"]),
        ({"orderBy": "NoSuchField"}, ["Room 00", "Room 07"]),
        ({"orderBy": "ToStringText"}, ["Room 00", "Room 01"]),
    ],
)
async def test_sorting(client: httpx.AsyncClient, location: int, order: dict[str, Any], names: list[str]) -> None:
    body = await list_names(client, location, size=2, **order)
    assert [record["Name"] for record in body["Records"]] == names


async def test_later_dir_convention(store: Store, admin_token: str, location: int) -> None:
    app = build_app(store, Settings(api=ApiSettings(dir_convention="later")))
    async with http_client(app, admin_token) as client:
        down = await list_names(client, location, orderBy="Name", dir=1)
        up = await list_names(client, location, orderBy="Name", dir=0)
    assert (down["CurrentSortDirection"], down["Records"][0]["Name"]) == (1, "Room 59")
    assert (up["CurrentSortDirection"], up["Records"][0]["Name"]) == (0, "Room 00")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("page=x", "page"),
        ("size=1.5", "size"),
        ("dir=sideways", "dir"),
        ("ResourceType_Business=x", "ResourceType_Business"),
        ("ResourceType_Id=[1,x]", "ResourceType_Id"),
        ("id=[1,x]", "id"),
        ("from_ResourceType_CreatedOn=2025-13-01", "from_ResourceType_CreatedOn"),
        ("resourcetype_name=a&ResourceType_Name=b", "ResourceType_Name"),
        ("page=1&page=2", "page"),
        ("ResourceType_Name=%00", "ResourceType_Name"),
    ],
)
async def test_a_bad_parameter_is_named(client: httpx.AsyncClient, query: str, name: str) -> None:
    response = await client.get(f"{TYPES}?{query}")
    assert response.status_code == 400
    assert list(response.json()) == FAILURE
    assert response.json()["Errors"][0]["PropertyName"] == name


@pytest.mark.parametrize("name", ["ResourceType_UniqueId", "UniqueId", "ResourceType_Name", "ResourceType_SystemId"])
async def test_a_filter_of_characters_that_no_text_has_is_refused(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"{TYPES}?{name}=a%00b")
    assert response.status_code == 400, response.text
    assert response.json()["Errors"][0]["PropertyName"] == name


async def test_text_filter_matches_substring_and_codes_match_whole(
    client: httpx.AsyncClient, builder: RecordBuilder
) -> None:
    await builder.create(Currency, Name="Straße Gold", Code="XGD")
    for params, found in (
        ({"Currency_Name": "STRASSE"}, 1),
        ({"Currency_Name": "gold"}, 1),
        ({"Currency_Code": "xgd"}, 1),
        ({"Currency_Code": "xg"}, 0),
        ({"Currency_Name": "%"}, 0),
        ({"Currency_Name": ""}, None),
    ):
        total = (await client.get(Currency.path(), params=params)).json()["TotalItems"]
        assert total == found or (found is None and total > 0), params


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"from": 9}, ["Apart", "High"]),
        ({"to": 1}, ["Apart", "Low"]),
        ({"from": 3, "to": 5}, ["Middle"]),
        ({"from": 1, "to": 9}, ["Apart", "High", "Low", "Middle"]),
        ({"from": 9, "to": 2**63 - 1}, ["Apart", "High"]),
        ({"from": -5, "to": 0}, []),
        ({"from": "null"}, ["Empty"]),
        ({"from": 3, "to": "notnull"}, ["Apart", "High", "Middle"]),
    ],
)
async def test_a_range_of_a_list_holds_for_one_of_its_numbers(
    client: httpx.AsyncClient, preferences: int, params: dict[str, Any], names: list[str]
) -> None:
    ranges = {f"{bound}_Tariff_DeliveryPreferencesMail": value for bound, value in params.items()}
    response = await client.get(Tariff.path(), params={"Tariff_Business": preferences, "orderBy": "Name", **ranges})
    assert response.status_code == 200, response.text
    assert [record["Name"] for record in response.json()["Records"]] == names


@pytest.fixture(scope="module")
async def preferences(builder: RecordBuilder) -> int:
    """Plans of one location with lists of delivery preferences."""
    business = await builder.create_business("Deliveries")
    lists = {"Low": (1,), "High": (9,), "Apart": (1, 9), "Middle": (3, 4), "Empty": ()}
    for name, numbers in lists.items():
        await builder.create(Tariff, BusinessId=business, Name=name, DeliveryPreferencesMail=numbers)
    return business


async def test_unknown_filters_are_ignored_or_refused(
    client: httpx.AsyncClient, store: Store, admin_token: str, location: int
) -> None:
    assert (await list_names(client, location, NoSuchFilter="x"))["TotalItems"] == 60
    app = build_app(store, Settings(api=ApiSettings(unknown_filters="refuse")))
    async with http_client(app, admin_token) as strict:
        response = await strict.get(TYPES, params={"NoSuchFilter": "x"})
    assert response.status_code == 400
    assert response.json()["Message"] == "NoSuchFilter: is not a known parameter"


async def test_list_may_require_a_filter(client: httpx.AsyncClient, store: Store, admin_token: str) -> None:
    path = CoworkerExtraService.path()
    assert (await client.get(path)).status_code == 200
    app = build_app(store, Settings(api=ApiSettings(require_list_filters=True)))
    async with http_client(app, admin_token) as strict:
        assert (await strict.get(path)).status_code == 400
        assert (await strict.get(f"{path}?CoworkerExtraService_Coworker=1")).status_code == 200
