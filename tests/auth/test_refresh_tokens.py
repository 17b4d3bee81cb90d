"""Refresh tokens: rotation, replay, one live token a client, and the client's id."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from creditdesk.auth.token_responses import GrantRefused
from creditdesk.auth.users_admin import set_password
from creditdesk.entities.security.refresh_token import RefreshToken
from creditdesk.entities.sys.user import User
from tests.auth.people import NOW, PASSWORDS, authenticator, form, person

DAY = timedelta(days=1)


async def refused(auth, token, client_id=None, now=NOW):
    with pytest.raises(GrantRefused) as caught:
        await auth.refresh({"refresh_token": token}, client_id, now)
    return caught.value.error == "invalid_grant"


async def again(auth, token, client_id=None, now=NOW):
    return (await auth.refresh({"refresh_token": token}, client_id, now)).refresh_token


async def test_each_use_gives_a_new_token_and_the_access_token_lives_on(each_store):
    await person(each_store)
    auth = authenticator(each_store)
    first = await auth.sign_in(form(), None, NOW)
    second = await auth.refresh({"refresh_token": first.refresh_token}, None, NOW)
    assert second.refresh_token != first.refresh_token
    assert second.access_token != first.access_token
    for grant in (first, second):
        assert await auth.caller(f"Bearer {grant.access_token}", NOW)
    assert await again(auth, second.refresh_token)


async def test_a_replay_ends_the_whole_family(each_store):
    await person(each_store)
    auth, other = authenticator(each_store), authenticator(each_store)
    first = (await auth.sign_in(form(), None, NOW)).refresh_token
    second = await again(auth, first)
    third = await again(other, second)
    assert await refused(auth, first)
    assert await refused(auth, third)


async def test_a_replay_leaves_other_clients_alone(store):
    await person(store)
    auth = authenticator(store)
    phone = (await auth.sign_in(form(), "phone", NOW)).refresh_token
    desk = (await auth.sign_in(form(), "desk", NOW)).refresh_token
    await again(auth, phone, "phone")
    assert await refused(auth, phone, "phone")
    assert await again(auth, desk, "desk")


async def test_one_token_used_twice_at_once_is_good_once(each_store):
    await person(each_store)
    auth = authenticator(each_store)
    token = (await auth.sign_in(form(), None, NOW)).refresh_token
    answers = await asyncio.gather(
        *(auth.refresh({"refresh_token": token}, None, NOW) for _ in range(4)),
        return_exceptions=True,
    )
    good = [answer for answer in answers if not isinstance(answer, Exception)]
    assert len(good) == 1
    assert await refused(auth, good[0].refresh_token)


async def test_a_new_sign_in_ends_the_clients_earlier_token(each_store):
    await person(each_store)
    auth = authenticator(each_store)
    earlier = (await auth.sign_in(form(), "desk", NOW)).refresh_token
    phone = (await auth.sign_in(form(), "phone", NOW)).refresh_token
    later = (await auth.sign_in(form(client_id="DESK"), None, NOW)).refresh_token
    assert await refused(auth, earlier, "desk")
    assert await again(auth, later, "desk")
    assert await again(auth, phone, "phone")


async def test_sign_ins_of_one_client_at_once_leave_one_live_token(each_store):
    await person(each_store)
    auth = authenticator(each_store)
    await asyncio.gather(*(auth.sign_in(form(), None, NOW) for _ in range(5)))
    async with each_store.reading() as reading:
        rows = await reading.find(RefreshToken)
    assert len(rows) == 1


async def test_the_client_must_be_the_one_that_signed_in(store):
    await person(store)
    auth = authenticator(store)
    token = (await auth.sign_in(form(), "desk", NOW)).refresh_token
    assert await refused(auth, token, "phone")
    assert await refused(auth, token)
    assert await again(auth, token, "desk")


async def test_without_a_client_id_the_email_stands_for_it(store):
    await person(store, "Ada@example.org")
    auth = authenticator(store)
    token = (await auth.sign_in(form(), None, NOW)).refresh_token
    token = await again(auth, token)
    token = await again(auth, token, "ada@EXAMPLE.org")
    assert await again(auth, token, "")
    named = (await auth.sign_in(form(), "ada@example.org", NOW)).refresh_token
    assert await again(auth, named)


async def test_a_token_lives_fifteen_days_and_a_rotation_starts_them_anew(store):
    await person(store)
    auth = authenticator(store)
    token = (await auth.sign_in(form(), None, NOW)).refresh_token
    late = NOW + 15 * DAY - timedelta(seconds=1)
    token = await again(auth, token, now=late)
    assert await refused(auth, token, now=late + 15 * DAY)
    await auth.sign_in(form(), None, late + 16 * DAY)
    async with store.reading() as reading:
        assert len(await reading.find(RefreshToken)) == 1


async def test_a_changed_password_a_revocation_and_lost_access_end_it(store):
    user_id = await person(store)
    auth = authenticator(store)
    token = (await auth.sign_in(form(), None, NOW)).refresh_token
    async with store.writing() as unit:
        await set_password(unit, user_id, "another password", now=NOW, passwords=PASSWORDS)
    assert await refused(auth, token)
    asked = form(password="another password")
    token = (await auth.sign_in(asked, None, NOW)).refresh_token
    await auth.revoke(user_id, NOW)
    assert await refused(auth, token)
    token = (await auth.sign_in(asked, None, NOW)).refresh_token
    async with store.writing() as unit:
        await unit.update(User, [(user_id, {"Active": False})])
    assert await refused(auth, token)


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 10_000, "a\x00b"])
async def test_what_is_no_refresh_token_is_refused(store, token):
    await person(store)
    assert await refused(authenticator(store), token)
