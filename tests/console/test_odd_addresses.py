"""What people and programs write into addresses and forms: never an error of the server."""

from __future__ import annotations

from typing import Final

import httpx
import pytest

from tests.support.api_client import ApiClient

DIGITS: Final = "9" * 5000
"""More than Python reads as a number."""
EASTERN: Final = "\u0663"
LIST: Final = "/console/records/billing/coworkerbookingcredits"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"/console/customers/{DIGITS}", 404),
        (f"/console/credits/money/{'9' * 20}", 404),
        (f"/console/closings/{DIGITS}/2026-10", 404),
        (f"/console/spend?customer={DIGITS}", 200),
        (f"/console/spend?customer={EASTERN}", 200),
        (f"/console/bulk/void?kind=money&id={DIGITS}&id={EASTERN}", 200),
        (f"/console/admin/users?page={DIGITS}", 200),
        (f"/console/search?q={DIGITS}", 200),
        (f"{LIST}?CoworkerBookingCredit_Coworker={DIGITS}", 400),
        (f"{LIST}/jump?column=ExpireDate&date=2026-10-31&size=0", 303),
        (f"{LIST}/jump?column=ExpireDate&date=2026-10-31&size={DIGITS}", 303),
        (f"{LIST}/jump?column=ExpireDate&date=0001-01-01", 303),
        (f"{LIST}/jump?column=ExpireDate&date=9999-12-31&dir=-1", 303),
        ("/console/reports/roll-forward?From=2026-01-01&Page=1.0", 200),
        ("/console/reports/roll-forward?From=2026-01-01&AsKnownAt=0001-01-01T00:00%2B14:00", 400),
    ],
)
async def test_odd_address_is_answered(console: httpx.AsyncClient, address: str, status: int) -> None:
    assert (await console.get(address)).status_code == status


@pytest.mark.parametrize(
    ("address", "form", "status"),
    [
        ("/console/spend", {"customer": "nobody"}, 404),
        ("/console/spend", {"customer": "{customer}", "booking": DIGITS, "act": "hold"}, 400),
        ("/console/customers/{customer}/grant/money", {}, 422),
        ("/console/customers/{customer}/grant/money", {"preview": "1", "amount": "5", "location": DIGITS}, 200),
        ("/console/customers/{customer}/grant/money/effects", {"amount": "5", "location": EASTERN}, 200),
        (
            "/console/customers/{customer}/grant/money",
            {"amount": "5", "Description": "x", "ExpireDate": "0001-01-01T00:00+14:00"},
            400,
        ),
    ],
)
async def test_odd_form_is_answered(
    console: httpx.AsyncClient, api: ApiClient, address: str, form: dict[str, str], status: int
) -> None:
    customer = str(api.ledger.customer)
    sent = {name: value.format(customer=customer) for name, value in form.items()}
    answer = await console.post(address.format(customer=customer), data=sent)
    assert answer.status_code == status, answer.text
