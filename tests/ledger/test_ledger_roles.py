"""Commands that move credit need the ledger role of the same act under `/api/ledger`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import httpx
import pytest

from creditdesk.app import build_app
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.users_admin import set_roles
from creditdesk.settings import ApiSettings, Settings
from tests.support.api_client import BOOKINGS, CREDITS, TIME_CREDITS, USES, ApiClient, created_id
from tests.support.record_builder import NOW
from tests.support.users import create_user_token, http_client

EDIT_ROLES: Final = (
    "Booking-Create", "Booking-Edit", "Booking-List", "Booking-Read",
    "CoworkerBookingCredit-Edit", "CoworkerExtraService-Edit",
    "CoworkerBookingCreditUseHistory-Edit",
)  # fmt: skip
IMITATED: Final = Settings(api=ApiSettings(require_ledger_roles=False))
_numbers = count(1)


@asynccontextmanager
async def signed_in(api: ApiClient, *roles: str, settings: Settings | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a new user at the customer's location, with the edit roles and `roles`."""
    store, email = api.ledger.store, f"user-{next(_numbers)}@example.org"
    business = api.ledger.business
    token = await create_user_token(store, email, is_admin=False, business_ids=[business])
    async with store.write_session() as session:
        user_id = await find_user_id(session, email)
        assert user_id is not None
        await set_roles(session, user_id, business, (*EDIT_ROLES, *roles), now=NOW)
    async with http_client(build_app(store, settings or Settings(), api.clock), token) as client:
        yield client


async def run_command(client: httpx.AsyncClient, path: str, key: str, record: int, **params: Any) -> httpx.Response:
    named = [{"Name": name, "Type": "string", "Value": value} for name, value in params.items()]
    body = {"Key": key, "Ids": [record], "Parameters": named}
    return await client.post(f"{path}/runcommand", json=body)


async def target_of(api: ApiClient, key: str) -> tuple[str, int, dict[str, Any]]:
    """A new record that the command runs on: its path, its id, and parameters."""
    credit = await api.create_credit("100")
    match key:
        case "REVERSE_USE":
            return USES, created_id(await api.post_use(credit, "10")), {}
        case "ADJUST_CREDIT":
            return CREDITS, credit, {"Amount": "150", "Reason": "Goodwill"}
        case "VOID_CREDIT":
            return CREDITS, credit, {}
        case "SET_OVERDRAFT":
            return TIME_CREDITS, await api.create_time_credit(60), {"Limit": "0"}
        case _:
            booking = await api.create_booking()
            if key == "RECALCULATE_BOOKING":
                assert (await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking])).is_success
            return BOOKINGS, booking, {}


@pytest.mark.parametrize(
    ("key", "role", "other"),
    [
        ("ADJUST_CREDIT", "Ledger-Correct", "Ledger-Spend"),
        ("VOID_CREDIT", "Ledger-Correct", "Ledger-Spend"),
        ("SET_OVERDRAFT", "Ledger-Correct", "Ledger-Spend"),
        ("REVERSE_USE", "Ledger-Correct", "Ledger-Spend"),
        ("CHARGE_BOOKING", "Ledger-Spend", "Ledger-Correct"),
        ("RECALCULATE_BOOKING", "Ledger-Spend", "Ledger-Correct"),
    ],
)
async def test_command_needs_the_ledger_role(api: ApiClient, key: str, role: str, other: str) -> None:
    path, record, params = await target_of(api, key)
    for roles in ((), (other,)):
        async with signed_in(api, *roles) as client:
            refused = await run_command(client, path, key, record, **params)
        assert (refused.status_code, refused.json()["Message"]) == (
            403,
            f"The role {role} is needed",
        )
    async with signed_in(api, role) as client:
        done = await run_command(client, path, key, record, **params)
    # Overdraft is for printing credit alone: past the role, that is what the ledger says.
    assert done.status_code == (400 if key == "SET_OVERDRAFT" else 200), done.text
    path, record, params = await target_of(api, key)
    async with signed_in(api, settings=IMITATED) as client:
        imitated = await run_command(client, path, key, record, **params)
    assert imitated.status_code == done.status_code


async def test_charging_with_a_write_needs_the_spend_role(api: ApiClient) -> None:
    credit = await api.create_credit("100")
    booking = await api.create_booking()
    stored = await api.get(f"{BOOKINGS}/{booking}")
    fresh = {name: stored[name] for name in ("ResourceId", "CoworkerId", "FromTime", "ToTime", "Repeats")}
    charged = {"ChargeNow": True}
    async with signed_in(api) as client:
        assert (await client.post(BOOKINGS, json=fresh | charged)).status_code == 403
        change = await client.put(BOOKINGS, json=stored | charged)
        assert (change.status_code, change.json()["Message"]) == (
            403,
            "The role Ledger-Spend is needed",
        )
        assert (await client.put(BOOKINGS, json=stored)).status_code == 200
    assert await api.remaining(credit) == 100
    async with signed_in(api, "Ledger-Spend") as client:
        assert (await client.put(BOOKINGS, json=stored | charged)).status_code == 200
    assert await api.remaining(credit) == 80
    async with signed_in(api, settings=IMITATED) as client:
        assert (await client.post(BOOKINGS, json=fresh | charged)).status_code == 200
    assert await api.remaining(credit) == 60
