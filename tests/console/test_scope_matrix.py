"""No page, export, count or search result shows a user another location's record, or one without its role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.product import Product
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.roles import READ_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import Store
from tests.console.conftest import browser
from tests.support.ledger_builder import LedgerBuilder, money
from tests.support.users import create_full_user_role, create_location, create_user_role, create_user_token

WORD = "Zanzibar"
"""In every text of the location that the users may not see."""
PART = "anziba"
"""What a search looks for; a page repeats it."""
SCOPED = [entity for entity in PUBLIC_ENTITIES if entity.scope is not None and "list" in entity.verbs]


@dataclass(frozen=True)
class SecretLocation:
    """A location with a customer, credit that was used, and a booking; all of them named by WORD."""

    business: int
    customer: int
    credit: int
    booking: int
    line: int
    view: int


@pytest_asyncio.fixture(scope="module")
async def secret(store: Store, ledger: LedgerBuilder, client: httpx.AsyncClient, clock: object) -> SecretLocation:
    await _rename(store, Business, ledger.business, Name=WORD)
    customer = await ledger.add(
        Coworker, FullName=f"{WORD} Ada", Email="ada@zanzibar.example", Businesses=(ledger.business,)
    )
    body = {"CoworkerId": customer, "BusinessId": ledger.business, "TotalCredit": 50, "Description": f"{WORD} credit",
            "CaneBeUsedForBookings": True}  # fmt: skip
    credit = (await client.post(CoworkerBookingCredit.path(), json=body)).json()["Value"]["Id"]
    booking = await ledger.add_booking(CoworkerId=customer, Notes=f"{WORD} notes")
    basket = {"CoworkerId": customer, "BusinessId": ledger.business, "Sources": [{"Kind": "booking", "Id": booking}]}
    assert (await client.post("/api/ledger/spends", json=basket)).json()["WasSuccessful"]
    await ledger.add(Team, Name=f"{WORD} team", BusinessId=ledger.business)
    await ledger.add(Tariff, Name=f"{WORD} plan", BusinessId=ledger.business, CurrencyId=ledger.currency)
    await ledger.add(Product, Name=f"{WORD} product", BusinessId=ledger.business, Price=money("1"))
    lines = (await client.get("/api/ledger/entries", params={"JournalLine_Kind": "use"})).json()["Records"]
    shared = {"EntityName": "Coworker", "Name": f"{WORD} view", "Query": f"Coworker_FullName={WORD}",
              "BusinessId": ledger.business}  # fmt: skip
    view = (await client.post("/api/sys/savedviews", json=shared)).json()["Value"]["Id"]
    return SecretLocation(ledger.business, customer, credit, booking, lines[0]["Id"], view)


async def _rename(store: Store, entity: type[Entity], record_id: int, **values: object) -> None:
    async with store.write_session() as session:
        await session.update(entity, [(record_id, dict(values))])


@pytest_asyncio.fixture
async def manager(app: ASGIApp, store: Store) -> httpx.AsyncClient:
    """The browser of a user with every role at another location."""
    north = await create_location(store)
    role = await create_full_user_role(store, north)
    token = await create_user_token(
        store, f"manager{north}@example.com", is_admin=False, business_ids=[north], user_role_id=role
    )
    return browser(app, token)


@pytest_asyncio.fixture
async def ledger_reader(app: ASGIApp, store: Store, secret: SecretLocation) -> httpx.AsyncClient:
    """The browser of a user of the location itself who may read the ledger alone."""
    role = await create_user_role(store, secret.business, (READ_ROLE,))
    email = f"reader{role}@example.com"
    token = await create_user_token(store, email, is_admin=False, business_ids=[secret.business], user_role_id=role)
    return browser(app, token)


def pages_about(secret: SecretLocation) -> list[str]:
    """Pages that name the location's records in their address."""
    customer, credit, booking = secret.customer, secret.credit, secret.booking
    return [
        f"/console/customers/{customer}",
        f"/console/customers/{customer}/grant/money",
        f"/console/spend?customer={customer}",
        f"/console/credits/money/{credit}",
        f"/console/credits/money/{credit}/extend",
        f"/console/why/{secret.line}",
        f"/console/proofs/{secret.line}.json",
        f"/console/records/spaces/coworkers/{customer}",
        f"/console/records/spaces/coworkers/{customer}/edit",
        f"/console/records/spaces/bookings/{booking}",
        f"/console/records/billing/coworkerbookingcredits/{credit}/commands/VOID_CREDIT",
        f"/console/records/sys/businesses/{secret.business}",
        f"/console/records/ledger/entries/{secret.line}",
        f"/console/views/{secret.view}",
    ]


