"""Sessions over HTTP: log-out, revocation, the list, password changes; at once on every worker."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pyotp
import pytest
import pytest_asyncio

from creditdesk.app import build_app
from creditdesk.auth.credentials import find_credential_by_login, find_user_id, normalize_login
from creditdesk.auth.purge import remove_expired_sign_ins
from creditdesk.auth.sessions import sessions_of
from creditdesk.entities.security.rate_limit_window import RateLimitWindow
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.security.sign_in_attempt import SignInAttempt
from creditdesk.entities.security.user_session import UserSession
from creditdesk.entities.sys.user import User
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import CACHE_LEASE_MILLISECONDS, Store
from creditdesk.settings import Settings
from tests.support.api_client import AdjustableClock
from tests.support.users import (
    FAST_HASHING,
    PASSWORD,
    basic_authorization,
    create_location,
    create_person,
    create_user_role,
    http_client,
    password_form,
    set_two_factor,
)

EMAIL = "ada@example.org"
NEW_PASSWORD = "analytical engine no. 2"
ME = "/api/auth/me"
SESSIONS = "/api/auth/sessions"
REVOKE = "/api/token/revoke"


class Workers:
    """Two applications over one database, as two workers are."""

    def __init__(self, first: httpx.AsyncClient, second: httpx.AsyncClient, clock: AdjustableClock) -> None:
        self.first, self.second, self.clock = first, second, clock

    async def sign_in(self, client_id: str | None = None, **fields: str) -> dict[str, Any]:
        headers = {"client_id": client_id} if client_id else {}
        response = await self.first.post("/api/token", data=password_form(**fields), headers=headers)
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    async def statuses(self, access_token: str) -> tuple[int, int]:
        """What both workers answer to a request with the token."""
        headers = {"Authorization": f"Bearer {access_token}"}
        first, second = await self.first.get(ME, headers=headers), await self.second.get(ME, headers=headers)
        return first.status_code, second.status_code


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest_asyncio.fixture
async def workers(each_store: Store) -> AsyncIterator[Workers]:
    await create_person(each_store)
    clock, settings = AdjustableClock(), Settings(auth=FAST_HASHING)
    apps = [build_app(each_store, settings, clock) for _ in range(2)]
    async with http_client(apps[0]) as first, http_client(apps[1]) as second:
        yield Workers(first, second, clock)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_revoked_token_ends_its_session_at_once_on_every_worker(workers: Workers, kind: str) -> None:
    tokens, other = await workers.sign_in("desk"), await workers.sign_in("phone")
    assert await workers.statuses(tokens["access_token"]) == (200, 200)
    assert await workers.statuses(other["access_token"]) == (200, 200)
    response = await workers.first.post(REVOKE, data={"token": tokens[kind], "token_type_hint": kind})
    assert (response.status_code, response.json(), response.headers["cache-control"]) == (200, {}, "no-store")
    assert await workers.statuses(tokens["access_token"]) == (401, 401)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "desk"}
    assert (await workers.second.post("/api/token", data=form)).json()["error"] == "invalid_grant"
    assert await workers.statuses(other["access_token"]) == (200, 200)


async def test_revocation_of_unknown_token_is_no_error(workers: Workers) -> None:
    for token in ("x", "a.b.c", "x" * 5000, "\x00"):
        assert (await workers.first.post(REVOKE, data={"token": token})).status_code == 200
    assert (await workers.first.post(REVOKE, data={})).json()["error"] == "invalid_request"
    assert (await workers.first.post(REVOKE, json={"token": "x"})).json()["error"] == "unsupported_grant_type"


async def test_replayed_refresh_token_ends_access_tokens_at_once(workers: Workers) -> None:
    stolen = await workers.sign_in()
    form = {"grant_type": "refresh_token", "refresh_token": stolen["refresh_token"]}
    renewed = (await workers.first.post("/api/token", data=form)).json()
    for tokens in (stolen, renewed):
        assert await workers.statuses(tokens["access_token"]) == (200, 200)
    assert (await workers.second.post("/api/token", data=form)).status_code == 400
    for tokens in (stolen, renewed):
        assert await workers.statuses(tokens["access_token"]) == (401, 401)


@pytest.mark.parametrize("change", [{"NewPassword": NEW_PASSWORD}, {"Active": False}, {"APIAccess": False}])
async def test_change_by_an_administrator_ends_sessions_at_once(
    workers: Workers, each_store: Store, change: dict[str, Any]
) -> None:
    user_id = await create_person(each_store, "bob@example.org", is_admin=False)
    admin, tokens = await workers.sign_in(), await workers.sign_in(username="bob@example.org")
    assert await workers.statuses(tokens["access_token"]) == (200, 200)
    body = {"Id": user_id, "FullName": "Bob", "Email": "bob@example.org", "Language": 1, "Active": True}
    body |= {"APIAccess": True} | change
    answer = await workers.first.put("/api/sys/users", json=body, headers=bearer(admin))
    assert answer.json()["WasSuccessful"], answer.text
    assert await workers.statuses(tokens["access_token"]) == (401, 401)
    body |= {"Active": True, "APIAccess": True, "NewPassword": ""}
    await workers.first.put("/api/sys/users", json=body, headers=bearer(admin))
    assert await workers.statuses(tokens["access_token"]) == (401, 401)
    # The administrator does not do the same to itself, as nobody else is one.
    own = await workers.first.get("/api/sys/users", params={"User_Email": EMAIL}, headers=bearer(admin))
    last = {**own.json()["Records"][0], "IsAdmin": False}
    refused = await workers.first.put("/api/sys/users", json=last, headers=bearer(admin))
    assert (refused.status_code, refused.json()["Errors"][0]["PropertyName"]) == (400, "IsAdmin")
    assert await workers.statuses(admin["access_token"]) == (200, 200)


async def test_own_sessions_are_listed_and_ended(workers: Workers) -> None:
    desk, phone = await workers.sign_in("desk"), await workers.sign_in("phone")
    listed = (await workers.first.get(SESSIONS, headers=bearer(phone))).json()
    assert [(each["ClientId"], each["IsCurrent"], each["EndedOn"]) for each in listed] == [
        ("phone", True, None),
        ("desk", False, None),
    ]
    assert listed[0]["Method"] == "password"
    assert listed[0]["Address"] == "127.0.0.1"
    assert "python-httpx" in listed[0]["UserAgent"]
    ended = await workers.first.delete(f"{SESSIONS}/{listed[1]['Id']}", headers=bearer(phone))
    assert ended.json()["Message"] == "The session has ended."
    assert await workers.statuses(desk["access_token"]) == (401, 401)
    [_, after] = (await workers.second.get(SESSIONS, headers=bearer(phone))).json()
    assert after["EndReason"] == "signed out"
    assert after["EndedOn"].endswith("Z")
    again = await workers.first.delete(f"{SESSIONS}/{listed[1]['Id']}", headers=bearer(phone))
    assert again.status_code == 200
    assert (await workers.first.delete(f"{SESSIONS}/999999", headers=bearer(phone))).status_code == 404


async def test_sessions_of_others_need_roles_and_rights(workers: Workers, each_store: Store) -> None:
    north = await create_location(each_store)
    admin_id = await create_person(each_store, "boss@example.org", business_ids=(north,))
    bob_id = await create_person(each_store, "bob@example.org", is_admin=False, business_ids=(north,))
    far_id = await create_person(each_store, "far@example.org", is_admin=False)
    boss, bob = await workers.sign_in(username="boss@example.org"), await workers.sign_in(username="bob@example.org")
    clerk = await create_person(each_store, "clerk@example.org", is_admin=False, business_ids=(north,))
    clerk_tokens = await workers.sign_in(username="clerk@example.org")

    async def listed(user_id: int) -> int:
        response = await workers.first.get(SESSIONS, params={"UserId": user_id}, headers=bearer(clerk_tokens))
        return response.status_code

    assert [await listed(each) for each in (clerk, bob_id)] == [200, 403]
    await create_user_role(each_store, north, ("User-Read", "User-Edit"), (clerk,))
    assert [await listed(each) for each in (bob_id, admin_id, far_id)] == [200, 200, 404]
    async with each_store.read_session() as session:
        [bob_session], [boss_session] = await sessions_of(session, bob_id), await sessions_of(session, admin_id)
    refused = await workers.first.delete(f"{SESSIONS}/{boss_session['Id']}", headers=bearer(clerk_tokens))
    assert refused.status_code == 403
    assert await workers.statuses(boss["access_token"]) == (200, 200)
    done = await workers.first.delete(f"{SESSIONS}/{bob_session['Id']}", headers=bearer(clerk_tokens))
    assert done.status_code == 200
    assert await workers.statuses(bob["access_token"]) == (401, 401)


async def change_password(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    body = {"Email": EMAIL, "Password": PASSWORD, "NewPassword": NEW_PASSWORD} | fields
    return await client.post("/api/auth/password", json=body)


async def test_users_change_their_own_password(workers: Workers) -> None:
    tokens = await workers.sign_in()
    basic = {"Authorization": basic_authorization()}
    assert (await workers.second.get(ME, headers=basic)).status_code == 200
    wrong = await change_password(workers.first, Password="wrong")
    assert wrong.json()["Message"] == "The user name or password is incorrect"
    for unusable, message in (
        ("short", "must be 8 to 1024 characters"),
        ("password1234", "is easy to guess; choose a longer or less common one"),
        ("ada@example.org", "is easy to guess; choose a longer or less common one"),
        (PASSWORD, "must differ from the present one"),
    ):
        refused = await change_password(workers.first, NewPassword=unusable)
        assert refused.status_code == 400
        [error] = refused.json()["Errors"]
        assert (error["PropertyName"], error["Message"]) == ("NewPassword", message)
        assert error["AttemptedValue"] is None
    assert await workers.statuses(tokens["access_token"]) == (200, 200)
    assert (await change_password(workers.first)).json()["WasSuccessful"]
    assert await workers.statuses(tokens["access_token"]) == (401, 401)
    assert (await workers.second.get(ME, headers=basic)).status_code == 401
    assert await workers.sign_in(password=NEW_PASSWORD)


async def test_second_factor_is_needed_to_change_a_password(workers: Workers, each_store: Store) -> None:
    async with each_store.read_session() as session:
        user_id = await find_user_id(session, EMAIL)
    assert user_id is not None
    code = pyotp.TOTP(await set_two_factor(each_store, user_id, on=True))
    assert (await change_password(workers.first)).status_code == 400
    assert (await change_password(workers.first, Totp="000000")).status_code == 400
    changed = await change_password(workers.first, Totp=code.at(workers.clock()))
    assert changed.json()["WasSuccessful"], changed.text


async def test_user_who_must_reset_the_password_gets_no_token_before(workers: Workers, each_store: Store) -> None:
    tokens = await workers.sign_in()
    assert await workers.statuses(tokens["access_token"]) == (200, 200)
    async with each_store.write_session() as session:
        user_id = await find_user_id(session, EMAIL)
        assert user_id is not None
        await session.update(User, [(user_id, {"MustResetPassword": True})])
    assert await workers.statuses(tokens["access_token"]) == (401, 401)
    refused = await workers.first.post("/api/token", data=password_form())
    assert (refused.status_code, refused.json()["error"]) == (400, "password_reset_required")
    basic = await workers.first.get(ME, headers={"Authorization": basic_authorization()})
    assert "must set a new password" in basic.json()["Message"]
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await workers.first.post("/api/token", data=form)).json()["error"] == "password_reset_required"
    assert (await change_password(workers.first)).json()["WasSuccessful"]
    fresh = await workers.sign_in(password=NEW_PASSWORD)
    assert await workers.statuses(fresh["access_token"]) == (200, 200)


async def test_emails_compare_in_form_nfkc(workers: Workers, each_store: Store) -> None:
    await create_person(each_store, "ﬁona.straße@example.org")
    for written in ("fiona.strasse@example.org", "ＦＩＯＮＡ.STRASSE@example.org", " ﬁona.STRAßE@example.org "):
        assert await workers.sign_in(username=written)
    async with each_store.read_session() as session:
        assert await find_credential_by_login(session, normalize_login("FIONA.strasse@EXAMPLE.org"))
    admin = await workers.sign_in()
    body = {"FullName": "Second", "Email": "fiona.strasse@example.org", "Language": 1}
    refused = await workers.first.post("/api/sys/users", json=body, headers=bearer(admin))
    assert refused.json()["Errors"][0]["Message"] == "is already used by another user"


async def test_refresh_token_of_earlier_version_opens_its_session(workers: Workers, each_store: Store) -> None:
    tokens = await workers.sign_in()
    async with each_store.write_session() as session:
        [opened] = await session.find(UserSession)
        await session.delete(UserSession, [opened["Id"]])
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    renewed = (await workers.first.post("/api/token", data=form)).json()
    assert await workers.statuses(renewed["access_token"]) == (200, 200)
    async with each_store.read_session() as session:
        [reopened] = await session.find(UserSession)
        [family] = {token["Family"] for token in await session.find(RefreshToken)}
    assert (reopened["Method"], reopened["UniqueId"]) == ("earlier version", family)


async def test_superseded_session_lasts_as_long_as_its_access_token(workers: Workers, each_store: Store) -> None:
    first = await workers.sign_in("desk")
    await workers.sign_in("desk")
    assert await workers.statuses(first["access_token"]) == (200, 200)
    async with each_store.read_session() as session:
        earlier, later = await session.find(UserSession)
    lifetimes = [each["ExpireDate"] - each["CreatedOn"] for each in (earlier, later)]
    assert lifetimes[0] < timedelta(days=8) < lifetimes[1]


async def test_expired_sessions_are_removed_after_a_while(workers: Workers, each_store: Store) -> None:
    await workers.sign_in()
    expires = workers.clock() + timedelta(days=15)
    for later, left in ((29, 1), (31, 0)):
        async for _ in remove_expired_sign_ins(each_store, expires + timedelta(days=later), 30):
            pass
        async with each_store.read_session() as session:
            assert (await session.count(UserSession), await session.count(RefreshToken)) == (left, 0)


async def test_failures_and_counters_of_calls_are_removed_once_they_count_for_nothing(
    workers: Workers, each_store: Store
) -> None:
    now = workers.clock().replace(microsecond=0)
    old, new = now - timedelta(days=2), now - timedelta(seconds=5)
    async with each_store.write_session() as session:
        await session.insert(SignInAttempt, [new_record(SignInAttempt, {"Against": "x"}, each) for each in (old, new)])
        windows = [
            {"UserId": user, "LimitName": "day", "EndsOn": ends, "Used": 1}
            for user, ends in ((1, old), (2, now + timedelta(hours=1)))
        ]
        await session.insert(RateLimitWindow, [new_record(RateLimitWindow, each, now) for each in windows])
    removed = [number async for number in remove_expired_sign_ins(each_store, now, 30)]
    assert removed == [1, 1]
    async with each_store.read_session() as session:
        assert [row["CreatedOn"] for row in await session.find(SignInAttempt)] == [new]
        assert [row["UserId"] for row in await session.find(RateLimitWindow)] == [2]


async def test_requests_read_the_revision_once_per_lease(workers: Workers, each_store: Store) -> None:
    tokens = await workers.sign_in()
    reads = 0
    read_session = each_store.read_session

    def counted(*, snapshot: bool = True) -> Any:
        nonlocal reads
        reads += 1
        return read_session(snapshot=snapshot)

    await workers.statuses(tokens["access_token"])
    each_store.read_session = counted  # type: ignore[method-assign]
    started, requests = time.monotonic(), 60
    for _ in range(requests):
        response = await workers.first.get("/api/utils/enums?name=eChargePeriod", headers=bearer(tokens))
        assert response.status_code == 200
    leases = (time.monotonic() - started) * 1000 / CACHE_LEASE_MILLISECONDS
    assert reads <= leases + 1
