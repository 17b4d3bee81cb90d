"""Growing waits after failed sign-ins: who is slowed, who is not, on every worker."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyotp
import pytest

from creditdesk.auth import login_throttle
from creditdesk.auth.authenticator import Authenticator
from creditdesk.auth.origin import RequestOrigin
from creditdesk.auth.token_responses import TokenError
from creditdesk.schema.errors import RateLimited
from creditdesk.schema.repository import Store
from tests.support.users import (
    SIGN_IN_TIME,
    basic_authorization,
    create_authenticator,
    create_person,
    password_form,
    set_two_factor,
)

SECOND = timedelta(seconds=1)
HERE, THERE = RequestOrigin("192.0.2.7"), RequestOrigin("192.0.2.8")
WRONG = password_form(password="wrong")


async def fail(auth: Authenticator, form: dict[str, str], origin: RequestOrigin, now: datetime, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(TokenError):
            await auth.sign_in(form, None, now, origin)


async def wait_of(auth: Authenticator, form: dict[str, str], origin: RequestOrigin, now: datetime) -> int:
    """The seconds that the sign-in must wait; 0 where it succeeds."""
    try:
        await auth.sign_in(form, None, now, origin)
    except RateLimited as error:
        return error.retry_after_seconds
    return 0


async def test_waits_double_from_one_second_up_to_a_limit_across_workers(each_store: Store) -> None:
    await create_person(each_store)
    workers = [create_authenticator(each_store, sign_in_max_wait_seconds=6) for _ in range(2)]
    now, waits = SIGN_IN_TIME, []
    for n in range(9):
        await fail(workers[n % 2], WRONG, HERE, now)
        wait = 0 if n < 4 else await wait_of(workers[(n + 1) % 2], WRONG, HERE, now)
        waits.append(wait)
        now += wait * SECOND
    assert waits == [0, 0, 0, 0, 1, 2, 4, 6, 6]
    await fail(workers[0], WRONG, HERE, now)
    assert await wait_of(workers[1], password_form(username="ADA@example.org"), HERE, now) == 6
    assert await wait_of(workers[1], password_form(), HERE, now + 6 * SECOND) == 0


async def test_guesses_from_elsewhere_do_not_slow_a_user(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store)
    await fail(auth, WRONG, THERE, SIGN_IN_TIME, times=5)
    assert await wait_of(auth, password_form(), THERE, SIGN_IN_TIME) == 1
    assert await wait_of(auth, password_form(), HERE, SIGN_IN_TIME) == 0
    assert await auth.authenticate(basic_authorization(), SIGN_IN_TIME, HERE.address)


async def test_known_clients_behind_the_address_of_a_guesser_are_not_slowed(each_store: Store) -> None:
    await create_person(each_store)
    await create_person(each_store, "eve@example.org")
    auth = create_authenticator(each_store)
    device = RequestOrigin(HERE.address, device_secret="kept by the browser")
    grant = await auth.sign_in(password_form(), None, SIGN_IN_TIME, device)
    basic = basic_authorization()
    await auth.authenticate(basic, SIGN_IN_TIME, HERE.address)
    await fail(auth, WRONG, HERE, SIGN_IN_TIME, times=5)
    unknown = RequestOrigin(HERE.address, device_secret="another secret text")
    for form, origin in ((password_form(), HERE), (password_form(), unknown), (password_form(refresh_token="x"), HERE)):
        assert await wait_of(auth, form, origin, SIGN_IN_TIME) == 1
    assert await wait_of(auth, password_form(), device, SIGN_IN_TIME) == 0
    assert await auth.authenticate(basic, SIGN_IN_TIME + 400 * SECOND, HERE.address)
    known = password_form(refresh_token=grant.refresh_token, client_id="another client")
    await fail(auth, WRONG, HERE, SIGN_IN_TIME + 400 * SECOND)
    assert await wait_of(auth, known | {"username": "eve@example.org"}, HERE, SIGN_IN_TIME + 400 * SECOND) == 0
    assert await wait_of(auth, password_form(), HERE, SIGN_IN_TIME + 400 * SECOND) == 2
    # The sign-in with the device took the place of the first token.
    assert await wait_of(auth, known, HERE, SIGN_IN_TIME + 400 * SECOND) == 2


async def test_valid_refresh_token_makes_a_client_known(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store)
    grant = await auth.sign_in(password_form(), "desk", SIGN_IN_TIME, HERE)
    await fail(auth, WRONG, HERE, SIGN_IN_TIME, times=5)
    assert await wait_of(auth, password_form(), HERE, SIGN_IN_TIME) == 1
    known = password_form(refresh_token=grant.refresh_token)
    assert await wait_of(auth, known, HERE, SIGN_IN_TIME) == 0
    assert await wait_of(auth, known, HERE, SIGN_IN_TIME + timedelta(days=20)) == 0


async def test_known_clients_have_a_wait_of_their_own(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store)
    device = RequestOrigin(HERE.address, device_secret="kept by the browser")
    await auth.sign_in(password_form(), None, SIGN_IN_TIME, device)
    await fail(auth, WRONG, device, SIGN_IN_TIME, times=5)
    assert await wait_of(auth, password_form(), device, SIGN_IN_TIME) == 1
    assert await wait_of(auth, password_form(), HERE, SIGN_IN_TIME) == 0


async def test_device_of_a_stolen_token_is_not_known(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store)
    device = RequestOrigin(HERE.address, device_secret="kept by the browser")
    grant = await auth.sign_in(password_form(), None, SIGN_IN_TIME, device)
    await auth.refresh_tokens({"refresh_token": grant.refresh_token}, None, SIGN_IN_TIME)
    with pytest.raises(TokenError):
        await auth.refresh_tokens({"refresh_token": grant.refresh_token}, None, SIGN_IN_TIME)
    await fail(auth, WRONG, HERE, SIGN_IN_TIME, times=5)
    assert await wait_of(auth, password_form(), device, SIGN_IN_TIME) == 1


async def test_many_failures_of_an_address_leave_one_free_failure(
    each_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_throttle, "BUSY_ADDRESS_FAILURES", 8)
    await create_person(each_store)
    auth = create_authenticator(each_store)
    for n in range(8):
        await fail(auth, password_form(username=f"n{n}@example.org"), HERE, SIGN_IN_TIME)
    await fail(auth, password_form(username="new@example.org"), HERE, SIGN_IN_TIME)
    assert await wait_of(auth, password_form(username="new@example.org"), HERE, SIGN_IN_TIME) == 1
    assert await wait_of(auth, password_form(), HERE, SIGN_IN_TIME) == 0


async def test_unknown_account_is_slowed_like_a_known_one(each_store: Store) -> None:
    auth = create_authenticator(each_store, sign_in_free_failures=2)
    nobody = password_form(username="nobody@example.org")
    await fail(auth, nobody, HERE, SIGN_IN_TIME, times=2)
    assert await wait_of(auth, nobody, HERE, SIGN_IN_TIME) == 1


async def test_wrong_codes_wait_from_every_unknown_address(each_store: Store) -> None:
    user_id = await create_person(each_store)
    code = pyotp.TOTP(await set_two_factor(each_store, user_id, on=True))
    auth = create_authenticator(each_store, sign_in_free_failures=2)
    device = RequestOrigin(HERE.address, device_secret="kept by the browser")
    await auth.sign_in(password_form(totp=code.at(SIGN_IN_TIME)), None, SIGN_IN_TIME, device)
    for n in range(2):
        await fail(auth, password_form(totp="000000"), RequestOrigin(f"192.0.2.{n}"), SIGN_IN_TIME)
    later = SIGN_IN_TIME
    for n, wait in enumerate((1, 2, 4, 8)):
        origin = RequestOrigin(f"198.51.100.{n}")
        assert await wait_of(auth, password_form(totp="000000"), origin, later) == wait
        later += wait * SECOND
        await fail(auth, password_form(totp="000000"), origin, later)
    later += 40 * SECOND
    await fail(auth, password_form(totp="000000"), HERE, later)
    right = password_form(totp=code.at(later))
    assert await wait_of(auth, right, HERE, later) == 32
    assert await wait_of(auth, right, device, later) == 0


async def test_success_resets_the_wait(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store, sign_in_free_failures=2)
    for _ in range(3):
        await fail(auth, WRONG, HERE, SIGN_IN_TIME)
        assert await wait_of(auth, password_form(), HERE, SIGN_IN_TIME) == 0


async def test_failures_are_forgotten_after_a_day_and_the_limit_can_be_off(each_store: Store) -> None:
    await create_person(each_store)
    auth = create_authenticator(each_store, sign_in_free_failures=1, sign_in_max_wait_seconds=200_000)
    await fail(auth, WRONG, HERE, SIGN_IN_TIME)
    assert await wait_of(auth, password_form(), HERE, SIGN_IN_TIME) == 1
    await fail(auth, WRONG, HERE, SIGN_IN_TIME + timedelta(days=1, seconds=1))
    unlimited = create_authenticator(each_store, sign_in_free_failures=0)
    await fail(unlimited, WRONG, THERE, SIGN_IN_TIME, times=12)