OVERVIEWS = (
    "/console/", "/console/customers", "/console/spend", "/console/outstanding", "/console/exceptions",
    "/console/renewals", "/console/bulk", "/console/reports", "/console/preferences", "/console/account",
    "/console/admin", "/console/admin/users", "/console/admin/users/new", "/console/admin/roles",
    "/console/admin/roles/new", "/console/admin/locations", "/console/views", "/console/views/new?list=Coworker",
    f"/console/search?q={PART}", f"/console/customers?q={PART}", f"/console/spend?q={PART}",
)  # fmt: skip


@contextmanager
def collected() -> Iterator[list[str]]:
    """A list that must be empty when the block ends."""
    found: list[str] = []
    yield found
    assert found == []


async def test_a_manager_of_another_location_sees_none_of_its_records(
    manager: httpx.AsyncClient, secret: SecretLocation
) -> None:
    async with manager:
        with collected() as leaks:
            for path in (*OVERVIEWS, *pages_about(secret)):
                answer = await manager.get(path)
                leaks += [f"{path} {answer.status_code}"] if WORD in answer.text else []
                leaks += [f"{path} fails"] if answer.status_code >= 500 else []
            palette = await manager.get(f"/console/search?q={PART}", headers={"hx-request": "true"})
            leaks += ["palette"] if "/console/customers/" in palette.text else []
            described = await manager.get(f"/console/search/credits?q={PART}", headers={"hx-request": "true"})
            leaks += ["credits"] if "/console/credits/" in described.text or described.status_code != 200 else []


@pytest.mark.parametrize("entity", SCOPED, ids=lambda entity: entity.__name__)
async def test_lists_counts_and_exports_are_those_of_the_own_location(
    manager: httpx.AsyncClient, secret: SecretLocation, entity: type[Entity], client: httpx.AsyncClient
) -> None:
    path = f"/console/records/{entity.area}/{entity.plural}"
    async with manager:
        listed = await manager.get(path)
        exported = await manager.get(f"{path}/export.csv")
        chosen = await manager.get(f"{path}?CoworkerBookingCredit_Business={secret.business}")
    assert listed.status_code in (200, 400)
    for page in (listed, exported, chosen):
        assert WORD not in page.text


async def test_bulk_changes_and_writes_reach_no_other_location(
    manager: httpx.AsyncClient, secret: SecretLocation, client: httpx.AsyncClient
) -> None:
    async with manager:
        fields = {"kind": "money", "rows": f"Id\n{secret.credit}\n", "reason": "x", "apply": "1"}
        done = await manager.post("/console/bulk/void", files={n: (None, v) for n, v in fields.items()})
        assert "is not found" in done.text
        assert WORD not in done.text
        basket = {"customer": str(secret.customer), "location": str(secret.business), "amount": "1", "act": "pay"}
        for path, form in (
            ("/console/spend", basket),
            ("/console/spend/preview", basket),
            (f"/console/credits/money/{secret.credit}/extend", {"ExpireDate": ""}),
            (f"/console/records/spaces/coworkers/{secret.customer}/edit", {"FullName": "Mine"}),
            (f"/console/records/billing/coworkerbookingcredits/{secret.credit}/delete", {}),
            (f"/console/views/{secret.view}", {"name": "Mine"}),
            (f"/console/views/{secret.view}/delete", {}),
        ):
            answer = await manager.post(path, data=form)
            assert answer.status_code < 500, path
            assert WORD not in answer.text, path
    credit = (await client.get(f"{CoworkerBookingCredit.path()}/{secret.credit}")).json()
    assert credit["RemainingCredit"] == 10


async def test_a_reader_of_the_ledger_sees_no_record_without_its_role(
    ledger_reader: httpx.AsyncClient, secret: SecretLocation
) -> None:
    async with ledger_reader:
        with collected() as leaks:
            for entity in PUBLIC_ENTITIES:
                if entity.roles["list"] == READ_ROLE or "list" not in entity.verbs:
                    continue
                path = f"/console/records/{entity.area}/{entity.plural}"
                for each in (path, f"{path}/export.csv", f"{path}/new"):
                    answer = await ledger_reader.get(each)
                    leaks += [f"{each} {answer.status_code}"] if answer.status_code not in (403, 404) else []
            for path in ("/console/admin", "/console/admin/users", "/console/admin/imports", "/console/bulk"):
                answer = await ledger_reader.get(path)
                leaks += [path] if answer.status_code != 403 else []
            found = await ledger_reader.get(f"/console/search?q={PART}", headers={"hx-request": "true"})
            leaks += ["search"] if "Ada" in found.text or f"{WORD} credit" in found.text else []
            leaks += ["view"] if f"{WORD} view" in found.text else []
            described = await ledger_reader.get(f"/console/search/credits?q={PART}", headers={"hx-request": "true"})
            leaks += ["credits"] if "/console/credits/" in described.text or "/search/credits" in found.text else []
            first = await ledger_reader.get("/console/")
            leaks += ["menu"] if "/console/admin" in first.text or "/console/bulk" in first.text else []
