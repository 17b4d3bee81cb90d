"""What the spend desk previews is what it pays: random baskets over random credits, in a fixed order."""

from __future__ import annotations

import os
import random
import re
from decimal import Decimal

import httpx

from tests.console.forms import fields_of
from tests.support.api_client import ApiClient

ACTS = int(os.environ.get("CREDITDESK_TEST_SPENDS", "60"))
"""On each engine; 500 take a minute."""
CUSTOMERS = 6


async def add_credits(api: ApiClient, chance: random.Random) -> None:
    """Credits with different ends, amounts and uses for the present customer."""
    for _ in range(4):
        await api.create_credit(
            chance.choice(("5", "12.5", "33.3333", "80")),
            CaneBeUsedForBookings=chance.random() < 0.5,
            IsUniversalCredit=chance.random() < 0.7,
            AppliesToCharges=chance.random() < 0.8,
            ExpireDate=chance.choice((None, api.timestamp(days=chance.randint(1, 90)))),
        )


def taken(preview: str) -> dict[int, Decimal]:
    """What a preview takes of each credit, by its number."""
    rows = re.findall(r'<span class="hint">#(\d+)</span></td><td[^>]*>[^<]*</td><td[^>]*><b>−([\d.,]+)</b>', preview)
    found: dict[int, Decimal] = {}
    for number, amount in rows:
        found[int(number)] = found.get(int(number), Decimal(0)) + Decimal(amount.replace(",", ""))
    return found


async def balances(api: ApiClient) -> dict[int, Decimal]:
    listed = await api.get("/api/ledger/balances", CoworkerId=api.ledger.customer)
    return {each["Id"]: Decimal(str(each["Remaining"])) for each in listed["Value"]}


async def test_random_previews_are_the_spends_that_follow(console: httpx.AsyncClient, api: ApiClient) -> None:
    chance = random.Random(20261128)
    paid = 0
    for place in range(CUSTOMERS):
        api.ledger.customer = await api.ledger.add_customer(f"Random {place}")
        await add_credits(api, chance)
        desk = fields_of((await console.get(f"/console/spend?customer={api.ledger.customer}")).text)
        before = await balances(api)
        for act in range(ACTS // CUSTOMERS):
            if act % 8 == 7:
                await add_credits(api, chance)
                before = await balances(api)
            amount = f"{chance.randint(1, 90_000) / 10_000:.{chance.choice((0, 2, 4))}f}"
            form = desk | {"location": str(api.ledger.business), "number": str(1 + place * 1000 + act),
                           "amount": amount if Decimal(amount) else "1", "key": f"random-{place}-{act}"}  # fmt: skip
            expected = taken((await console.post("/console/spend/preview", data=form)).text)
            assert (await console.post("/console/spend", data=form | {"act": "pay"})).status_code == 303
            after = await balances(api)
            moved = {number: left - after.get(number, Decimal(0)) for number, left in before.items()}
            assert {number: amount for number, amount in moved.items() if amount} == expected, form
            paid += bool(expected)
            before = after
    assert paid > ACTS // 4
