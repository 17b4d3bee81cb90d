"""A member's own password: the first one in the session of a link, and another one in place of the present."""

from __future__ import annotations

import asyncio

import httpx
from starlette.types import ASGIApp

from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.repository import Store
from tests.console.conftest import browser
from tests.members.conftest import TOKEN, SignInMember, activate, create_link
from tests.support.api_client import ApiClient, parse_body
from tests.support.users import PASSWORD, create_person, http_client

FIRST = "/api/auth/first-password"
PAGE = "/me/password"
OWN = "a far better passphrase"
OTHER = "an even better passphrase"


async def test_first_password_after_a_link_and_another_one_later(api: ApiClient, app: ASGIApp) -> None:
    await activate(api, api.ledger.customer)
    email = f"member{api.ledger.customer}@example.com"
    async with browser(app) as member, browser(app) as elsewhere:
        for each in (member, elsewhere):
            await each.post(await create_link(api, api.ledger.customer))
        assert "Set a password" in (await member.get("/me/")).text
        page = (await member.get(PAGE)).text
        assert 'name="password"' not in page
        refused = await member.post(PAGE, data={"new": email, "again": email})
        assert (refused.status_code, "is easy to guess" in refused.text) == (400, True)
        done = await member.post(PAGE, data={"new": OWN, "again": OWN}, follow_redirects=True)
        assert (done.status_code, done.url.path) == (200, "/me/")
        assert "The password was set" in done.text
        assert "The password was set" not in (await member.get("/me/")).text
        assert (await elsewhere.get("/me/")).status_code == 303
        signed_in = await elsewhere.post(
            "/console/sign-in", data={"email": email, "password": OWN, "next": "/me/"}, follow_redirects=True
        )
        assert (signed_in.status_code, signed_in.url.path) == (200, "/me/")
        assert 'name="password"' in (await member.get(PAGE)).text
        without = await member.post(PAGE, data={"new": OTHER, "again": OTHER})
        assert without.status_code == 400
        assert (await elsewhere.get("/me/")).status_code == 200
        changed = await member.post(PAGE, data={"password": OWN, "new": OTHER, "again": OTHER})
        assert (changed.status_code, changed.headers["location"]) == (303, "/me/")
        assert (await elsewhere.get("/me/")).status_code == 303


async def test_first_password_is_set_once(api: ApiClient, sign_in_member: SignInMember) -> None:
    """Of two at once one holds; a link that comes later does not replace the password."""
    member = await sign_in_member(api.ledger.customer)
    assert parse_body(await member.get("/api/members/current"))["MaySetFirstPassword"]
    answers = await asyncio.gather(*(member.post(FIRST, json={"NewPassword": each}) for each in (OWN, OTHER)))
    assert sorted(each.status_code for each in answers) == [200, 403]
    later = await sign_in_member(api.ledger.customer)
    assert not parse_body(await later.get("/api/members/current"))["MaySetFirstPassword"]
    assert (await later.post(FIRST, json={"NewPassword": "one more passphrase"})).status_code == 403


async def test_link_to_a_customer_who_is_staff_sets_no_password(
    api: ApiClient, app: ASGIApp, store: Store, sign_in_member: SignInMember
) -> None:
    """With a password of its own the link's holder would get the rights of the operator's user."""
    customer = api.ledger.customer
    await activate(api, customer)
    staff = await create_person(store, f"staff-pw{customer}@example.org")
    async with store.write_session() as session:
        await session.update(Coworker, [(customer, {"UserId": staff})])
    member = await sign_in_member(customer)
    assert not parse_body(await member.get("/api/members/current"))["MaySetFirstPassword"]
    assert (await member.post(FIRST, json={"NewPassword": OWN})).status_code == 403


async def test_only_a_link_sets_a_first_password(api: ApiClient, app: ASGIApp, store: Store) -> None:
    customer, email = api.ledger.customer, f"signed-in{api.ledger.customer}@example.org"
    await activate(api, customer)
    user = await create_person(store, email, is_admin=False, APIAccess=False)
    async with store.write_session() as session:
        await session.update(Coworker, [(customer, {"UserId": user})])
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    async with http_client(app) as http:
        token = (await http.post(TOKEN, data=form)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert (await http.post(FIRST, json={"NewPassword": OWN}, headers=headers)).status_code == 403
        assert (await http.post(FIRST, json={"NewPassword": OWN})).status_code == 401
        assert (await http.post(FIRST, content=b"[", headers=headers)).status_code == 400
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://creditdesk.test") as stranger:
        assert (await stranger.get(PAGE)).status_code == 303
