"""Refresh tokens: rotation, replay, one live token a client, and the client's id."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.token_responses import TokenError
from creditdesk.auth.users_admin import set_password
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from tests.support.users import (
    PASSWORDS,
    SIGN_IN_TIME,
    create_authenticator,
    create_person,
    password_form,
)

DAY = timedelta(days=1)


async def refused(auth: Authenticator, token: str, client_id: str | None = None, now: datetime = SIGN_IN_TIME) -> bool:
    with pytest.raises(TokenError) as caught:
        await auth.refresh_tokens({"refresh_token": token}, client_id, now)
    return caught.value.error == "invalid_grant"


async def again(auth: Authenticator, token: str, client_id: str | None = None, now: datetime = SIGN_IN_TIME) -> str:
    return (await auth.refresh_tokens({"refresh_token": token}, client_id, now)).refresh_token


async def test_rotation_keeps_access_token_valid(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store)
    first = await auth.sign_in(password_form(), None, SIGN_IN_TIME)
    second = await auth.refresh_tokens({"refresh_token": first.refresh_token}, None, SIGN_IN_TIME)
    assert second.refresh_token != first.refresh_token
    assert second.access_token != first.access_token
    for grant in (first, second):
        assert await auth.authenticate(f"Bearer {grant.access_token}", SIGN_IN_TIME)
    assert await again(auth, second.refresh_token)


async def test_replay_revokes_token_family(each_store: Store) -> None:
    await create_person(each_store)
    auth, other = create_authenticator(each_store), create_authenticator(each_store)
    first = (await auth.sign_in(password_form(), None, SIGN_IN_TIME)).refresh_token
    second = await again(auth, first)
    third = await again(other, second)
    assert await refused(auth, first)
    assert await refused(auth, third)


async def test_replay_keeps_other_clients(store: Store) -> None:
    await create_person(store)
    auth = create_authenticator(store)
    phone = (await auth.sign_in(password_form(), "phone", SIGN_IN_TIME)).refresh_token
    desk = (await auth.sign_in(password_form(), "desk", SIGN_IN_TIME)).refresh_token
    await again(auth, phone, "phone")
    assert await refused(auth, phone, "phone")
    assert await again(auth, desk, "desk")


async def test_concurrent_use_of_one_token_succeeds_once(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store)
    token = (await auth.sign_in(password_form(), None, SIGN_IN_TIME)).refresh_token
    answers = await asyncio.gather(
        *(auth.refresh_tokens({"refresh_token": token}, None, SIGN_IN_TIME) for _ in range(4)),
        return_exceptions=True,
    )
    good = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(good) == 1
    assert await refused(auth, good[0].refresh_token)


async def test_new_sign_in_revokes_clients_earlier_token(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store)
    earlier = (await auth.sign_in(password_form(), "desk", SIGN_IN_TIME)).refresh_token
    phone = (await auth.sign_in(password_form(), "phone", SIGN_IN_TIME)).refresh_token
    later = (await auth.sign_in(password_form(client_id="DESK"), None, SIGN_IN_TIME)).refresh_token
    assert await refused(auth, earlier, "desk")
    assert await again(auth, later, "desk")
    assert await again(auth, phone, "phone")


async def test_concurrent_sign_ins_of_one_client_leave_one_token(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store)
    await asyncio.gather(*(auth.sign_in(password_form(), None, SIGN_IN_TIME) for _ in range(5)))
    async with each_store.read_session() as reading:
        rows = await reading.find(RefreshToken)
    assert len(rows) == 1


async def test_refresh_requires_same_client(store: Store) -> None:
    await create_person(store)
    auth = create_authenticator(store)
    token = (await auth.sign_in(password_form(), "desk", SIGN_IN_TIME)).refresh_token
    assert await refused(auth, token, "phone")
    assert await refused(auth, token)
    assert await again(auth, token, "desk")


async def test_email_is_default_client_id(store: Store) -> None:
    await create_person(store, "Ada@example.org")
    auth = create_authenticator(store)
    token = (await auth.sign_in(password_form(), None, SIGN_IN_TIME)).refresh_token
    token = await again(auth, token)
    token = await again(auth, token, "ada@EXAMPLE.org")
    assert await again(auth, token, "")
    named = (await auth.sign_in(password_form(), "ada@example.org", SIGN_IN_TIME)).refresh_token
    assert await again(auth, named)


async def test_rotation_renews_fifteen_day_lifetime(store: Store) -> None:
    await create_person(store)
    auth = create_authenticator(store)
    token = (await auth.sign_in(password_form(), None, SIGN_IN_TIME)).refresh_token
    late = SIGN_IN_TIME + 15 * DAY - timedelta(seconds=1)
    token = await again(auth, token, now=late)
    assert await refused(auth, token, now=late + 15 * DAY)
    await auth.sign_in(password_form(), None, late + 16 * DAY)
    async with store.read_session() as reading:
        assert len(await reading.find(RefreshToken)) == 1


async def test_password_change_and_lost_access_end_token(store: Store) -> None:
    user_id = await create_person(store)
    auth = create_authenticator(store)
    token = (await auth.sign_in(password_form(), None, SIGN_IN_TIME)).refresh_token
    async with store.write_session() as session:
        await set_password(session, user_id, "another password", now=SIGN_IN_TIME, passwords=PASSWORDS)
    assert await refused(auth, token)
    form = password_form(password="another password")
    token = (await auth.sign_in(form, None, SIGN_IN_TIME)).refresh_token
    async with store.write_session() as session:
        await session.update(User, [(user_id, {"Active": False})])
    assert await refused(auth, token)


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 10_000, "a\x00b"])
async def test_invalid_refresh_token_is_rejected(store: Store, token: str) -> None:
    await create_person(store)
    assert await refused(create_authenticator(store), token)
