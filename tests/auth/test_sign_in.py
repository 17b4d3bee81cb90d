"""Passwords, one-time codes, Basic, access tokens, revocation and failed sign-ins."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import jwt
import pyotp
import pytest

from creditdesk.auth.passwords import Passwords
from creditdesk.auth.token_responses import GrantRefused
from creditdesk.auth.tokens import AccessTokens, signing_secret
from creditdesk.auth.totp import accepted_step, usable
from creditdesk.auth.users_admin import issue_token, set_password, set_two_factor, user_with_email
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.sys.user import User
from creditdesk.schema.errors import Invalid, NotSignedIn, Throttled
from tests.auth.people import (
    CHEAP,
    NOW,
    PASSWORD,
    PASSWORDS,
    authenticator,
    basic,
    form,
    person,
)

SECOND = timedelta(seconds=1)


async def test_a_password_gives_a_token_that_calls(each_store):
    user_id = await person(each_store)
    auth = authenticator(each_store)
    grant = await auth.sign_in(form(), None, NOW)
    assert (grant.token_type, grant.expires_in) == ("bearer", 604_799)
    caller = await auth.caller(f"Bearer {grant.access_token}", NOW)
    assert (caller.user_id, caller.email) == (user_id, "ada@example.org")
    assert caller.unrestricted
    assert caller.locations is None


async def test_the_email_matches_without_case_and_the_scheme_too(store):
    await person(store, "Ada@Example.org")
    auth = authenticator(store)
    grant = await auth.sign_in(form(username=" aDa@example.ORG "), None, NOW)
    assert (await auth.caller(f"bEARER {grant.access_token}", NOW)).email == "Ada@Example.org"


async def test_a_wrong_password_and_an_unknown_user_answer_alike(store):
    await person(store)
    auth = authenticator(store)
    said = []
    for fields in (
        {"password": "wrong"},
        {"username": "nobody@example.org"},
        {"username": ""},
        {"username": "a\x00b"},
        {"username": "x" * 5000},
        {"password": "y" * 5000},
        {"password": ""},
    ):
        with pytest.raises(GrantRefused) as refused:
            await auth.sign_in(form(**fields), None, NOW)
        said.append((refused.value.error, refused.value.sentence))
    assert set(said) == {("invalid_grant", "The user name or password is incorrect")}


async def test_an_unknown_user_costs_a_check_as_well(store, monkeypatch):
    checked = []
    passwords = Passwords(CHEAP)
    plain = passwords._hasher.verify

    class Watched:
        def verify(self, kept, given):
            checked.append(kept)
            return plain(kept, given)

        hash = passwords._hasher.hash

    passwords._hasher = Watched()
    assert not await passwords.verify(None, "anything")
    assert not await passwords.verify(None, "nobody's password")
    assert len(checked) == 2


async def test_checking_a_password_leaves_the_loop_free():
    slow = Passwords(type(CHEAP)(argon2_time_cost=6, argon2_memory_kib=32_768))
    kept = await slow.hash("a long password")
    check = asyncio.create_task(slow.verify(kept, "a long password"))
    ticks = 0
    while not check.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert await check
    assert ticks > 3


async def test_a_token_ends_after_its_life_and_not_before(store):
    await person(store)
    auth = authenticator(store)
    bearer = f"Bearer {(await auth.sign_in(form(), None, NOW)).access_token}"
    await auth.caller(bearer, NOW + timedelta(seconds=604_798))
    with pytest.raises(NotSignedIn):
        await auth.caller(bearer, NOW + timedelta(seconds=604_799))


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer x.y.z", "Basic", "Basic !!", "Basic YWJj", "Token a"],
)
async def test_what_is_no_credential_is_not_signed_in(store, header):
    with pytest.raises(NotSignedIn):
        await authenticator(store).caller(header, NOW)


async def test_a_token_of_another_key_or_algorithm_is_refused(store):
    user_id = await person(store)
    auth = authenticator(store)
    claims = {"sub": str(user_id), "ver": 0, "exp": NOW.timestamp() + 1000}
    forged = [
        AccessTokens("another secret", CHEAP).give(user_id, 0, NOW),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode(claims, "k" * 32, algorithm="HS256"),
    ]
    for token in forged:
        with pytest.raises(NotSignedIn):
            await auth.caller(f"Bearer {token}", NOW)


async def test_verified_tokens_are_remembered_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("creditdesk.auth.tokens.LARGEST_CACHE", 3)
    tokens = AccessTokens("secret", CHEAP)
    given = [tokens.give(n, 0, NOW) for n in range(1, 6)]
    assert [tokens.read(token, NOW).user_id for token in given] == [1, 2, 3, 4, 5]
    assert list(tokens._verified) == given[2:]


async def test_workers_share_one_signing_key(each_store):
    first, second = await asyncio.gather(
        signing_secret(each_store, CHEAP, NOW), signing_secret(each_store, CHEAP, NOW)
    )
    assert first == second
    assert len(first) >= 48


async def test_without_api_access_or_active_there_is_no_call(store):
    for email, changed in (
        ("off@example.org", {"APIAccess": False}),
        ("gone@example.org", {"Active": False}),
    ):
        await person(store, email, **changed)
        auth = authenticator(store)
        with pytest.raises(NotSignedIn):
            await auth.caller(basic(email), NOW)
        with pytest.raises(GrantRefused) as refused:
            await auth.sign_in(form(username=email), None, NOW)
        assert refused.value.error == "invalid_grant"


async def test_access_switched_off_ends_a_live_token_within_the_setting(store):
    user_id = await person(store)
    auth = authenticator(store)
    bearer = f"Bearer {(await auth.sign_in(form(), None, NOW)).access_token}"
    await auth.caller(bearer, NOW)
    async with store.writing() as unit:
        await unit.update(User, [(user_id, {"APIAccess": False})])
    with pytest.raises(NotSignedIn):
        await auth.caller(bearer, NOW + 5 * SECOND)


async def test_a_revocation_reaches_the_other_worker_within_the_setting(each_store):
    user_id = await person(each_store)
    here, there = authenticator(each_store), authenticator(each_store)
    bearer = f"Bearer {(await here.sign_in(form(), None, NOW)).access_token}"
    await there.caller(bearer, NOW)
    await there.caller(basic(), NOW)
    await here.revoke(user_id, NOW)
    with pytest.raises(NotSignedIn):
        await here.caller(bearer, NOW)
    await there.caller(bearer, NOW + 4 * SECOND)
    with pytest.raises(NotSignedIn):
        await there.caller(bearer, NOW + 5 * SECOND)


async def test_a_token_given_after_a_revocation_is_good_everywhere_at_once(store):
    user_id = await person(store)
    here, there = authenticator(store), authenticator(store)
    await there.caller(f"Bearer {(await here.sign_in(form(), None, NOW)).access_token}", NOW)
    await here.revoke(user_id, NOW)
    fresh = await here.sign_in(form(), None, NOW)
    await there.caller(f"Bearer {fresh.access_token}", NOW)


async def test_basic_works_on_every_call_and_is_checked_once(store, monkeypatch):
    await person(store)
    auth = authenticator(store)
    checks = []
    plain = PASSWORDS.verify

    async def verify(kept, given):
        checks.append(given)
        return await plain(kept, given)

    monkeypatch.setattr(PASSWORDS, "verify", verify)
    await asyncio.gather(*(auth.caller(basic(), NOW) for _ in range(8)))
    await auth.caller(basic(), NOW + 299 * SECOND)
    assert len(checks) <= CHEAP.argon2_threads
    before = len(checks)
    await auth.caller(basic(), NOW + 301 * SECOND)
    assert len(checks) == before + 1


async def test_basic_with_a_changed_password_ends_within_the_setting(store):
    user_id = await person(store)
    auth = authenticator(store)
    await auth.caller(basic(), NOW)
    async with store.writing() as unit:
        await set_password(unit, user_id, "another password", now=NOW, passwords=PASSWORDS)
    with pytest.raises(NotSignedIn):
        await auth.caller(basic(), NOW + 5 * SECOND)
    await auth.caller(basic(password="another password"), NOW + 5 * SECOND)


async def test_a_colon_and_accents_belong_to_the_password(store):
    user_id = await person(store)
    async with store.writing() as unit:
        await set_password(unit, user_id, "pa:ss:wörd 1", now=NOW, passwords=PASSWORDS)
    await authenticator(store).caller(basic(password="pa:ss:wörd 1"), NOW)


async def test_a_user_that_was_deleted_has_no_live_token(store):
    user_id = await person(store)
    auth = authenticator(store)
    bearer = f"Bearer {(await auth.sign_in(form(), None, NOW)).access_token}"
    async with store.writing() as unit:
        from creditdesk.auth.credentials import drop_credential

        await drop_credential(unit, user_id)
        await unit.delete(User, [user_id])
    with pytest.raises(NotSignedIn):
        await auth.caller(bearer, NOW)


async def test_a_second_factor_is_asked_for_and_no_code_is_taken_twice(each_store):
    user_id = await person(each_store)
    async with each_store.writing() as unit:
        secret = await set_two_factor(unit, user_id, on=True, now=NOW)
    auth = authenticator(each_store)
    with pytest.raises(GrantRefused) as refused:
        await auth.sign_in(form(), None, NOW)
    assert refused.value.error == "two_factor_auth_check"
    code = pyotp.TOTP(secret).at(NOW)
    assert (await auth.sign_in(form(totp=code), None, NOW)).refresh_token
    for wrong in (code, "000000", "abc", "1" * 400):
        with pytest.raises(GrantRefused) as refused:
            await auth.sign_in(form(totp=wrong), None, NOW)
        assert refused.value.error == "invalid_grant"
    with pytest.raises(NotSignedIn, match="second factor"):
        await auth.caller(basic(), NOW)
    async with each_store.writing() as unit:
        assert await set_two_factor(unit, user_id, on=False, now=NOW) is None
    assert (await auth.sign_in(form(), None, NOW)).access_token


async def test_one_code_sent_twice_at_once_is_taken_once(each_store):
    user_id = await person(each_store)
    async with each_store.writing() as unit:
        secret = await set_two_factor(unit, user_id, on=True, now=NOW)
    asked = form(totp=pyotp.TOTP(secret).at(NOW))
    answers = await asyncio.gather(
        *(authenticator(each_store).sign_in(asked, None, NOW) for _ in range(3)),
        return_exceptions=True,
    )
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1


def test_codes_of_the_neighbouring_steps_are_taken():
    secret = "JBSWY3DPEHPK3PXPJBSWY3DP"
    generator = pyotp.TOTP(secret)
    step = int(NOW.timestamp()) // 30
    for offset in (-1, 0, 1):
        assert accepted_step(secret, generator.generate_otp(step + offset), NOW, 0) == step + offset
    for offset in (-2, 2):
        assert accepted_step(secret, generator.generate_otp(step + offset), NOW, 0) is None
    assert accepted_step(secret, generator.generate_otp(step - 1), NOW, step - 1) is None
    assert accepted_step(secret, "१२३४५६", NOW, 0) is None
    assert usable(secret)
    assert not usable("JBSW")
    assert not usable("not base 32!")


async def test_failures_throttle_an_account_across_workers(each_store):
    await person(each_store)
    workers = [authenticator(each_store, sign_in_failures_account=3) for _ in range(2)]
    for n in range(3):
        with pytest.raises(GrantRefused):
            await workers[n % 2].sign_in(form(password="wrong"), None, NOW + n * SECOND)
    for asked in (form(), form(username="ADA@example.org")):
        with pytest.raises(Throttled) as throttled:
            await workers[0].sign_in(asked, None, NOW + 10 * SECOND)
        assert throttled.value.wait_seconds == 290
        assert "Wait 290 seconds" in throttled.value.sentence
    with pytest.raises(Throttled):
        await workers[1].caller(basic(), NOW + 10 * SECOND)
    assert await workers[1].sign_in(form(), None, NOW + 301 * SECOND)


async def test_an_unknown_account_is_throttled_alike(store):
    auth = authenticator(store, sign_in_failures_account=2)
    for _ in range(2):
        with pytest.raises(GrantRefused):
            await auth.sign_in(form(username="nobody@example.org"), None, NOW)
    with pytest.raises(Throttled):
        await auth.sign_in(form(username="nobody@example.org"), None, NOW)


async def test_an_address_is_throttled_over_all_accounts(store):
    await person(store)
    auth = authenticator(store, sign_in_failures_address=3)
    for n in range(3):
        with pytest.raises(GrantRefused):
            await auth.sign_in(form(username=f"n{n}@example.org"), None, NOW, "192.0.2.7")
    with pytest.raises(Throttled):
        await auth.sign_in(form(), None, NOW, "192.0.2.7")
    assert await auth.sign_in(form(), None, NOW, "192.0.2.8")


async def test_a_success_clears_the_account_and_a_wrong_code_counts(store):
    user_id = await person(store)
    auth = authenticator(store, sign_in_failures_account=2)
    with pytest.raises(GrantRefused):
        await auth.sign_in(form(password="wrong"), None, NOW)
    await auth.sign_in(form(), None, NOW)
    async with store.writing() as unit:
        await set_two_factor(unit, user_id, on=True, now=NOW)
    for _ in range(2):
        with pytest.raises(GrantRefused):
            await auth.sign_in(form(totp="000000"), None, NOW)
    with pytest.raises(Throttled):
        await auth.sign_in(form(totp="000000"), None, NOW)


async def test_guessing_in_parallel_does_not_outrun_the_count(store):
    await person(store)
    auth = authenticator(store, sign_in_failures_account=3, argon2_threads=2)
    answers = await asyncio.gather(
        *(auth.sign_in(form(password=f"guess {n}"), None, NOW) for n in range(20)),
        return_exceptions=True,
    )
    tried = sum(isinstance(answer, GrantRefused) for answer in answers)
    assert 3 <= tried <= 3 + 2
    assert all(isinstance(answer, GrantRefused | Throttled) for answer in answers)


async def test_the_command_line_gives_a_token_without_a_password(store):
    await person(store)
    async with store.reading() as reading:
        user_id = await user_with_email(reading, "ADA@example.org")
    secret = await signing_secret(store, CHEAP, NOW)
    async with store.writing() as unit:
        grant = await issue_token(unit, user_id, secret, CHEAP, now=NOW)
    auth = authenticator(store)
    assert (await auth.caller(f"Bearer {grant.access_token}", NOW)).user_id == user_id
    assert await auth.refresh({"refresh_token": grant.refresh_token}, None, NOW)


async def test_no_password_or_token_is_kept_as_it_is(store):
    await person(store)
    grant = await authenticator(store).sign_in(form(), None, NOW)
    kept = b"".join(path.read_bytes() for path in _files(store))
    assert PASSWORD.encode() not in kept
    assert grant.refresh_token.encode() not in kept
    assert grant.access_token.encode() not in kept
    async with store.reading() as reading:
        (credential,) = await reading.find(Credential)
    assert credential["PasswordHash"].startswith("$argon2id$")


async def test_an_email_is_taken_once_and_a_short_password_is_refused(store):
    await person(store)
    with pytest.raises(Invalid, match="Email"):
        await person(store, "ADA@example.org")
    async with store.writing() as unit:
        user_id = await user_with_email(unit, "ada@example.org")
        with pytest.raises(Invalid, match="8 to 1024 characters"):
            await set_password(unit, user_id, "short", now=NOW, passwords=PASSWORDS)


def _files(store):
    from pathlib import Path

    return sorted(Path(store.path).parent.glob("people.db*"))
