"""Saved views of lists: named, opened, changed, shared and deleted, in the console without scripts and by the API."""

from __future__ import annotations

import asyncio
import re
from html import unescape

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.saved_view import SavedView
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from tests.console.conftest import browser
from tests.console.forms import fields_of
from tests.support.ledger_builder import LedgerBuilder
from tests.support.users import create_location, create_person, create_user_role, create_user_token, http_client

VIEWS = "/api/sys/savedviews"
CREDITS = "/console/records/billing/coworkerbookingcredits"
QUERY = "from_CoworkerBookingCredit_TotalCredit=5&orderby=ExpireDate&dir=ascending&columns=Id,ExpireDate"
LIST_ROLES = (Coworker.roles["list"], CoworkerBookingCredit.roles["list"])


def view_body(name: str, **values: object) -> dict[str, object]:
    return {"EntityName": "CoworkerBookingCredit", "Name": name, "Query": QUERY, **values}


async def saved(client: httpx.AsyncClient, name: str, **values: object) -> int:
    answer = await client.post(VIEWS, json=view_body(name, **values))
    assert answer.status_code == 200, answer.text
    return int(answer.json()["Value"]["Id"])


async def test_changes_of_one_view_at_the_same_time(client: httpx.AsyncClient, store: Store) -> None:
    """A name is saved once, and who changes a view while it is deleted learns that it is gone."""
    answers = await asyncio.gather(*(client.post(VIEWS, json=view_body("Together")) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    [view] = {answer.json()["Value"]["Id"] for answer in answers}
    for verb in ("PUT", "DELETE", "POST"):
        view = await saved(client, "Together")
        async with store.write_session() as session:
            await session.delete(SavedView, [view])
            address = VIEWS if verb == "POST" else f"{VIEWS}/{view}"
            change = asyncio.create_task(client.request(verb, address, json=view_body("Together")))
            # Where it waits for the other transaction, it does so by then.
            await asyncio.wait([change], timeout=0.3)
        assert (await change).status_code == (200 if verb == "POST" else 404), verb


async def staff(store: Store, email: str, location: int, roles: tuple[str, ...] = LIST_ROLES) -> str:
    """The token of a user of one location."""
    role = await create_user_role(store, location, roles)
    return await create_user_token(store, email, is_admin=False, business_ids=[location], user_role_id=role)


def link(page: httpx.Response, text: str) -> str:
    """The address of the link with this text."""
    found = re.search(rf'href="([^"]+)"[^>]*>(?:<span>)?{re.escape(text)}', page.text)
    assert found is not None, text
    return unescape(found[1])


async def test_list_is_saved_opened_changed_renamed_and_deleted(
    console: httpx.AsyncClient, client: httpx.AsyncClient, ledger: LedgerBuilder
) -> None:
    body = {"CoworkerId": await ledger.add_customer("Ada"), "BusinessId": ledger.business, "TotalCredit": 9}
    assert (await client.post(CoworkerBookingCredit.path(), json=body)).status_code == 200
    listed = await console.get(f"{CREDITS}?{QUERY}&page=2")
    form = await console.get(link(listed, "Save the view…"))
    done = await console.post("/console/views", data=fields_of(form.text) | {"name": "Expiring", "audience": ""})
    opened = await console.get(done.headers["location"])
    assert "page=2" not in done.headers["location"]
    assert "<b>Expiring</b> ·" in opened.text
    assert re.search(r'aria-current="true"><span>Expiring</span>', opened.text)
    assert re.findall(r'<th scope="col"[^>]*><a[^>]*>([^<]+)', opened.text) == ["Id", "Expire date"]

    changed = await console.get(done.headers["location"].replace("TotalCredit=5", "TotalCredit=7"))
    assert "<b>Expiring</b> (changed)" in changed.text
    assert "Save “Expiring” like this" in changed.text
    view = int(done.headers["location"].rpartition("view=")[2])
    query = re.search(r'name="query" value="([^"]+)"', changed.text)
    assert query is not None
    again = await console.post(f"/console/views/{view}", data={"query": unescape(query[1])})
    assert "TotalCredit=7" in again.headers["location"]
    assert "(changed)" not in (await console.get(again.headers["location"])).text

    fields = fields_of((await console.get(f"/console/views/{view}")).text.rpartition("<form")[0])
    await console.post(f"/console/views/{view}", data=fields | {"name": "Soon gone", "audience": "all"})
    overview = await console.get("/console/views")
    assert "Soon gone" in overview.text
    assert "All locations" in overview.text
    assert "Expiring" not in overview.text
    palette = await console.get("/console/search?q=soon", headers={"hx-request": "true"})
    assert "Soon gone" in palette.text
    gone = await console.post(f"/console/views/{view}/delete")
    assert "Soon gone" not in (await console.get(gone.headers["location"])).text


async def test_form_shows_what_is_wrong_beside_the_name(console: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    await saved(client, "First")
    second = await saved(client, "Second")
    nameless = await console.post("/console/views", data={"list": "CoworkerBookingCredit", "name": " ", "query": QUERY})
    assert nameless.status_code == 400
    assert 'aria-describedby="view-name-error"' in nameless.text
    taken = await console.post(f"/console/views/{second}", data={"name": "First"})
    assert taken.status_code == 400
    assert "is the name of another view of this list" in taken.text


async def test_same_name_saves_the_list_anew(client: httpx.AsyncClient) -> None:
    first = await saved(client, "Again")
    second = await saved(client, "Again", Query="CoworkerBookingCredit_Description=gift")
    assert first == second
    [view] = [view for view in (await client.get(VIEWS)).json() if view["Id"] == first]
    assert view["Query"] == "CoworkerBookingCredit_Description=gift"
    assert (view["IsOwn"], view["MayChange"], view["Shared"]) == (True, True, False)


async def test_own_view_is_nobody_elses(app: ASGIApp, store: Store, client: httpx.AsyncClient) -> None:
    location = await create_location(store)
    view = await saved(client, "Private")
    async with http_client(app, await staff(store, "own@example.com", location)) as other:
        assert view not in [each["Id"] for each in (await other.get(VIEWS)).json()]
        assert (await other.put(f"{VIEWS}/{view}", json=view_body("Mine"))).status_code == 404
        assert (await other.delete(f"{VIEWS}/{view}")).status_code == 404


async def test_view_shared_with_a_location_is_seen_there_by_those_who_may_list(
    app: ASGIApp, store: Store, client: httpx.AsyncClient
) -> None:
    north, south = await create_location(store), await create_location(store, "South")
    view = await saved(client, "Northern", BusinessId=north)
    seen = {}
    for email, location, roles in (
        ("north@example.com", north, LIST_ROLES),
        ("south@example.com", south, LIST_ROLES),
        ("blind@example.com", north, LIST_ROLES[:1]),
    ):
        async with browser(app, await staff(store, email, location, roles)) as other:
            pages = [await other.get(path) for path in (CREDITS, "/console/views", "/console/search?q=northern")]
            seen[email] = ["Northern" in page.text.partition("<main")[2].replace('value="northern"', "") or
                           ">Northern<" in page.text for page in pages]  # fmt: skip
            answer = await other.post(f"/console/views/{view}", data={"name": "Taken"})
            assert answer.status_code in (403, 404)
    assert seen == {
        "north@example.com": [True, True, True],
        "south@example.com": [False, False, False],
        "blind@example.com": [False, False, False],
    }


async def test_view_shared_with_a_role_is_seen_by_its_holders(
    app: ASGIApp, store: Store, client: httpx.AsyncClient
) -> None:
    north = await create_location(store)
    role = await create_user_role(store, north, LIST_ROLES)
    view = await saved(client, "For the desk", UserRoleId=role)
    holder = await create_user_token(
        store, "holder@example.com", is_admin=False, business_ids=[north], user_role_id=role
    )
    names = {}
    for email, token in (("holder", holder), ("colleague", await staff(store, "colleague@example.com", north))):
        async with http_client(app, token) as other:
            names[email] = [each["UserRoleName"] for each in (await other.get(VIEWS)).json() if each["Id"] == view]
    assert names == {"holder": ["Some"], "colleague": []}
    await client.put(f"{UserRole.path()}/{role}", json={"Name": "Some", "BusinessId": north, "Users": []})
    assert (await client.delete(f"{UserRole.path()}/{role}")).status_code == 200
    [left] = [each for each in (await client.get(VIEWS)).json() if each["Id"] == view]
    assert (left["Shared"], left["UserRoleId"]) == (False, None)


async def test_users_share_within_their_locations(app: ASGIApp, store: Store, client: httpx.AsyncClient) -> None:
    north, south = await create_location(store), await create_location(store, "South")
    foreign_role = await create_user_role(store, south, LIST_ROLES)
    async with http_client(app, await staff(store, "sharer@example.com", north)) as sharer:
        for values, field in (
            ({"Shared": True}, "BusinessId"),
            ({"BusinessId": south}, "BusinessId"),
            ({"UserRoleId": foreign_role}, "UserRoleId"),
        ):
            answer = await sharer.post(VIEWS, json=view_body("Too far", **values))
            assert answer.status_code == 400, values
            assert [error["PropertyName"] for error in answer.json()["Errors"]] == [field]
        assert (await sharer.post(VIEWS, json=view_body("Mine", BusinessId=north))).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"Name": "x", "EntityName": "Nothing"}, "EntityName"),
        ({"Name": "x", "EntityName": "UserSession"}, "EntityName"),
        ({"EntityName": "Coworker"}, "Name"),
        ({"Name": "x" * 101, "EntityName": "Coworker"}, "Name"),
        ({"Name": "x", "EntityName": "Coworker", "Query": "from_Coworker_CreatedOn=soon"}, "from_Coworker_CreatedOn"),
        ({"Name": "x", "EntityName": "Coworker", "BusinessId": 9_999_999}, "BusinessId"),
    ],
)
async def test_what_no_list_takes_is_an_error(client: httpx.AsyncClient, body: dict[str, object], field: str) -> None:
    answer = await client.post(VIEWS, json=body)
    assert answer.status_code == 400
    assert [error["PropertyName"] for error in answer.json()["Errors"]] == [field]


