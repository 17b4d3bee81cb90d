"""Links for members: signed, expiring, each for one purpose; and the sessions that they open."""

from __future__ import annotations

from datetime import timedelta

import httpx
import jwt
import pytest
from starlette.types import ASGIApp

from creditdesk.auth.credentials import find_credential
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from tests.members.conftest import LINKS, TOKEN, SignInMember, activate, create_link, redeem
from tests.support.api_client import ApiClient, parse_body
from tests.support.users import PASSWORD, create_person, create_user_token, http_client, revoke_tokens

CURRENT = "/api/members/current"


@pytest.fixture
def stranger(app: ASGIApp) -> httpx.AsyncClient:
    """A client that is not signed in."""
    return http_client(app)


def bearer(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def user_of(api: ApiClient, customer: int) -> int:
    return int((await api.ledger.get(Coworker, customer))["UserId"])


async def test_link_makes_a_user_without_rights_and_signs_in_once(api: ApiClient, stranger: httpx.AsyncClient) -> None:
    customer = api.ledger.customer
    await activate(api, customer)
    path = await create_link(api, customer)
    assert path.startswith("/me/link/")
    user = await api.ledger.get(User, await user_of(api, customer))
    assert (user["APIAccess"], user["IsAdmin"], user["UserRoles"]) == (False, False, ())
    headers = bearer(await redeem(stranger, path))
    assert parse_body(await stranger.get(CURRENT, headers=headers))["Customers"][0]["Id"] == customer
    again = await redeem(stranger, path)
    assert (again.status_code, again.json()["error_description"]) == (
        400, "The link was used before. Please ask for a new one.",
    )  # fmt: skip
    created = await api.ledger.find(AuditRecord, Action="member link created", SubjectId=customer)
    assert len(created) == 1
    assert path.rpartition("/")[2] not in created[0]["Details"]


async def test_link_ends_with_its_time_and_with_a_new_password(api: ApiClient, stranger: httpx.AsyncClient) -> None:
    await activate(api, api.ledger.customer)
    late, void = [await create_link(api, api.ledger.customer, minutes=5) for _ in range(2)]
    api.clock.advance(minutes=5, seconds=1)
    assert (await redeem(stranger, late)).json()["error"] == "invalid_grant"
    api.clock.offset = timedelta()
    await revoke_tokens(api.ledger.store, await user_of(api, api.ledger.customer))
    assert (await redeem(stranger, void)).json()["error"] == "invalid_grant"


async def test_each_purpose_has_links_of_its_own(api: ApiClient, stranger: httpx.AsyncClient) -> None:
    """Neither a frame link nor a sign-in link is an access token, and neither is good for the other."""
    await activate(api, api.ledger.customer)
    frame = await create_link(api, api.ledger.customer, "frame")
    sign_in = await create_link(api, api.ledger.customer)
    assert (await redeem(stranger, frame)).status_code == 400
    for path in (frame, sign_in):
        headers = {"Authorization": f"Bearer {path.rpartition('/')[2]}"}
        assert (await stranger.get(CURRENT, headers=headers)).status_code == 401
    assert (await redeem(stranger, sign_in)).status_code == 200


async def test_forged_links_are_refused(api: ApiClient, stranger: httpx.AsyncClient) -> None:
    await activate(api, api.ledger.customer)
    token = (await create_link(api, api.ledger.customer)).rpartition("/")[2]
    claims = jwt.decode(token, options={"verify_signature": False})
    forged = [
        jwt.encode(claims | {"cus": 1}, "x" * 32, "HS256"),
        jwt.encode(claims, "", "none"),
        "",
        "a.b.c",
        "x" * 9000,
    ]
    for each in forged:
        answer = await stranger.post(TOKEN, data={"grant_type": "member_link", "link": each})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), each


async def test_link_to_a_customer_who_is_staff_opens_a_session_of_the_customer_alone(
    api: ApiClient, stranger: httpx.AsyncClient, store: Store
) -> None:
    customer = api.ledger.customer
    await activate(api, customer)
    administrator = await create_person(store, f"boss{customer}@example.org")
    async with store.write_session() as session:
        await session.update(Coworker, [(customer, {"UserId": administrator})])
    headers = bearer(await redeem(stranger, await create_link(api, customer)))
    assert parse_body(await stranger.get(CURRENT, headers=headers))["Customers"][0]["Id"] == customer
    assert (await stranger.get("/api/sys/users", headers=headers)).status_code == 403
    # A token would have the administrator's rights.
    minted = await stranger.post("/api/auth/tokens", json={"Name": "Mine", "Days": 9}, headers=headers)
    assert minted.status_code == 403
    refresh = await redeem(stranger, await create_link(api, customer))
    form = {"grant_type": "refresh_token", "refresh_token": refresh.json()["refresh_token"], "client_id": "member_link"}
    headers = bearer(await stranger.post(TOKEN, data=form))
    assert (await stranger.get("/api/sys/users", headers=headers)).status_code == 403


