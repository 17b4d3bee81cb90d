"""Passwords, one-time codes, Basic, access tokens, revocation and failed sign-ins."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jwt
import pyotp
import pytest

from creditdesk.auth import sign_in
from creditdesk.auth.audit_trail import record_user_event
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.token_responses import TokenError
from creditdesk.auth.tokens import AccessTokens, signing_secret
from creditdesk.auth.totp import accepted_step, is_valid_secret
from creditdesk.auth.users_admin import issue_token, set_password
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.security.credential import Credential
from creditdesk.entities.sys.user import User
from creditdesk.schema.errors import Conflict, RateLimited, Unauthenticated, ValidationError
from creditdesk.schema.query import where
from creditdesk.schema.repository import Store
from creditdesk.storage.sqlite import SQLiteStore
from tests.support.users import (
    FAST_HASHING,
    PASSWORD,
    PASSWORDS,
    SIGN_IN_TIME,
    basic_authorization,
    create_authenticator,
    create_person,
    password_form,
    revoke_tokens,
    set_two_factor,
)

SECOND = timedelta(seconds=1)


async def test_password_returns_working_token(each_store: Store) -> None:
    user_id = await create_person(each_store)
    auth = create_authenticator(each_store)
    grant = await auth.sign_in(password_form(), None, SIGN_IN_TIME)
    assert (grant.token_type, grant.expires_in) == ("bearer", 604_799)
    caller = await auth.authenticate(f"Bearer {grant.access_token}", SIGN_IN_TIME)
    assert (caller.user_id, caller.email) == (user_id, "ada@example.org")
    assert caller.unrestricted
    assert caller.locations is None


async def test_sign_in_is_tried_again_where_another_record_of_the_trail_came_first(
    each_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = await create_person(each_store)
    auth = create_authenticator(each_store)
    outcomes = iter((Conflict("Another change came first"), None))

    async def compete(*arguments: Any) -> None:
        if (error := next(outcomes)) is not None:
            raise error
        await record_user_event(*arguments)

    monkeypatch.setattr(sign_in, "record_user_event", compete)
    grant = await auth.sign_in(password_form(), None, SIGN_IN_TIME)
    assert (await auth.authenticate(f"Bearer {grant.access_token}", SIGN_IN_TIME)).user_id == user_id
    async with each_store.read_session() as session:
        assert await session.count(AuditRecord, where(AuditRecord, UserId=user_id, Action="sign-in")) == 1


async def test_email_and_scheme_ignore_case(store: Store) -> None:
    await create_person(store, "Ada@Example.org")
    auth = create_authenticator(store)
    grant = await auth.sign_in(password_form(username=" aDa@example.ORG "), None, SIGN_IN_TIME)
    assert (await auth.authenticate(f"bEARER {grant.access_token}", SIGN_IN_TIME)).email == "Ada@Example.org"


async def test_wrong_password_and_unknown_user_return_same_error(store: Store) -> None:
    await create_person(store)
    auth = create_authenticator(store)
    errors = []
    for fields in (
        {"password": "wrong"},
        {"username": "nobody@example.org"},
        {"username": ""},
        {"username": "a\x00b"},
        {"username": "x" * 5000},
        {"password": "y" * 5000},
        {"password": ""},
    ):
        with pytest.raises(TokenError) as refused:
            await auth.sign_in(password_form(**fields), None, SIGN_IN_TIME)
        errors.append((refused.value.error, refused.value.message))
    assert set(errors) == {("invalid_grant", "The user name or password is incorrect")}


async def test_unknown_user_costs_one_hash(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str | bytes] = []
    passwords = Passwords(FAST_HASHING)
    plain = passwords._hasher.verify

    def verify(stored: str | bytes, password: str | bytes) -> bool:
        checked.append(stored)
        return plain(stored, password)

    monkeypatch.setattr(passwords, "_hasher", Mock(verify=verify, hash=passwords._hasher.hash))
    assert not await passwords.verify(None, "anything")
    assert not await passwords.verify(None, "nobody's password")
    assert len(checked) == 2


async def test_password_check_does_not_block_event_loop() -> None:
    slow = Passwords(type(FAST_HASHING)(argon2_time_cost=6, argon2_memory_kib=32_768))
    kept = await slow.hash("a long password")
    check = asyncio.create_task(slow.verify(kept, "a long password"))
    ticks = 0
    while not check.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert await check
    assert ticks > 3


async def test_token_expires_on_time(store: Store) -> None:
    await create_person(store)
    auth = create_authenticator(store)
    bearer = f"Bearer {(await auth.sign_in(password_form(), None, SIGN_IN_TIME)).access_token}"
    await auth.authenticate(bearer, SIGN_IN_TIME + timedelta(seconds=604_798))
    with pytest.raises(Unauthenticated):
        await auth.authenticate(bearer, SIGN_IN_TIME + timedelta(seconds=604_799))


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer x.y.z", "Basic", "Basic !!", "Basic YWJj", "Token a"],
)
async def test_invalid_credentials_are_unauthenticated(store: Store, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await create_authenticator(store).authenticate(header, SIGN_IN_TIME)


async def test_token_of_other_key_or_algorithm_is_rejected(store: Store) -> None:
    user_id = await create_person(store)
    auth = create_authenticator(store)
    claims = {"sub": str(user_id), "sid": 1, "exp": SIGN_IN_TIME.timestamp() + 1000}
    forged = [
        AccessTokens("another secret", FAST_HASHING).issue(user_id, 1, SIGN_IN_TIME),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, "k" * 32, algorithm="HS256"),
    ]
    for token in forged:
        with pytest.raises(Unauthenticated):
            await auth.authenticate(f"Bearer {token}", SIGN_IN_TIME)


async def test_token_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creditdesk.auth.tokens.MAX_CACHED_TOKENS", 3)
    tokens = AccessTokens("secret", FAST_HASHING)
    given = [tokens.issue(n, n, SIGN_IN_TIME) for n in range(1, 6)]
    claims = [tokens.parse(token, SIGN_IN_TIME) for token in given]
    assert [claim.user_id for claim in claims if claim] == [1, 2, 3, 4, 5]
    assert list(tokens._verified) == given[2:]


async def test_workers_share_signing_key(each_store: Store) -> None:
    first, second = await asyncio.gather(
        signing_secret(each_store, FAST_HASHING, SIGN_IN_TIME),
        signing_secret(each_store, FAST_HASHING, SIGN_IN_TIME),
    )
    assert first == second
    assert len(first) >= 48


async def test_user_without_api_access_or_inactive_is_rejected(store: Store) -> None:
    for email, field in (("off@example.org", "APIAccess"), ("gone@example.org", "Active")):
        user_id = await create_person(store, email)
        async with store.write_session() as session:
            await session.update(User, [(user_id, {field: False})])
        auth = create_authenticator(store)
        with pytest.raises(Unauthenticated):
            await auth.authenticate(basic_authorization(email), SIGN_IN_TIME)
        with pytest.raises(TokenError) as refused:
            await auth.sign_in(password_form(username=email), None, SIGN_IN_TIME)
        assert refused.value.error == "invalid_grant"


async def test_revoked_access_ends_live_token_at_once(each_store: Store) -> None:
    user_id = await create_person(each_store)
    here, there = create_authenticator(each_store), create_authenticator(each_store)
    bearer = f"Bearer {(await here.sign_in(password_form(), None, SIGN_IN_TIME)).access_token}"
    for auth in (here, there):
        await auth.authenticate(bearer, SIGN_IN_TIME)
    async with each_store.write_session() as session:
        await session.update(User, [(user_id, {"APIAccess": False})])
    for auth in (here, there):
        with pytest.raises(Unauthenticated):
            await auth.authenticate(bearer, SIGN_IN_TIME)


async def test_revocation_reaches_other_worker_at_once(each_store: Store) -> None:
    user_id = await create_person(each_store)
    here, there = create_authenticator(each_store), create_authenticator(each_store)
    bearer = f"Bearer {(await here.sign_in(password_form(), None, SIGN_IN_TIME)).access_token}"
    for auth in (here, there):
        await auth.authenticate(bearer, SIGN_IN_TIME)
        await auth.authenticate(basic_authorization(), SIGN_IN_TIME)
    async with each_store.write_session() as session:
        await set_password(session, user_id, "another password", now=SIGN_IN_TIME, passwords=PASSWORDS)
    for auth in (here, there):
        for header in (bearer, basic_authorization()):
            with pytest.raises(Unauthenticated):
                await auth.authenticate(header, SIGN_IN_TIME)


async def test_token_issued_after_revocation_works_on_all_workers(store: Store) -> None:
    user_id = await create_person(store)
    here, there = create_authenticator(store), create_authenticator(store)
    await there.authenticate(
        f"Bearer {(await here.sign_in(password_form(), None, SIGN_IN_TIME)).access_token}",
        SIGN_IN_TIME,
    )
    await revoke_tokens(store, user_id)
    fresh = await here.sign_in(password_form(), None, SIGN_IN_TIME)
    await there.authenticate(f"Bearer {fresh.access_token}", SIGN_IN_TIME)


async def test_basic_authentication_hashes_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await create_person(store)
    auth = create_authenticator(store)
    checks: list[str] = []
    plain = PASSWORDS.verify

    async def verify(stored: str | None, password: str) -> bool:
        checks.append(password)
        return await plain(stored, password)

    monkeypatch.setattr(PASSWORDS, "verify", verify)
    await asyncio.gather(*(auth.authenticate(basic_authorization(), SIGN_IN_TIME) for _ in range(8)))
    await auth.authenticate(basic_authorization(), SIGN_IN_TIME + 299 * SECOND)
    assert len(checks) <= FAST_HASHING.argon2_threads
    before = len(checks)
    await auth.authenticate(basic_authorization(), SIGN_IN_TIME + 301 * SECOND)
    assert len(checks) == before + 1


async def test_basic_authentication_ends_after_password_change(store: Store) -> None:
    user_id = await create_person(store)
    auth = create_authenticator(store)
    await auth.authenticate(basic_authorization(), SIGN_IN_TIME)
    async with store.write_session() as session:
        await set_password(session, user_id, "another password", now=SIGN_IN_TIME, passwords=PASSWORDS)
    with pytest.raises(Unauthenticated):
        await auth.authenticate(basic_authorization(), SIGN_IN_TIME)
    await auth.authenticate(basic_authorization(password="another password"), SIGN_IN_TIME)


async def test_password_may_contain_colon_and_accents(store: Store) -> None:
    user_id = await create_person(store)
    async with store.write_session() as session:
        await set_password(session, user_id, "pa:ss:wörd 1", now=SIGN_IN_TIME, passwords=PASSWORDS)
    await create_authenticator(store).authenticate(basic_authorization(password="pa:ss:wörd 1"), SIGN_IN_TIME)


async def test_deleted_user_has_no_live_token(store: Store) -> None:
    user_id = await create_person(store)
    auth = create_authenticator(store)
    bearer = f"Bearer {(await auth.sign_in(password_form(), None, SIGN_IN_TIME)).access_token}"
    async with store.write_session() as session:
        from creditdesk.auth.credentials import delete_credential

        await delete_credential(session, user_id)
        await session.delete(User, [user_id])
    with pytest.raises(Unauthenticated):
        await auth.authenticate(bearer, SIGN_IN_TIME)


async def test_second_factor_is_required_and_code_is_single_use(each_store: Store) -> None:
    user_id = await create_person(each_store)
    secret = await set_two_factor(each_store, user_id, on=True)
    auth = create_authenticator(each_store)
    with pytest.raises(TokenError) as refused:
        await auth.sign_in(password_form(), None, SIGN_IN_TIME)
    assert refused.value.error == "two_factor_auth_check"
    code = pyotp.TOTP(secret).at(SIGN_IN_TIME)
    assert (await auth.sign_in(password_form(totp=code), None, SIGN_IN_TIME)).refresh_token
    for wrong in (code, "000000", "abc", "1" * 400):
        with pytest.raises(TokenError) as refused:
            await auth.sign_in(password_form(totp=wrong), None, SIGN_IN_TIME)
        assert refused.value.error == "invalid_grant"
    with pytest.raises(Unauthenticated, match="second factor"):
        await auth.authenticate(basic_authorization(), SIGN_IN_TIME)
    await set_two_factor(each_store, user_id, on=False)
    assert (await auth.sign_in(password_form(), None, SIGN_IN_TIME)).access_token


async def test_concurrent_use_of_one_code_succeeds_once(each_store: Store) -> None:
    user_id = await create_person(each_store)
    secret = await set_two_factor(each_store, user_id, on=True)
    form = password_form(totp=pyotp.TOTP(secret).at(SIGN_IN_TIME))
    answers = await asyncio.gather(
        *(create_authenticator(each_store).sign_in(form, None, SIGN_IN_TIME) for _ in range(3)),
        return_exceptions=True,
    )
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1


def test_codes_of_adjacent_steps_are_accepted() -> None:
    secret = "JBSWY3DPEHPK3PXPJBSWY3DP"
    generator = pyotp.TOTP(secret)
    step = int(SIGN_IN_TIME.timestamp()) // 30
    for offset in (-1, 0, 1):
        assert accepted_step(secret, generator.generate_otp(step + offset), SIGN_IN_TIME, 0) == step + offset
    for offset in (-2, 2):
        assert accepted_step(secret, generator.generate_otp(step + offset), SIGN_IN_TIME, 0) is None
    assert accepted_step(secret, generator.generate_otp(step - 1), SIGN_IN_TIME, step - 1) is None
    assert accepted_step(secret, "१२३४५६", SIGN_IN_TIME, 0) is None
    assert is_valid_secret(secret)
    assert not is_valid_secret("JBSW")
    assert not is_valid_secret("not base 32!")


async def test_concurrent_guesses_are_counted(store: Store) -> None:
    await create_person(store)
    auth = create_authenticator(store, sign_in_free_failures=3, argon2_threads=2)
    answers = await asyncio.gather(
        *(auth.sign_in(password_form(password=f"guess {n}"), None, SIGN_IN_TIME) for n in range(20)),
        return_exceptions=True,
    )
    tried = sum(isinstance(answer, TokenError) for answer in answers)
    assert 3 <= tried <= 3 + 2
    assert all(isinstance(answer, TokenError | RateLimited) for answer in answers)


async def test_command_line_issues_token_without_password(store: Store) -> None:
    await create_person(store)
    async with store.read_session() as reading:
        user_id = await find_user_id(reading, "ADA@example.org")
    assert user_id is not None
    secret = await signing_secret(store, FAST_HASHING, SIGN_IN_TIME)
    async with store.write_session() as session:
        grant = await issue_token(session, user_id, secret, FAST_HASHING, now=SIGN_IN_TIME)
    auth = create_authenticator(store)
    assert (await auth.authenticate(f"Bearer {grant.access_token}", SIGN_IN_TIME)).user_id == user_id
    assert await auth.refresh_tokens({"refresh_token": grant.refresh_token}, None, SIGN_IN_TIME)


async def test_passwords_and_tokens_are_stored_hashed(store: Store) -> None:
    await create_person(store)
    grant = await create_authenticator(store).sign_in(password_form(), None, SIGN_IN_TIME)
    kept = b"".join(path.read_bytes() for path in _files(store))
    assert PASSWORD.encode() not in kept
    assert grant.refresh_token.encode() not in kept
    assert grant.access_token.encode() not in kept
    async with store.read_session() as reading:
        (credential,) = await reading.find(Credential)
    assert credential["PasswordHash"].startswith("$argon2id$")


async def test_email_is_unique_and_short_password_is_rejected(store: Store) -> None:
    await create_person(store)
    with pytest.raises(ValidationError, match="Email"):
        await create_person(store, "ADA@example.org")
    async with store.write_session() as session:
        user_id = await find_user_id(session, "ada@example.org")
        assert user_id is not None
        with pytest.raises(ValidationError, match="8 to 1024 characters"):
            await set_password(session, user_id, "short", now=SIGN_IN_TIME, passwords=PASSWORDS)


def _files(store: Store) -> list[Path]:
    """The database file and its write-ahead log."""
    assert isinstance(store, SQLiteStore)
    path = Path(store.path)
    files = sorted(path.parent.glob(f"{path.name}*"))
    assert path in files
    return files