async def test_views_of_a_deleted_user_go(store: Store, app: ASGIApp, client: httpx.AsyncClient) -> None:
    north = await create_location(store)
    token = await staff(store, "leaver@example.com", north)
    async with http_client(app, token) as leaver:
        view = await saved(leaver, "Legacy", BusinessId=north)
        [user] = [each["UserId"] for each in (await leaver.get(VIEWS)).json() if each["Id"] == view]
    assert view in [each["Id"] for each in (await client.get(VIEWS)).json()]
    assert (await client.delete(f"{User.path()}/{user}")).status_code == 200
    assert view not in [each["Id"] for each in (await client.get(VIEWS)).json()]


async def test_manager_of_users_changes_the_views_of_those_it_may_edit(
    store: Store, app: ASGIApp, client: httpx.AsyncClient
) -> None:
    north = await create_location(store)
    person = await create_person(store, "author@example.org", is_admin=False, business_ids=(north,), roles=LIST_ROLES)
    assert person
    async with http_client(app, await staff(store, "writer@example.com", north)) as writer:
        view = await saved(writer, "Theirs", BusinessId=north)
    assert (await client.put(f"{VIEWS}/{view}", json=view_body("Renamed", BusinessId=north))).status_code == 200
    manager = await staff(store, "boss@example.com", north, (*LIST_ROLES, User.roles["update"]))
    async with http_client(app, manager) as boss:
        assert (await boss.delete(f"{VIEWS}/{view}")).status_code == 200
