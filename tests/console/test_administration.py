"""Administration: users, groups of roles, clocks, tokens, jobs and settings, each over the API as its user."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.api.administration import ShownSetting
from creditdesk.app import build_app
from creditdesk.console.role_presets import PRESETS, WHOLE_AREA_ROLES
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.roles import ROLES_WITHOUT_ENTITY
from creditdesk.scheduler.jobs import JOB_DECLARATIONS
from creditdesk.scheduler.runner import ScheduledJob, load_job_results, run_due_jobs
from creditdesk.schema.entity import ALL_VERBS
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.console.conftest import browser
from tests.console.forms import fields_of
from tests.support.api_client import ApiClient
from tests.support.users import create_location, create_user_role, create_user_token, http_client

ADMIN = "/console/admin"
pytestmark = pytest.mark.usefixtures("ledger")
PASSWORD = "correct horse battery staple"


async def add_user(console: httpx.AsyncClient, email: str, **fields: str) -> str:
    """The page of a new user."""
    form = {"FullName": "Grace", "Email": email, "Password": PASSWORD, **fields}
    answer = await console.post(f"{ADMIN}/users/new", data=form)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def sign_in(app: ASGIApp, email: str, password: str) -> httpx.Response:
    async with http_client(app) as http:
        return await http.post("/api/token", data={"grant_type": "password", "username": email, "password": password})


def token_of(page: str) -> str:
    found = re.search(r'<code class="secret">([^<]+)', page)
    assert found is not None
    return found[1]


def test_presets_and_areas_name_roles_that_exist() -> None:
    known = {entity.roles[verb] for entity in PUBLIC_ENTITIES for verb in ALL_VERBS} | {*ROLES_WITHOUT_ENTITY}
    assert WHOLE_AREA_ROLES.keys() <= known
    for preset in PRESETS:
        roles = preset.roles(PUBLIC_ENTITIES)
        assert roles <= known
        assert not any(role.startswith(("User-", "UserRole-")) for role in roles)


async def test_a_user_is_created_signs_in_and_is_disabled(console: httpx.AsyncClient, app: ASGIApp) -> None:
    path = await add_user(console, "grace@example.com")
    tokens = (await sign_in(app, "grace@example.com", PASSWORD)).json()
    listed = (await console.get(f"{ADMIN}/users?q=grace")).text
    assert "grace@example.com" in listed
    shown = (await console.get(path)).text
    assert "Signed in at" in shown
    assert 'name="session"' in shown
    await console.post(path, data={"act": "access", "value": "off"})
    assert (await sign_in(app, "grace@example.com", PASSWORD)).status_code == 400
    async with http_client(app, tokens["access_token"]) as http:
        assert (await http.get("/api/auth/me")).status_code == 401
    await console.post(path, data={"act": "access", "value": "on"})
    assert (await sign_in(app, "grace@example.com", PASSWORD)).status_code == 200


async def test_errors_stand_beside_the_form_with_what_was_entered(console: httpx.AsyncClient) -> None:
    answer = await console.post(f"{ADMIN}/users/new", data={"FullName": "Only a name", "Email": "x", "Password": "1"})
    assert answer.status_code == 400
    assert 'value="Only a name"' in answer.text
    assert "Email" in answer.text


async def test_a_new_password_ends_every_session(console: httpx.AsyncClient, app: ASGIApp) -> None:
    path = await add_user(console, "hopper@example.com")
    await sign_in(app, "hopper@example.com", PASSWORD)
    await console.post(path, data={"act": "password", "password": "another long passphrase 7"})
    assert (await sign_in(app, "hopper@example.com", PASSWORD)).status_code == 400
    assert (await sign_in(app, "hopper@example.com", "another long passphrase 7")).status_code == 200


async def test_an_api_token_is_shown_once_and_can_be_ended(console: httpx.AsyncClient, app: ASGIApp) -> None:
    path = await add_user(console, "export@example.com", IsAdmin="true")
    made = (await console.post(path, data={"act": "token", "name": "Accounting export", "days": "90"})).text
    token = token_of(made)
    shown = (await console.get(path)).text
    assert "Accounting export" in shown
    assert token not in shown
    async with http_client(app, token) as program:
        assert (await program.get("/api/auth/me")).status_code == 200
        again = await program.post("/api/auth/tokens", json={"Name": "Another", "Days": 1})
        assert again.status_code == 403
        [session] = re.findall(r'name="session" value="(\d+)"', shown)
        await console.post(path, data={"act": "session", "session": session})
        assert (await program.get("/api/auth/me")).status_code == 401


@pytest.mark.parametrize("body", [{}, {"Name": "x", "Days": 0}, {"Name": "x", "Days": 367}, {"Name": "", "Days": 9}])
async def test_a_token_needs_a_name_and_an_end(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    assert (await client.post("/api/auth/tokens", json=body)).status_code == 400


async def test_a_group_starts_from_a_preset_and_is_saved_as_a_matrix(
    console: httpx.AsyncClient, api: ApiClient, store: Store
) -> None:
    path = f"{ADMIN}/roles/new"
    form = {"Name": "Auditors", "BusinessId": str(api.ledger.business), "role": ["Nobody-Read"]}
    assert (await console.post(path, data=form)).status_code == 422
    await create_user_role(store, api.ledger.business, ("Ledger-Read",))
    page = (await console.get(f"{path}?preset=auditor")).text
    ticked = set(re.findall(r'name="role" value="([^"]+)" checked', page))
    assert ticked == PRESETS[2].roles(PUBLIC_ENTITIES)
    form = {"Name": "Auditors", "BusinessId": str(api.ledger.business), "role": sorted(ticked - {"Booking-List"})}
    saved = await console.post(path, data=form)
    assert saved.headers["location"] == f"{ADMIN}/roles"
    listed = (await console.get(f"{ADMIN}/roles")).text
    [group] = re.findall(r'roles/(\d+)">Auditors', listed)
    again = (await console.get(f"{ADMIN}/roles/{group}")).text
    assert set(re.findall(r'name="role" value="([^"]+)" checked', again)) == ticked - {"Booking-List"}
    refused = await console.post(
        f"{ADMIN}/roles/{group}", data={"Name": "", "BusinessId": "", "role": ["Booking-List"]}
    )
    assert refused.status_code == 400


async def test_the_clock_of_a_location_is_set_and_taken_away(console: httpx.AsyncClient, api: ApiClient) -> None:
    path, location = f"{ADMIN}/locations", str(api.ledger.business)
    set_to = {"location": location, "TimeZone": "Europe/Madrid", "BookingIntervalMinutes": "30"}
    assert (await console.post(path, data=set_to)).status_code == 303
    page = (await console.get(path)).text
    assert 'value="Europe/Madrid"' in page
    profile = fields_of(page)["profile"]
    refused = await console.post(path, data=set_to | {"profile": profile, "TimeZone": "Mars/Olympus"})
    assert refused.status_code == 400
    await console.post(path, data={"location": location, "profile": profile})
    assert 'value="Europe/Madrid"' not in (await console.get(path)).text


async def test_run_now_runs_a_job_once_that_is_not_due(console: httpx.AsyncClient, store: Store) -> None:
    ran: list[str] = []

    async def run() -> str:
        ran.append("verify")
        return "did it"

    declared = next(each for each in JOB_DECLARATIONS if each.name == "verify")
    jobs = [ScheduledJob(declared.name, declared.description, declared.schedule, run)]
    now = datetime.fromisoformat("2026-03-10T12:00:00+00:00")
    await run_due_jobs(store, jobs, "me", lambda: now)
    await run_due_jobs(store, jobs, "me", lambda: now)
    assert len(ran) == 1
    assert (await console.post(f"{ADMIN}/jobs", data={"job": "verify"})).status_code == 303
    assert (await load_job_results(store))["verify"].is_requested
    assert "asked for" in (await console.get(f"{ADMIN}/jobs")).text
    wanted_on = (await load_job_results(store))["verify"].requested
    assert wanted_on is not None
    for _ in range(2):
        await run_due_jobs(store, jobs, "me", lambda: wanted_on + timedelta(seconds=1))
    assert len(ran) == 2
    assert "did it" in (await console.get(f"{ADMIN}/jobs")).text
    assert (await console.post(f"{ADMIN}/jobs", data={"job": "nothing"})).status_code == 400


async def test_today_counts_the_jobs_that_failed(console: httpx.AsyncClient, store: Store) -> None:
    async def run() -> str:
        raise RuntimeError("no disk")

    declared = next(each for each in JOB_DECLARATIONS if each.name == "checkpoint")
    jobs = [ScheduledJob(declared.name, declared.description, declared.schedule, run)]
    assert "Scheduled jobs that failed" not in (await console.get("/console/today/tasks")).text
    await run_due_jobs(store, jobs, "me", lambda: datetime.fromisoformat("2026-03-10T12:00:00+00:00"))
    today = (await console.get("/console/today/tasks")).text
    assert re.search(rf'href="{ADMIN}/jobs"><b class="figures">1</b> <span>Scheduled jobs that failed', today)


@pytest_asyncio.fixture
async def reader(app: ASGIApp, store: Store) -> httpx.AsyncClient:
    """The browser of a user of another location who reads the ledger."""
    north = await create_location(store)
    role = await create_user_role(store, north, ("Ledger-Read", "Booking-List"))
    token = await create_user_token(
        store, f"reader{north}@example.com", is_admin=False, business_ids=[north], user_role_id=role
    )
    return browser(app, token)


async def test_without_the_roles_nothing_is_administered(reader: httpx.AsyncClient) -> None:
    async with reader:
        for path in ("", "/users", "/users/new", "/users/1", "/roles", "/roles/new", "/jobs", "/settings"):
            assert (await reader.get(ADMIN + path)).status_code == 403, path
        for path, form in (
            ("/users/new", {"Email": "evil@example.com", "FullName": "Evil", "IsAdmin": "true"}),
            ("/users/1", {"act": "token", "name": "x", "days": "30"}),
            ("/roles/new", {"Name": "x", "role": "User-Create"}),
            ("/jobs", {"job": "verify"}),
        ):
            assert (await reader.post(ADMIN + path, data=form)).status_code == 403, path
        assert ADMIN not in (await reader.get("/console/")).text


async def test_settings_are_shown_with_their_source(store: Store, admin_token: str) -> None:
    shown = [ShownSetting("auth.signing_key", "********", "CREDITDESK_AUTH_SIGNING_KEY_FILE", "Signs tokens.")]
    async with browser(build_app(store, Settings(), shown_settings=shown), admin_token) as opened:
        page = (await opened.get(f"{ADMIN}/settings")).text
    assert "signing_key" in page
    assert "********" in page
    assert "CREDITDESK_AUTH_SIGNING_KEY_FILE" in page


async def test_the_audit_trail_shows_who_did_what(console: httpx.AsyncClient) -> None:
    await add_user(console, "trail@example.com")
    answer = await console.get(f"{ADMIN}/audit")
    page = (await console.get(answer.headers["location"])).text
    assert "trail@example.com" in page
    assert "created" in page
