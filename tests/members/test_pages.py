"""The member's pages as a browser without scripts gets them, and what they show of whom."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.console.security import CONSOLE_POLICY, frame_headers
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.errors import ValidationError
from creditdesk.schema.repository import Store
from creditdesk.settings import ConsoleSettings, Settings
from tests.console.conftest import browser
from tests.members.conftest import activate, create_link
from tests.support.api_client import BOOKINGS, AdjustableClock, ApiClient, result_value
from tests.support.users import PASSWORD, create_person

LET_MEMBERS_IN = Path(__file__).parents[2] / "docs" / "how-to" / "let-members-in.md"
PAGES = ("/me/", "/me/history", "/me/statement")


@pytest_asyncio.fixture
async def visitor(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is not signed in."""
    async with browser(app) as opened:
        yield opened


async def enter(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    """Signs the client's customer in by a link, as its button does."""
    await activate(api, api.ledger.customer)
    path = await create_link(api, api.ledger.customer)
    answer = await visitor.post(path, follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/me/")


async def spend(api: ApiClient) -> int:
    """A booking that money and time pay for; the number of the journal line of the money."""
    await api.create_credit("40.00", Description="Rooms", ExpireDate=api.timestamp(days=3))
    await api.create_credit("5.00", Description="Meetups", CaneBeUsedForBookings=False, CaneBeUsedForEvents=True)
    await api.create_time_credit(60)
    booking = await api.create_booking(hours=2)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    lines = await api.list_records("/api/ledger/entries", JournalLine_SourceId=booking, JournalLine_CreditKind="money")
    return int(lines[0]["Id"])


def text_of(answer: httpx.Response) -> str:
    """The words of a page, on one line."""
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


async def test_link_asks_before_it_is_used(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    await activate(api, api.ledger.customer)
    path = await create_link(api, api.ledger.customer)
    for _ in range(2):
        page = await visitor.get(path)
        assert (page.status_code, "set-cookie" in page.headers) == (200, False)
        assert f'action="{path}"' in page.text
    assert (await visitor.post(path)).status_code == 303
    assert "used before" in (await visitor.post(path)).text
    assert "not valid" in (await visitor.post("/me/link/a.b.c")).text


async def test_first_page_says_what_can_be_spent_and_what_to_use_first(
    api: ApiClient, visitor: httpx.AsyncClient
) -> None:
    await spend(api)
    await enter(api, visitor)
    text = text_of(await visitor.get("/me/"))
    assert "You can spend GBP 25.00 first expiry in 3 days" in text
    assert text.index("Use first Rooms Expires soon") < text.index("Meetups does not expire · for events")
    assert re.search(r"Blue .*? used · Rooms", text, re.IGNORECASE)


async def test_history_says_why_a_credit_paid_and_others_did_not(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    line = await spend(api)
    await enter(api, visitor)
    history = await visitor.get("/me/history")
    assert f"/me/why/{line}" in history.text
    assert "1–5 of 5" in history.text
    text = text_of(await visitor.get(f"/me/why/{line}"))
    assert "The price was GBP 40.00." in text
    assert "Rate 1 Time and prints pay before money: 60 Rate 1." in text
    assert "Meetups It is not for bookings." in text
    assert "rule" not in text.lower()


async def test_statement_is_a_page_and_files_of_the_own_customer(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    await spend(api)
    own = api.ledger.customer
    api.ledger.customer = await api.ledger.add_customer("Grace")
    await api.create_credit("99.00", Description="Of another")
    api.ledger.customer = own
    await enter(api, visitor)
    assert "Used" in text_of(await visitor.get("/me/statement"))
    for name, start in (("pdf", b"%PDF"), ("xlsx", b"PK"), ("csv", b"LocalDate")):
        answer = await visitor.get(f"/me/statement/{name}")
        assert (answer.status_code, answer.headers["content-disposition"]) == (
            200, f'attachment; filename="statement.{name}"',
        )  # fmt: skip
        assert answer.content.startswith(start), answer.content[:20]
    assert b"Rooms" in answer.content
    assert b"Of another" not in answer.content
    wrong = await visitor.get("/me/statement", params={"from": "soon"})
    assert (wrong.status_code, 'role="alert"' in wrong.text) == (400, True)
    assert (await visitor.get("/me/statement/exe")).status_code == 303


async def test_proof_is_a_file_once_a_checkpoint_is_made(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    line = await spend(api)
    await enter(api, visitor)
    missing = await visitor.get(f"/me/proof/{line}")
    assert missing.status_code in (404, 409)
    assert "Back to your credit" in missing.text


async def test_pages_of_others_are_not_found(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    own = api.ledger.customer
    api.ledger.customer = await api.ledger.add_customer("Grace")
    foreign = await spend(api)
    api.ledger.customer = own
    await enter(api, visitor)
    assert (await visitor.get(f"/me/why/{foreign}")).status_code == 404
    assert (await visitor.get(f"/me/proof/{foreign}")).status_code == 404
    for path in PAGES:
        page = await visitor.get(path, params={"customer": 1})
        assert "Rooms" not in page.text
        assert (page.status_code, page.headers["content-security-policy"]) == (200, CONSOLE_POLICY)


async def test_team_pool_shows_own_draws_and_cap(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    own, ledger = api.ledger.customer, api.ledger
    payer = await ledger.add_customer("Payer")
    team = await ledger.add(
        Team, Name="Mill", BusinessId=ledger.business, PayingMemberId=payer, ShareBookingCredit=True,
        TeamMembers=(own, payer),
    )  # fmt: skip
    await api.create_credit("100.00", CoworkerId=payer, Description="Pool of the mill")
    result_value(await api.post("/api/ledger/poolcaps", {"TeamId": team, "CreditKind": 1, "Period": 3, "Amount": 60}))
    booking = await api.create_booking(hours=1)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    await enter(api, visitor)
    first = await visitor.get("/me/")
    text = text_of(first)
    assert "Shared by your team Mill" in text
    assert "GBP 40.00 of 80.00 that the team has" in text
    assert "You used 20.00 of 60.00 this month" in text
    assert "used · paid with credit of your team" in text.lower()
    line = re.findall(r"/me/why/(\d+)", first.text)[0]
    why = text_of(await visitor.get(f"/me/why/{line}"))
    assert "Credit of your team Your own credit pays before that of a team" in why
    assert "Pool of the mill" not in why


async def test_staff_and_members_have_pages_of_their_own(
    api: ApiClient, visitor: httpx.AsyncClient, app: ASGIApp, admin_token: str
) -> None:
    await enter(api, visitor)
    for path in ("/console/", "/console/customers", "/console/records"):
        answer = await visitor.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/me/"), path
    async with browser(app, admin_token) as staff:
        answer = await staff.get("/me/history")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/")


async def test_strangers_sign_in_first_and_come_back(api: ApiClient, visitor: httpx.AsyncClient, store: Store) -> None:
    customer, email = api.ledger.customer, f"pass{api.ledger.customer}@example.org"
    await activate(api, customer)
    user = await create_person(store, email, is_admin=False, APIAccess=False)
    async with store.write_session() as session:
        await session.update(Coworker, [(customer, {"UserId": user})])
    wanted = await visitor.get("/me/statement?from=2026-01-01")
    assert wanted.status_code == 303
    form = {"email": email, "password": PASSWORD, "next": "/me/statement?from=2026-01-01"}
    answer = await visitor.post("/console/sign-in", data=form, follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/me/statement")
    assert (await visitor.get("/me")).headers["location"] == "/me/"


async def test_sign_out_ends_the_session(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    await enter(api, visitor)
    await visitor.post("/console/sign-out")
    assert (await visitor.get("/me/")).status_code == 303


async def test_spanish_and_dark(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    await spend(api)
    await enter(api, visitor)
    saved = await visitor.post("/me/appearance", data={"language": "es", "theme": "dark", "next": "/me/history"})
    assert saved.headers["location"] == "/me/history"
    page = (await visitor.get("/me/")).text
    assert '<html lang="es" data-theme="dark"' in page
    assert "Puede gastar" in page
    assert "para eventos" in page


async def test_operator_creates_a_link_on_the_customer_page(api: ApiClient, app: ASGIApp, admin_token: str) -> None:
    await activate(api, api.ledger.customer)
    path = f"/console/customers/{api.ledger.customer}"
    async with browser(app, admin_token) as staff:
        assert f"{path}/link" in (await staff.get(path)).text
        assert "What it is for" in (await staff.get(f"{path}/link")).text
        made = await staff.post(f"{path}/link", data={"purpose": "sign-in", "minutes": "60"})
        assert "https://creditdesk.test/me/link/ey" in made.text
        wrong = await staff.post(f"{path}/link", data={"purpose": "sign-in", "minutes": "0"})
        assert (wrong.status_code, "Minutes" in wrong.text) == (400, True)


SITE = "https://www.example.com"


@pytest_asyncio.fixture
async def framing(store: Store, clock: AdjustableClock) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a session, at a server that one site may frame."""
    settings = Settings(console=ConsoleSettings(frame_ancestors=f"{SITE}, https://*.example.org:8443"))
    async with browser(build_app(store, settings, clock)) as opened:
        yield opened


async def test_frame_shows_the_page_without_a_session_until_it_expires(
    api: ApiClient, framing: httpx.AsyncClient
) -> None:
    await spend(api)
    await activate(api, api.ledger.customer)
    path = await create_link(api, api.ledger.customer, "frame", minutes=30)
    page = await framing.get(path)
    assert "You can spend GBP 25.00" in text_of(page)
    assert page.headers["content-security-policy"].endswith(f"frame-ancestors {SITE} https://*.example.org:8443")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in page.headers
    assert not re.findall(r'href="/(?:me|console/(?!static))', page.text)
    assert (await framing.get("/me/")).status_code == 303
    api.clock.advance(minutes=31)
    gone = await framing.get(path)
    assert (gone.status_code, "has expired" in gone.text, SITE in gone.headers["content-security-policy"]) == (
        403, True, True,
    )  # fmt: skip


async def test_frame_link_ends_with_its_session(api: ApiClient, framing: httpx.AsyncClient) -> None:
    await activate(api, api.ledger.customer)
    path = await create_link(api, api.ledger.customer, "frame")
    user = (await api.ledger.get(Coworker, api.ledger.customer))["UserId"]
    [session] = await api.get("/api/auth/sessions", UserId=user)
    assert session["Method"] == "frame link"
    assert (await framing.get(path)).status_code == 200
    assert (await api.http.delete(f"/api/auth/sessions/{session['Id']}")).status_code == 200
    assert (await framing.get(path)).status_code == 403


async def test_no_site_may_frame_unless_it_is_named(api: ApiClient, visitor: httpx.AsyncClient) -> None:
    await activate(api, api.ledger.customer)
    for purpose in ("frame", "sign-in"):
        token = (await create_link(api, api.ledger.customer, purpose)).rpartition("/")[2]
        assert (await visitor.get(f"/me/frame/{token}")).status_code == 404


async def test_script_for_other_sites_never_changes(visitor: httpx.AsyncClient) -> None:
    """Sites name it with this digest. Another script is another file."""
    answer = await visitor.get("/me/embed-1.js")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    # A browser compares the digest only of what it may read.
    assert answer.headers["access-control-allow-origin"] == "*"
    digest = base64.b64encode(sha256(answer.content).digest()).decode()
    assert digest == "d4+2VR4qlYGfgVoL9h1jajJDSnX2RX0twsj2d6s7ues="
    assert f"sha256-{digest}" in LET_MEMBERS_IN.read_text("utf-8")


async def test_sign_in_link_opens_no_frame(api: ApiClient, framing: httpx.AsyncClient) -> None:
    await activate(api, api.ledger.customer)
    token = (await create_link(api, api.ledger.customer)).rpartition("/")[2]
    assert (await framing.get(f"/me/frame/{token}")).status_code == 403


@pytest.mark.parametrize("origins", ["*", "example.com", "https://a.example; script-src *", "https://a b", "data:"])
def test_origins_of_frames_are_checked(origins: str) -> None:
    with pytest.raises(ValidationError):
        frame_headers(origins)
