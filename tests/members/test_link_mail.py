"""Sign-in links by e-mail: asked for by members and operators, sent by the job, with the server up or away."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.security.link_request import LinkRequest
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.scheduler import link_mail
from creditdesk.scheduler.link_mail import MailPlan, SentMail, send_link_mail
from creditdesk.schema.repository import Store
from creditdesk.settings import MailSettings, Settings
from tests.console.conftest import browser
from tests.members.conftest import activate
from tests.support.api_client import AdjustableClock, ApiClient, parse_body
from tests.support.failing_store import ConnectionLost, FailingStore
from tests.support.mail_server import SITE, KeptMail, mail_plan, mail_server, mail_settings
from tests.support.users import create_user_token, http_client

OWN = "/api/members/link-requests"
SEND = "/api/members/links/send"
ASK = "/me/link"


@dataclass
class Post:
    """The application with a mail server, what the server was sent, and the job that sends."""

    app: ASGIApp
    kept: KeptMail
    plan: MailPlan
    store: Store
    clock: AdjustableClock

    async def send(self) -> SentMail:
        return await send_link_mail(self.store, self.plan, self.clock)

    def to(self, customer: int) -> list[EmailMessage]:
        return [each for each in self.kept.messages if each["To"] == email_of(customer)]


def email_of(customer: int) -> str:
    return f"member{customer}@example.com"


@pytest_asyncio.fixture(scope="module")
async def server() -> AsyncIterator[tuple[KeptMail, MailSettings]]:
    async with mail_server() as running:
        yield running


@pytest_asyncio.fixture
async def post(
    api: ApiClient, store: Store, clock: AdjustableClock, server: tuple[KeptMail, MailSettings]
) -> AsyncIterator[Post]:
    kept, settings = server
    kept.messages.clear()
    kept.replies.clear()
    kept.closes = kept.forgets = False
    await activate(api, api.ledger.customer)
    plan = await mail_plan(store, settings, clock())
    yield Post(build_app(store, Settings(mail=settings), clock), kept, plan, store, clock)
    async with store.write_session() as session:
        rows = await session.find(LinkRequest, columns=["Id"])
        await session.delete(LinkRequest, [row["Id"] for row in rows])


def links_of(message: EmailMessage) -> list[str]:
    """The paths of the links, the same in both parts."""
    plain, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    found: list[str] = re.findall(rf"{SITE}(/me/link/\S+)", plain.get_content())
    assert [f"{SITE}{each}" for each in found] == re.findall(r'href="([^"]+)"', html.get_content())
    return found


async def test_member_asks_and_signs_in_by_the_link(api: ApiClient, post: Post) -> None:
    customer = api.ledger.customer
    async with browser(post.app) as member:
        door = await member.get("/console/sign-in?next=/me/")
        assert f'action="{ASK}"' in door.text
        assert ASK not in (await member.get("/console/sign-in")).text
        typed = email_of(customer).upper()
        known = await member.post(ASK, data={"email": typed}, headers={"accept-language": "es"})
        unknown = await member.post(ASK, data={"email": "NOBODY@EXAMPLE.COM"}, headers={"accept-language": "es"})
        assert known.status_code == 200
        assert known.text.replace(typed, "x") == unknown.text.replace("NOBODY@EXAMPLE.COM", "x")
        assert await post.send() == SentMail(1, ())
        [message] = post.kept.messages
        assert (message["To"], message["Subject"]) == (email_of(customer), "Su enlace de acceso")
        assert message["Auto-Submitted"] == "auto-generated"
        [link] = links_of(message)
        done = await member.post(link, follow_redirects=True)
        assert (done.status_code, done.url.path) == (200, "/me/")
    [created] = await api.ledger.find(AuditRecord, Action="member link created", SubjectId=customer)
    assert email_of(customer) in created["Details"]
    assert link.rpartition("/")[2] not in created["Details"]
    assert await post.send() == SentMail(0, ())


async def test_second_request_within_five_minutes_sends_nothing_more(api: ApiClient, post: Post) -> None:
    body = {"Email": email_of(api.ledger.customer)}
    async with http_client(post.app) as anyone:
        for _ in range(2):
            assert (await anyone.post(OWN, json=body)).json()["WasSuccessful"]
            await post.send()
        assert len(post.to(api.ledger.customer)) == 1
        post.clock.advance(minutes=6)
        await anyone.post(OWN, json=body)
        await post.send()
    assert len(post.to(api.ledger.customer)) == 2


async def test_requests_are_limited_like_failed_sign_ins(api: ApiClient, post: Post) -> None:
    now = post.clock()
    app = build_app(post.store, Settings(mail=mail_settings(25)), lambda: now)
    async with browser(app) as member:
        for _ in range(5):
            assert (await member.post(ASK, data={"email": "many@example.com"})).status_code == 200
        limited = await member.post(ASK, data={"email": "many@example.com"})
        assert (limited.status_code, 'role="alert"' in limited.text) == (429, True)
        assert (await member.post(ASK, data={"email": "other@example.com"})).status_code == 200
        for wrong in ("", "no address", "x" * 400 + "@example.com"):
            assert (await member.post(ASK, data={"email": wrong})).status_code == 400, wrong


async def test_customers_of_one_address_get_one_mail_and_others_none(api: ApiClient, post: Post, store: Store) -> None:
    first, ledger = api.ledger.customer, api.ledger
    away, archived = [await ledger.add_customer(name) for name in ("Away", "Archived")]
    shared = {"Email": email_of(first)}
    async with store.write_session() as session:
        await session.update(Coworker, [(away, shared | {"Active": False}), (archived, shared | {"Archived": True})])
    async with http_client(post.app) as anyone:
        await anyone.post(OWN, json=shared)
        await post.send()
        [message] = post.to(first)
        assert len(links_of(message)) == 1
        user = (await ledger.get(Coworker, first))["UserId"]
        async with store.write_session() as session:
            await session.update(Coworker, [(away, {"Active": True, "UserId": user})])
        post.clock.advance(minutes=6)
        await anyone.post(OWN, json=shared)
        await post.send()
    _, message = post.to(first)
    assert len(set(links_of(message))) == 2


async def test_mail_goes_to_the_customers_own_address(api: ApiClient, post: Post, store: Store) -> None:
    """An address that only looks alike is another one; one of another form reaches the stored one."""
    customer = api.ledger.customer
    async with store.write_session() as session:
        await session.update(Coworker, [(customer, {"Email": f"strasse{customer}@example.com"})])
    async with http_client(post.app) as anyone:
        for typed in (
            f"straße{customer}@example.com",
            f"strasse{customer}@example.com.evil.org",
            f"%{customer}@example.com",
        ):
            await anyone.post(OWN, json={"Email": typed})
    await post.send()
    assert [each["To"] for each in post.kept.messages] == [f"strasse{customer}@example.com"]


async def test_mail_server_that_is_away_fails_no_page_and_loses_no_request(api: ApiClient, post: Post) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    away = await mail_plan(post.store, mail_settings(port), post.clock())
    async with browser(post.app) as member:
        assert (await member.post(ASK, data={"email": email_of(api.ledger.customer)})).status_code == 200
    failed = await send_link_mail(post.store, away, post.clock)
    assert failed.sent == 0
    assert len(failed.problems) == 1
    assert await post.send() == SentMail(0, ()), "it waits for its next attempt"
    post.clock.advance(minutes=2)
    assert await post.send() == SentMail(1, ())
    assert len(post.to(api.ledger.customer)) == 1


async def test_request_ends_a_day_later_and_is_removed(api: ApiClient, post: Post) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    away = await mail_plan(post.store, mail_settings(port), post.clock())
    async with http_client(post.app) as anyone:
        await anyone.post(OWN, json={"Email": email_of(api.ledger.customer)})
    for _ in range(30):
        await send_link_mail(post.store, away, post.clock)
        post.clock.advance(minutes=61)
    await post.send()
    assert await api.ledger.find(LinkRequest) == []
    assert post.kept.messages == []


async def test_rejected_mail_ends_alone(api: ApiClient, post: Post) -> None:
    first = api.ledger.customer
    second, third = [await api.ledger.add_customer(name) for name in ("Grace", "Mary")]
    for each in (second, third):
        await activate(api, each)
    post.kept.replies = {email_of(first): "550 no such mailbox", email_of(second): "451 later"}
    async with http_client(post.app) as anyone:
        for each in (first, second, third):
            await anyone.post(OWN, json={"Email": email_of(each)})
    done = await post.send()
    assert (done.sent, len(post.to(third))) == (1, 1)
    assert any("550 no such mailbox" in each for each in done.problems)
    assert any("451 later" in each for each in done.problems)
    post.kept.replies = {}
    post.clock.advance(minutes=2)
    assert await post.send() == SentMail(1, ())
    assert (len(post.to(first)), len(post.to(second))) == (0, 1)


async def ask_for_three(api: ApiClient, post: Post) -> list[int]:
    """Three customers who each asked for a link."""
    customers = [api.ledger.customer, *[await api.ledger.add_customer(name) for name in ("Grace", "Mary")]]
    async with http_client(post.app) as anyone:
        for each in customers:
            await activate(api, each)
            await anyone.post(OWN, json={"Email": email_of(each)})
    return customers


async def test_a_server_that_closes_the_connection_keeps_one_mail_waiting_and_no_other(
    api: ApiClient, post: Post
) -> None:
    customers = await ask_for_three(api, post)
    post.kept.closes = True
    # The second mail is the one during which the server closes; the third goes over a new connection.
    first = await post.send()
    assert (first.sent, len(first.problems)) == (2, 1)
    post.clock.advance(minutes=2)
    assert await post.send() == SentMail(1, ())
    assert [len(post.to(each)) for each in customers] == [1, 1, 1]


async def test_a_slow_server_leaves_the_rest_for_the_next_run(
    api: ApiClient, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = await ask_for_three(api, post)
    monkeypatch.setattr(link_mail, "MAIL_SECONDS", 0.0)
    assert [await post.send() for _ in range(4)] == [SentMail(1, ())] * 3 + [SentMail(0, ())]
    assert [len(post.to(each)) for each in customers] == [1, 1, 1]


async def test_mail_is_sent_at_least_once_wherever_the_job_or_the_server_dies(
    api: ApiClient, post: Post, store: Store
) -> None:
    failing, statement, sizes = FailingStore(store), 1, []
    was_killed = True
    while was_killed:
        customer = await api.ledger.add_customer(f"Ada {statement}")
        await activate(api, customer)
        async with http_client(post.app) as anyone:
            await anyone.post(OWN, json={"Email": email_of(customer)})
        failing.fail_before(statement)
        with suppress(ConnectionLost):
            await send_link_mail(failing, post.plan, post.clock)
        was_killed = failing.has_failed
        failing.restore()
        post.clock.advance(minutes=2)
        await post.send()
        sizes.append(len(post.to(customer)))
        statement += 2
    assert set(sizes) == {1, 2}, "twice where it died after the server had accepted the mail"
    assert sizes[-1] == 1
    post.kept.forgets = True
    [customer, *_] = await ask_for_three(api, post)
    assert (await post.send()).sent == 0
    post.kept.forgets = False
    post.clock.advance(minutes=2)
    assert (await post.send()).sent == 3
    assert len(post.to(customer)) == 2


async def test_operator_sends_a_link_without_seeing_it(api: ApiClient, post: Post, admin_token: str) -> None:
    customer = api.ledger.customer
    path = f"/console/customers/{customer}/link"
    async with browser(post.app, admin_token) as operator:
        assert 'value="send"' in (await operator.get(path)).text
        sent = await operator.post(path, data={"act": "send", "minutes": "10080", "language": "en"})
        assert f"The link will be sent to {email_of(customer)}" in sent.text
        assert "/me/link/ey" not in sent.text
        await post.send()
        [message] = post.to(customer)
        body = message.get_body(("plain",))
        assert body is not None
        assert "within 7 days" in " ".join(body.get_content().split())
        async with post.store.write_session() as session:
            await session.update(Coworker, [(customer, {"Active": False})])
        refused = await operator.post(path, data={"act": "send", "minutes": "60"})
        assert (refused.status_code, "not active" in refused.text) == (409, True)
    [created] = await api.ledger.find(AuditRecord, Action="member link created", SubjectId=customer)
    assert created["Actor"] == "admin@example.com"


async def test_operator_sees_what_became_of_each_link(api: ApiClient, post: Post, admin_token: str) -> None:
    customer = api.ledger.customer
    other = await api.ledger.add_customer("Grace")
    async with post.store.write_session() as session:
        await session.update(Coworker, [(other, {"Email": email_of(other), "Active": False})])
    page = f"/console/customers/{customer}"
    async with http_client(post.app, admin_token) as api_user, browser(post.app, admin_token) as operator:
        assert "Links by e-mail" not in (await operator.get(page)).text
        for email in (email_of(customer).upper(), email_of(other)):
            await api_user.post(OWN, json={"Email": email})
        [queued] = await requests_of(api_user, customer)
        assert (queued["State"], queued["RequestedBy"], queued["Reason"]) == ("queued", None, "")
        post.kept.replies = {email_of(customer): "451 mailbox is busy"}
        await post.send()
        [retried] = await requests_of(api_user, customer)
        assert (retried["State"], retried["Attempts"]) == ("retrying", 1)
        assert retried["NextAttemptOn"] > retried["RequestedOn"]
        shown = (await operator.get(page, headers={"accept-language": "es"})).text
        assert all(text in shown for text in ("Enlaces por correo", "Aún sin enviar", "451 mailbox is busy"))
        post.kept.replies = {}
        post.clock.advance(minutes=2)
        await post.send()
        await operator.post(f"{page}/link", data={"act": "send", "minutes": "60", "language": "en"})
        post.kept.replies = {email_of(customer): "550 no such mailbox"}
        await post.send()
        refused, sent = await requests_of(api_user, customer)
        assert (refused["State"], refused["RequestedBy"]) == ("failed", "admin@example.com")
        assert "550 no such mailbox" in refused["Reason"]
        assert (sent["State"], sent["Reason"], sent["NextAttemptOn"]) == ("sent", "", None)
        [ended] = await requests_of(api_user, other)
        assert (ended["State"], ended["Reason"]) == ("failed", "no customer may sign in")


async def requests_of(api_user: httpx.AsyncClient, customer: int) -> list[dict[str, Any]]:
    answer = await api_user.get(OWN, params={"CoworkerId": customer})
    found: list[dict[str, Any]] = parse_body(answer)["Records"]
    return found


async def test_operator_without_the_role_or_location_sends_nothing(api: ApiClient, post: Post, store: Store) -> None:
    body = {"CoworkerId": api.ledger.customer}
    token = await create_user_token(store, f"sends-none{api.ledger.customer}@example.org", is_admin=False)
    async with http_client(post.app, token) as powerless:
        assert (await powerless.post(SEND, json=body)).status_code == 403
        assert (await powerless.get(OWN, params=body)).status_code == 403
    async with http_client(post.app) as stranger:
        assert (await stranger.post(SEND, json=body)).status_code == 401
        assert (await stranger.get(OWN, params=body)).status_code == 401
    assert await api.ledger.find(LinkRequest) == []


async def test_nothing_is_offered_without_a_mail_server(api: ApiClient, app: ASGIApp, admin_token: str) -> None:
    async with browser(app) as member, browser(app, admin_token) as operator:
        assert ASK not in (await member.get("/console/sign-in?next=/me/")).text
        assert (await member.post(ASK, data={"email": "ada@example.com"})).status_code == 409
        assert 'value="send"' not in (await operator.get(f"/console/customers/{api.ledger.customer}/link")).text
    refused = await api.post(SEND, {"CoworkerId": api.ledger.customer})
    assert (parse_body(refused)["WasSuccessful"], "No mail server" in refused.text) == (False, True)
