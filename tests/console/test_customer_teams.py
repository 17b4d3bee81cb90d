"""A customer's page shows what its teams share with it, and what its caps leave (rule 16)."""

from __future__ import annotations

import httpx
from starlette.types import ASGIApp

from creditdesk.entities.roles import READ_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.repository import Store
from tests.console.conftest import browser
from tests.support.api_client import ApiClient, result_value
from tests.support.shared_team import MONEY_CREDIT, MONTH, SharedTeam
from tests.support.users import create_location, create_user_role, create_user_token, http_client

POOLS = "/api/ledger/pools"


async def capped_team(api: ApiClient) -> SharedTeam:
    """A team with 100.00 whose member has drawn 20.00 of 60.00 this month."""
    team = await SharedTeam.create(api.ledger)
    await team.cap("60", MONEY_CREDIT, MONTH)
    await api.create_credit("100.00", CoworkerId=team.payer, IsUniversalCredit=True)
    basket = {"CoworkerId": api.ledger.customer, "BusinessId": api.ledger.business,
              "Sources": [{"Kind": "charge", "Id": 1, "Amount": 20}]}  # fmt: skip
    result_value(await api.post("/api/ledger/spends", basket))
    return team


async def test_customer_page_shows_what_the_caps_leave(console: httpx.AsyncClient, api: ApiClient) -> None:
    await capped_team(api)
    page = await console.get(f"/console/customers/{api.ledger.customer}")
    assert "drawn 20.00 of 60.00 this month, 40.00 left" in page.text
    assert '<progress max="100" value="33"' in page.text
    assert "<small>GBP</small> 40.00" in page.text
    assert "of 80.00 that the team has" in page.text


async def test_user_sees_the_pools_of_its_locations(app: ASGIApp, store: Store, api: ApiClient) -> None:
    await capped_team(api)
    other = await create_location(store)
    async with store.write_session() as session:
        locations = (api.ledger.business, other)
        await session.update(Coworker, [(api.ledger.customer, {"Businesses": locations})])
    found = {}
    for location in (api.ledger.business, other):
        role = await create_user_role(store, location, (READ_ROLE, Coworker.roles["get"], Team.roles["get"]))
        email = f"pools{role}@example.com"
        token = await create_user_token(store, email, is_admin=False, business_ids=[location], user_role_id=role)
        async with http_client(app, token) as reader:
            answer = await reader.get(POOLS, params={"CoworkerId": api.ledger.customer})
            found[location] = [pool["Drawable"] for pool in result_value(answer)]
        async with browser(app, token) as desk:
            page = await desk.get(f"/console/customers/{api.ledger.customer}")
            assert ("40.00 left" in page.text) == (location == api.ledger.business)
    assert found == {api.ledger.business: ["40.0000"], other: []}


async def test_pools_of_a_customer_out_of_sight_are_an_error(app: ASGIApp, store: Store, api: ApiClient) -> None:
    other = await create_location(store)
    role = await create_user_role(store, other, (READ_ROLE,))
    token = await create_user_token(
        store, f"far{role}@example.com", is_admin=False, business_ids=[other], user_role_id=role
    )
    async with http_client(app, token) as reader:
        answer = await reader.get(POOLS, params={"CoworkerId": api.ledger.customer})
    assert answer.status_code == 400
    assert [each["PropertyName"] for each in answer.json()["Errors"]] == ["Coworker"]
