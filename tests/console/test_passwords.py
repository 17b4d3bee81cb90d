"""Passwords that others set, own new passwords, and lost second factors, as pages without scripts do them."""

from __future__ import annotations

import re

import httpx
import pyotp
import pytest
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.console.conftest import browser
from tests.support.api_client import AdjustableClock, ApiClient
from tests.support.users import PASSWORD, create_person, create_user_token, http_client, set_two_factor

SIGN_IN = "/console/sign-in"
NEW_PASSWORD = "/console/sign-in/password"
USERS = "/console/admin/users"
OWN = "a far better passphrase"
pytestmark = pytest.mark.usefixtures("ledger")


async def create_resetting(store: Store, email: str) -> int:
    return await create_person(store, email, MustResetPassword=True)


def entered(email: str, **fields: str) -> dict[str, str]:
    return {"email": email, "password": PASSWORD, "new": OWN, "again": OWN, "next": "/console/spend", **fields}


async def test_user_sets_an_own_password_before_anything_else(
    console: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    email = "first-day@example.org"
    form = {"FullName": "Grace", "Email": email, "Password": PASSWORD, "IsAdmin": "true", "MustResetPassword": "true"}
    path = (await console.post(f"{USERS}/new", data=form)).headers["location"]
    assert "must set a new password" in (await console.get(path)).text
    page = await stranger.post(SIGN_IN, data={"email": email, "password": PASSWORD, "next": "/console/spend"})
    assert (page.status_code, "set-cookie" in page.headers) == (200, False)
    assert "set your own password" in page.text
    assert PASSWORD not in page.text
    assert f'action="{NEW_PASSWORD}"' in page.text
    for wrong, status, words in (
        ({"again": "another one"}, 422, "The two new passwords differ"),
        ({"password": "wrong"}, 400, "user name or password is incorrect"),
        ({"new": "password1", "again": "password1"}, 400, "is easy to guess"),
        ({"new": PASSWORD, "again": PASSWORD}, 400, "must differ"),
    ):
        refused = await stranger.post(NEW_PASSWORD, data=entered(email, **wrong))
        assert (refused.status_code, words in refused.text, "set-cookie" in refused.headers) == (status, True, False)
    done = await stranger.post(NEW_PASSWORD, data=entered(email), follow_redirects=True)
    assert (done.status_code, done.url.path) == (200, "/console/spend")
    assert "must set a new password" not in (await console.get(path)).text


async def test_password_that_an_administrator_sets_is_replaced_at_the_next_sign_in(
    console: httpx.AsyncClient, stranger: httpx.AsyncClient, store: Store
) -> None:
    email, given = "forgot@example.org", "handed over at the desk 7"
    user = await create_person(store, email)
    await stranger.post(SIGN_IN, data={"email": email, "password": PASSWORD})
    sent = {"act": "password", "password": given, "MustResetPassword": "true"}
    assert (await console.post(f"{USERS}/{user}", data=sent)).status_code == 303
    assert (await stranger.get("/console/")).status_code == 303
    page = await stranger.post(SIGN_IN, data={"email": email, "password": given})
    assert "set your own password" in page.text
    done = await stranger.post(NEW_PASSWORD, data=entered(email, password=given, next=""), follow_redirects=True)
    assert (done.status_code, done.url.path) == (200, "/console/")


async def test_second_factor_is_needed_for_the_new_password_too(stranger: httpx.AsyncClient, store: Store) -> None:
    email = "both@example.org"
    secret = await set_two_factor(store, await create_resetting(store, email), on=True)
    without = await stranger.post(NEW_PASSWORD, data=entered(email))
    assert (without.status_code, "one-time code" in without.text) == (400, True)
    done = await stranger.post(NEW_PASSWORD, data=entered(email, code=pyotp.TOTP(secret).now()))
    assert (done.status_code, "The password was set. Sign in with it." in done.text) == (200, True)
    assert "set-cookie" not in done.headers


async def test_guesses_at_the_present_password_are_slowed_as_at_the_sign_in(
    store: Store, clock: AdjustableClock
) -> None:
    email, now = "guessed@example.org", clock()
    await create_resetting(store, email)
    async with browser(build_app(store, Settings(), lambda: now)) as guesser:
        for _ in range(5):
            assert (await guesser.post(NEW_PASSWORD, data=entered(email, password="wrong"))).status_code == 400
        assert (await guesser.post(NEW_PASSWORD, data=entered(email))).status_code == 429
        assert (await guesser.post(SIGN_IN, data={"email": email, "password": PASSWORD})).status_code == 429


async def test_own_password_ends_every_other_session(app: ASGIApp, store: Store) -> None:
    email = "change@example.org"
    await create_person(store, email)
    form, sent = {"email": email, "password": PASSWORD}, {"password": PASSWORD, "new": OWN, "again": "another one"}
    async with browser(app) as person, browser(app) as elsewhere:
        for each in (person, elsewhere):
            await each.post(SIGN_IN, data=form)
        assert (await person.post("/console/account/password", data=sent)).status_code == 422
        wrong = await person.post("/console/account/password", data=sent | {"password": "no", "again": OWN})
        assert (wrong.status_code, "incorrect" in wrong.text) == (400, True)
        assert (await person.post("/console/account/password", data=sent | {"again": OWN})).status_code == 303
        assert "The password was changed" in (await person.get("/console/account")).text
        assert (await elsewhere.get("/console/")).status_code == 303
        assert (await elsewhere.post(SIGN_IN, data=form)).status_code == 400
        assert (await elsewhere.post(SIGN_IN, data=form | {"password": OWN})).status_code == 303


async def test_another_users_token_keeps_no_session(app: ASGIApp, store: Store) -> None:
    """The session that goes on is one of the user whose password it is."""
    await create_person(store, "owner@example.org")
    token = await create_user_token(store, "other@example.org")
    body = {"Email": "owner@example.org", "Password": PASSWORD, "NewPassword": OWN}
    async with browser(app) as owner, http_client(app, token) as other:
        await owner.post(SIGN_IN, data={"email": "owner@example.org", "password": PASSWORD})
        assert (await other.post("/api/auth/password", json=body)).status_code == 200
        assert (await owner.get("/console/")).status_code == 303
        assert (await other.get("/api/auth/me")).status_code == 200


async def test_lost_second_factor_is_removed_with_a_reason(
    console: httpx.AsyncClient, stranger: httpx.AsyncClient, api: ApiClient
) -> None:
    email, path = "lost@example.org", "/api/auth/second-factor/remove"
    user = await create_person(api.ledger.store, email)
    secret = await set_two_factor(api.ledger.store, user, on=True)
    form = {"email": email, "password": PASSWORD}
    await stranger.post(SIGN_IN, data=form | {"code": pyotp.TOTP(secret).now()})
    assert (await stranger.get("/console/")).status_code == 200
    assert 'value="second-factor"' not in (await stranger.get(f"{USERS}/{user}")).text
    without = await console.post(f"{USERS}/{user}", data={"act": "second-factor", "reason": ""})
    assert (without.status_code, "Reason" in without.text) == (400, True)
    sent = {"act": "second-factor", "reason": "Phone stolen, seen in person"}
    assert (await console.post(f"{USERS}/{user}", data=sent)).status_code == 303
    assert (await stranger.get("/console/")).status_code == 303
    assert (await stranger.post(SIGN_IN, data=form)).status_code == 303
    [event] = await api.ledger.find(AuditRecord, Action="second factor removed", SubjectId=user)
    assert re.search("Phone stolen, seen in person", event["Details"])
    assert not (await api.ledger.get(User, user))["TwoFactorEnabled"]
    again = await api.post(path, {"UserId": user, "Reason": "again"})
    assert "no second factor" in again.json()["Message"]


async def test_second_factor_is_removed_by_another_user_with_the_rights(
    api: ApiClient, app: ASGIApp, store: Store
) -> None:
    path = "/api/auth/second-factor/remove"
    boss = await create_person(store, "boss@example.org")
    await set_two_factor(store, boss, on=True)
    me = int((await api.get("/api/auth/me"))["Id"])
    assert (await api.post(path, {"UserId": me, "Reason": "mine"})).status_code == 403
    assert (await api.post(path, {"UserId": 999_999, "Reason": "nobody"})).status_code == 404
    assert (await api.post(path, {"UserId": "x", "Reason": ""})).status_code == 400
    token = await create_user_token(store, "no-rights@example.org", is_admin=False)
    async with http_client(app, token) as powerless:
        assert (await powerless.post(path, json={"UserId": boss, "Reason": "take over"})).status_code == 403
    assert (await api.ledger.get(User, boss))["TwoFactorEnabled"]
