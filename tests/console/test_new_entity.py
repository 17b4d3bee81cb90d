"""One more entity costs no edit of the console: its pages follow from the declaration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from creditdesk.api.context import ApiContext
from creditdesk.api.routes import Api
from creditdesk.app import build_context
from creditdesk.console.application import Console
from creditdesk.schema import entity as declarations
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Money, Text
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.console.conftest import browser
from tests.console.forms import fields_of
from tests.support.api_client import AdjustableClock

RECORD = {"Id": 7, "Name": "Locker 7", "Deposit": msgspec.Raw(b"12.5"), "Large": True, "ToStringText": "Locker 7",
          "UpdatedOn": "2026-01-02T03:04:05Z"}  # fmt: skip


@pytest.fixture
def locker() -> Iterator[type[Entity]]:
    class Locker(Entity, area="spaces", plural="lockers", label="Name"):
        """A locker that a customer may rent."""

        Name = Text(required=True)
        Deposit = Money()
        Large = Boolean(nullable=False)

    yield Locker
    declarations._REGISTRY.pop("Locker")


class LockerApi:
    """Answers as the API would for the entity, and keeps what was written."""

    def __init__(self, context: ApiContext) -> None:
        self.context = context
        self.written: list[tuple[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method in ("POST", "PUT"):
            self.written.append((request.method, msgspec.json.decode(await request.body())))
            return JSONResponse({"Value": {"Id": 7}, "WasSuccessful": True, "Message": "Done"})
        if request.url.path == "/api/spaces/lockers/7":
            return Response(msgspec.json.encode(RECORD))
        if request.url.path == "/api/spaces/lockers":
            page = {"Records": [RECORD], "TotalItems": 1, "CurrentPage": 1, "PageSize": 25, "TotalPages": 1}
            return Response(msgspec.json.encode(page))
        if request.url.path == "/api/sys/savedviews":
            return JSONResponse([])
        return JSONResponse({"Message": "Not allowed"}, 403)


async def test_entity_has_pages_without_a_line_of_the_console(
    store: Store, clock: AdjustableClock, admin_token: str, locker: type[Entity]
) -> None:
    api = LockerApi(replace(build_context(store, Settings(), clock), entities=(locker,)))
    async with browser(Console(cast("Api", api)), admin_token) as console:
        assert "Lockers" in (await console.get("/console/records")).text
        path = "/console/records/spaces/lockers"
        listed = (await console.get(path)).text
        for text in ("<h1>Lockers</h1>", "Locker 7", "12.50", "✓"):
            assert text in listed
        assert "Deposit" in (await console.get(f"{path}/7")).text
        form = fields_of((await console.get(f"{path}/7/edit")).text)
        assert (form["Name"], form["Deposit"], form["Large"]) == ("Locker 7", "12.5", "true")
        await console.post(f"{path}/7/edit", data=form | {"Deposit": "15"})
        new = fields_of((await console.get(f"{path}/new")).text) | {"Name": "Locker 8"}
        created: httpx.Response = await console.post(f"{path}/new", data=new)
    assert created.headers["location"] == f"{path}/7"
    updated = {"Name": "Locker 7", "Deposit": "15", "Large": True, "SystemId": None, "CustomFields": None}
    assert api.written[0] == ("PUT", updated)
    assert api.written[1] == ("POST", {"Name": "Locker 8", "Large": False})
