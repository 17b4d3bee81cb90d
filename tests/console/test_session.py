"""Sign-in, the session's cookie, the origin of writes, and the headers of every page."""

from __future__ import annotations

import re

import httpx
import pyotp
import pytest
from starlette.types import ASGIApp

from creditdesk.console.page import safe_path
from creditdesk.console.security import CONSOLE_POLICY
from creditdesk.console.session import LOCAL_COOKIE, SECURE_COOKIE
from creditdesk.schema.repository import Store
from tests.console.conftest import browser
from tests.support.users import PASSWORD, create_person, create_user_token, set_two_factor

SIGN_IN = "/console/sign-in"


async def test_root_leads_to_the_console_and_that_to_the_sign_in(stranger: httpx.AsyncClient) -> None:
    first = await stranger.get("/")
    assert (first.status_code, first.headers["location"]) == (307, "/console/")
    second = await stranger.get("/console/")
    assert (second.status_code, second.headers["location"]) == (303, SIGN_IN)


async def test_sign_in_leads_back_to_the_wanted_page(stranger: httpx.AsyncClient, store: Store) -> None:
    await create_person(store, "back@example.org")
    wanted = await stranger.get("/console/records/ledger/entries?page=2")
    form = await stranger.get(wanted.headers["location"])
    assert 'name="next" value="/console/records/ledger/entries?page=2"' in form.text
    sent = {"email": "back@example.org", "password": PASSWORD, "next": "/console/records/ledger/entries?page=2"}
    answer = await stranger.post(SIGN_IN, data=sent, follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/console/records/ledger/entries")


async def test_cookie_is_for_this_host_over_https_and_hidden_from_scripts(
    stranger: httpx.AsyncClient, store: Store
) -> None:
    await create_person(store, "cookie@example.org")
    answer = await stranger.post(SIGN_IN, data={"email": "cookie@example.org", "password": PASSWORD})
    cookie, device = answer.headers.get_list("set-cookie")
    assert device.startswith(f"{SECURE_COOKIE}-device=")
    assert "; HttpOnly; Max-Age=31536000; Path=/; SameSite=strict; Secure" in device
    assert cookie.startswith(f"{SECURE_COOKIE}=")
    assert cookie.partition("; ")[2].lower().split("; ") == ["httponly", "path=/", "samesite=strict", "secure"]


async def test_plain_http_of_the_own_machine_has_a_cookie_of_another_name(app: ASGIApp, store: Store) -> None:
    await create_person(store, "local@example.org")
    async with browser(app) as local:
        local.base_url = httpx.URL("http://127.0.0.1:8400")
        answer = await local.post(SIGN_IN, data={"email": "local@example.org", "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith(f"{LOCAL_COOKIE}=")
        assert "secure" not in answer.headers["set-cookie"].lower()
        assert (await local.get("/console/")).status_code == 200


async def test_known_browser_is_not_slowed_by_the_guesses_of_others(app: ASGIApp, store: Store) -> None:
    await create_person(store, "known@example.org")
    form = {"email": "known@example.org", "password": PASSWORD}
    async with browser(app) as known, browser(app) as unknown:
        assert (await known.post(SIGN_IN, data=form)).status_code == 303
        # The wait of the first failures may pass before the next guess; each failure doubles it.
        guesses = [(await unknown.post(SIGN_IN, data=form | {"password": "wrong"})).status_code for _ in range(12)]
        assert guesses[:5] == [400] * 5
        assert set(guesses[5:]) <= {400, 429}
        assert guesses[-1] == 429
        assert (await known.post(SIGN_IN, data=form)).status_code == 303


async def test_device_keeps_its_secret_for_the_next_sign_in(stranger: httpx.AsyncClient, store: Store) -> None:
    await create_person(store, "device@example.org")
    form = {"email": "device@example.org", "password": PASSWORD}
    devices = []
    for _ in range(2):
        await stranger.post(SIGN_IN, data=form)
        devices.append(stranger.cookies[f"{SECURE_COOKIE}-device"])
        await stranger.post("/console/sign-out")
    assert devices[0] == devices[1]
    assert len(devices[0]) == 43


async def test_browser_that_keeps_no_cookie_learns_why(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get(f"{SIGN_IN}?begun=1&next=")
    assert "did not keep the session" in answer.text


async def test_wrong_password_is_reported_without_the_password(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post(SIGN_IN, data={"email": "nobody@example.org", "password": "secret-word"})
    assert answer.status_code == 400
    assert "The user name or password is incorrect" in answer.text
    assert 'value="nobody@example.org"' in answer.text
    assert "secret-word" not in answer.text
    assert "set-cookie" not in answer.headers


async def test_second_factor(stranger: httpx.AsyncClient, store: Store) -> None:
    user = await create_person(store, "two@example.org")
    secret = await set_two_factor(store, user, on=True)
    form = {"email": "two@example.org", "password": PASSWORD}
    without = await stranger.post(SIGN_IN, data=form)
    assert (without.status_code, "set-cookie" in without.headers) == (400, False)
    assert "Enter the password again, and the one-time code" in without.text
    right = await stranger.post(SIGN_IN, data=form | {"code": pyotp.TOTP(secret).now()})
    assert right.status_code == 303


async def test_sign_out_removes_the_cookie_and_ends_its_session(app: ASGIApp, store: Store) -> None:
    token = await create_user_token(store, "leaver@example.org")
    async with browser(app, token) as leaving, browser(app, token) as copied:
        assert (await copied.get("/console/")).status_code == 200
        answer = await leaving.post("/console/sign-out")
        assert answer.headers["location"] == SIGN_IN
        assert "max-age=0" in answer.headers["set-cookie"].lower()
        assert (await copied.get("/console/")).headers["location"] == SIGN_IN


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [SIGN_IN, "/console/sign-out", "/console/preferences"])
async def test_writes_of_other_pages_are_refused(
    app: ASGIApp, admin_token: str, path: str, headers: dict[str, str]
) -> None:
    async with browser(app, admin_token) as foreign:
        del foreign.headers["sec-fetch-site"]
        answer = await foreign.post(path, data={"theme": "dark"}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/console/", "/console/records", SIGN_IN, "/console/nothing"])
async def test_every_page_has_the_policy(console: httpx.AsyncClient, path: str) -> None:
    answer = await console.get(path)
    assert answer.headers["content-security-policy"] == CONSOLE_POLICY
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in answer.text
    assert "style=" not in answer.text


async def test_static_files_are_immutable_compressed_and_of_this_version(console: httpx.AsyncClient) -> None:
    page = (await console.get("/console/")).text
    path = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = await console.get(path)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert "light-dark(" in answer.text
    assert (await console.get(path.replace("static/", "static/0"))).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/console/records?page=2", "/console/records?page=2"),
        ("https://evil.example/", "/console/"),
        ("//evil.example", "/console/"),
        ("/console//evil.example", "/console/"),
        ("/console/\\evil", "/console/"),
        ("/console/a\r\nSet-Cookie: x", "/console/a%0D%0ASet-Cookie:%20x"),
        ("", "/console/"),
        (None, "/console/"),
    ],
)
def test_redirects_stay_in_the_console(wanted: str | None, path: str) -> None:
    assert safe_path(wanted) == path


async def test_notice_is_shown_once_and_never_from_an_address(console: httpx.AsyncClient) -> None:
    assert "Pay me" not in (await console.get("/console/?notice=Pay+me")).text


async def test_account_lists_sessions_and_ends_another(app: ASGIApp, store: Store) -> None:
    await create_person(store, "two-places@example.org")
    form = {"email": "two-places@example.org", "password": PASSWORD}
    async with browser(app) as first, browser(app) as second:
        await first.post(SIGN_IN, data=form, headers={"user-agent": "Mozilla/5.0 (Elsewhere)"})
        await second.post(SIGN_IN, data=form)
        page = (await second.get("/console/account")).text
        assert "Mozilla/5.0 (Elsewhere)" in page
        [session] = re.findall(r'name="session" value="(\d+)"', page)
        assert (await first.get("/console/")).status_code == 200
        assert (await second.post("/console/account/sessions", data={"session": session})).status_code == 303
        assert (await first.get("/console/")).status_code == 303
        assert (await second.get("/console/")).status_code == 200


async def test_copy_of_the_cookie_ends_with_the_sign_out(app: ASGIApp, store: Store) -> None:
    await create_person(store, "copy@example.org")
    async with browser(app) as person, browser(app) as thief:
        await person.post(SIGN_IN, data={"email": "copy@example.org", "password": PASSWORD})
        thief.cookies.update(person.cookies)
        assert (await thief.get("/console/")).status_code == 200
        await person.post("/console/sign-out")
        assert (await thief.get("/console/")).status_code == 303
