"""Members: customers of the ledger who are users without API access."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.entities.spaces.coworker import Coworker
from tests.support.api_client import ApiClient, result_value
from tests.support.users import http_client

LINKS = "/api/members/links"
TOKEN = "/api/token"
SignInMember = Callable[[int], Awaitable[httpx.AsyncClient]]


async def activate(api: ApiClient, customer: int) -> None:
    """Gives a customer what it needs to become a member: it is active, and has an e-mail."""
    values = {"Active": True, "Email": f"member{customer}@example.com"}
    async with api.ledger.store.write_session() as session:
        await session.update(Coworker, [(customer, values)])


async def create_link(api: ApiClient, customer: int, purpose: str = "sign-in", minutes: int = 60) -> str:
    """The path of a new link."""
    body = {"CoworkerId": customer, "Purpose": purpose, "Minutes": minutes}
    path: str = result_value(await api.post(LINKS, body))["Path"]
    return path


async def redeem(http: httpx.AsyncClient, path: str) -> httpx.Response:
    """Exchanges a sign-in link for tokens."""
    form = {"grant_type": "member_link", "link": path.rpartition("/")[2]}
    return await http.post(TOKEN, data=form)


@pytest_asyncio.fixture
async def sign_in_member(api: ApiClient, app: ASGIApp) -> AsyncIterator[SignInMember]:
    """Signs in as a customer, by a link."""
    clients = []

    async def enter(customer: int) -> httpx.AsyncClient:
        await activate(api, customer)
        client = http_client(app)
        clients.append(client)
        answer = await redeem(client, await create_link(api, customer))
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    yield enter
    for client in clients:
        await client.aclose()