async def test_member_signs_in_with_a_password(api: ApiClient, stranger: httpx.AsyncClient, store: Store) -> None:
    customer = api.ledger.customer
    await activate(api, customer)
    email = f"ada{customer}@example.org"
    user = await create_person(store, email, is_admin=False, APIAccess=False)
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    refused = await stranger.post(TOKEN, data=form)
    assert refused.json()["error_description"] == "This user has no API access"
    async with store.write_session() as session:
        await session.update(Coworker, [(customer, {"UserId": user})])
    headers = bearer(await stranger.post(TOKEN, data=form))
    assert parse_body(await stranger.get(CURRENT, headers=headers))["Email"] == email


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "CoworkerId"),
        ({"CoworkerId": 999_999}, 400, "CoworkerId"),
        ({"Purpose": "anything"}, 400, "Purpose"),
        ({"Minutes": 10_081}, 400, "Minutes"),
        ({"Minutes": 0}, 400, "Minutes"),
        ({"Minutes": "soon"}, 400, "Minutes"),
    ],
    ids=str,
)
async def test_wrong_values_are_refused(api: ApiClient, body: dict[str, object], status: int, words: str) -> None:
    sent = body if not body or "CoworkerId" in body else {"CoworkerId": api.ledger.customer, **body}
    answer = await api.post(LINKS, sent)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text


async def test_customers_who_may_not_sign_in_get_no_link(api: ApiClient, store: Store) -> None:
    inactive = await api.post(LINKS, {"CoworkerId": api.ledger.customer})
    assert "not active" in inactive.json()["Message"]
    await activate(api, api.ledger.customer)
    async with store.write_session() as session:
        await session.update(Coworker, [(api.ledger.customer, {"Email": "admin@example.com"})])
    taken = await api.post(LINKS, {"CoworkerId": api.ledger.customer})
    assert (taken.status_code, "already used" in taken.text) == (400, True)


async def test_only_users_who_may_change_the_customer_create_links(
    api: ApiClient, app: ASGIApp, store: Store, sign_in_member: SignInMember
) -> None:
    await activate(api, api.ledger.customer)
    token = await create_user_token(store, f"no-roles{api.ledger.customer}@example.org", is_admin=False)
    async with http_client(app, token) as powerless:
        assert (await powerless.post(LINKS, json={"CoworkerId": api.ledger.customer})).status_code == 403
    member = await sign_in_member(api.ledger.customer)
    assert (await member.post(LINKS, json={"CoworkerId": api.ledger.customer})).status_code == 403


async def test_users_of_members_have_a_credential(api: ApiClient, store: Store) -> None:
    await activate(api, api.ledger.customer)
    await create_link(api, api.ledger.customer)
    async with store.read_session() as session:
        credential = await find_credential(session, await user_of(api, api.ledger.customer))
    assert credential is not None
    assert credential["PasswordHash"] is None


async def test_sessions_of_other_sign_ins_are_not_shown(
    api: ApiClient, stranger: httpx.AsyncClient, store: Store
) -> None:
    """A link to a customer who is staff neither shows nor ends the sessions of the operator's user."""
    customer = api.ledger.customer
    await activate(api, customer)
    email = f"staff{customer}@example.org"
    staff = await create_person(store, email)
    async with store.write_session() as session:
        await session.update(Coworker, [(customer, {"UserId": staff})])
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    own = bearer(await stranger.post(TOKEN, data=form))
    [working] = parse_body(await stranger.get("/api/auth/sessions", headers=own))
    headers = bearer(await redeem(stranger, await create_link(api, customer)))
    [shown] = parse_body(await stranger.get("/api/auth/sessions", headers=headers))
    assert shown["Method"] == "sign-in link"
    assert (await stranger.delete(f"/api/auth/sessions/{working['Id']}", headers=headers)).status_code == 404
    assert (await stranger.delete(f"/api/auth/sessions/{shown['Id']}", headers=headers)).status_code == 200
    assert (await stranger.get(CURRENT, headers=headers)).status_code == 401
