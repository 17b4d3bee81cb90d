"""The API as tests use it: one customer, one HTTP client, and an adjustable clock."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from creditdesk.api.ledger.routes import ledger_routes
from creditdesk.api.routes import Api
from creditdesk.app import build_context
from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_invoice import CoworkerInvoice
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.schema.conversions import format_datetime
from creditdesk.settings import Settings
from tests.support.expiry import expire
from tests.support.ledger_builder import LedgerBuilder, money
from tests.support.progress import CollectingReporter

CREDITS = "/api/billing/coworkerbookingcredits"
TIME_CREDITS = "/api/billing/coworkerextraservices"
USES = "/api/billing/coworkerbookingcreditusehistories"
TIME_USES = "/api/billing/coworkerextraserviceusehistories"
BOOKINGS = "/api/spaces/bookings"
RETRY_TIMEOUT_SECONDS = 10.0
"""How long a request is retried while its key is in use."""


@dataclass
class AdjustableClock:
    """The real time plus an offset."""

    offset: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, **amount: float) -> None:
        self.offset += timedelta(**amount)


@dataclass
class ApiClient:
    """Requests of one customer, one method per request; amounts are decimals."""

    http: httpx.AsyncClient
    ledger: LedgerBuilder
    clock: AdjustableClock

    def timestamp(self, **offset: float) -> str:
        """A datetime relative to now, as a request body has it."""
        return format_datetime((self.clock() + timedelta(**offset)).replace(microsecond=0))

    async def post(self, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.http.post(path, json=body or {}, headers=headers)

    async def post_with_retry(self, path: str, body: Any, key: str) -> httpx.Response:
        """Retries a request while its key is in use (409)."""
        until = time.monotonic() + RETRY_TIMEOUT_SECONDS
        while (answer := await self.post(path, body, key)).status_code == 409:
            if time.monotonic() > until:
                break
            await asyncio.sleep(0.01)
        return answer

    async def get(self, path: str, **params: Any) -> Any:
        return parse_body(await self.http.get(path, params=params))

    async def list_records(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """The first 1000 records of a list."""
        return list((await self.get(path, **{"size": 1000, **params}))["Records"])

    async def create_credit(self, total: str | float, **values: Any) -> int:
        """Creates a money credit of the customer that pays for bookings, unless `values` differ."""
        return created_id(await self.post(CREDITS, self.credit_body(total, **values)))

    def credit_body(self, total: str | float, **values: Any) -> dict[str, Any]:
        return {
            "CoworkerId": self.ledger.customer,
            "BusinessId": self.ledger.business,
            "TotalCredit": float(total),
            "CaneBeUsedForBookings": True,
            **values,
        }

    async def create_time_credit(self, total: int, **values: Any) -> int:
        body = {
            "CoworkerId": self.ledger.customer,
            "BusinessId": self.ledger.business,
            "ExtraServiceId": self.ledger.rate,
            "TotalUses": total,
            "ChargePeriod": 1,
            **values,
        }
        return created_id(await self.post(TIME_CREDITS, body))

    async def post_use(self, credit: int, amount: str | float, key: str | None = None, **values: Any) -> httpx.Response:
        body = {"CoworkerBookingCreditId": credit, "CreditUsed": float(amount), **values}
        return await self.post(USES, body, key)

    async def create_booking(self, hours: float = 1, **values: Any) -> int:
        """Creates a booking that starts tomorrow and costs 20.00 per hour."""
        starts = self.clock().replace(microsecond=0) + timedelta(days=1)
        body = {
            "ResourceId": self.ledger.resource,
            "CoworkerId": self.ledger.customer,
            "FromTime": format_datetime(starts),
            "ToTime": format_datetime(starts + timedelta(hours=hours)),
            "Repeats": 1,
            **values,
        }
        return created_id(await self.post(BOOKINGS, body))

    async def create_invoice_line(self, amount: str) -> int:
        """Creates a line of a new invoice of the customer."""
        invoice = await self.ledger.add(
            CoworkerInvoice,
            CoworkerId=self.ledger.customer,
            BusinessId=self.ledger.business,
            CurrencyId=self.ledger.currency,
            InvoiceNumber=f"I-{self.ledger.customer}",
        )
        return await self.ledger.add(
            CoworkerInvoiceLine,
            CoworkerInvoiceId=invoice,
            Description="Desk",
            Quantity=1,
            SubTotal=money(amount),
        )

    async def create_tariff(self) -> int:
        """Creates a plan of the location."""
        return await self.ledger.add(
            Tariff, Name="Flex", BusinessId=self.ledger.business, CurrencyId=self.ledger.currency
        )

    async def create_plan_contract(self) -> int:
        """Creates the customer's contract of a plan that renews 60.00 on every first of the month."""
        tariff = await self.create_tariff()
        await self.ledger.add(
            TariffBookingCredit,
            Name="Credit",
            TariffId=tariff,
            Credit=money("60.00"),
            CaneBeUsedForBookings=True,
            ServiceRenewalTime=2,
        )
        return await self.ledger.add(
            CoworkerContract,
            IssuedById=self.ledger.business,
            CoworkerId=self.ledger.customer,
            TariffId=tariff,
            StartDate=self.clock().replace(microsecond=0),
            BillingDay=1,
            Quantity=1,
            Active=True,
        )

    async def run_command(
        self, path: str, command: str, ids: list[int], key: str | None = None, **parameters: Any
    ) -> httpx.Response:
        named = [{"Name": name, "Type": "string", "Value": value} for name, value in parameters.items()]
        body = {"Key": command, "Ids": ids, "Parameters": named}
        return await self.post(f"{path}/runcommand", body, key)

    def basket_body(self, *sources: dict[str, Any]) -> dict[str, Any]:
        return {
            "CoworkerId": self.ledger.customer,
            "BusinessId": self.ledger.business,
            "Sources": list(sources),
        }

    async def preview(self, *sources: dict[str, Any]) -> list[dict[str, Any]]:
        """The result of a spend for each item, without spending."""
        answer = await self.post("/api/ledger/previews", self.basket_body(*sources))
        return list(result_value(answer)["Allocation"]["sources"])

    async def spend(self, *sources: dict[str, Any], key: str | None = None) -> httpx.Response:
        return await self.post("/api/ledger/spends", self.basket_body(*sources), key)

    async def create_hold(self, *sources: dict[str, Any]) -> int | None:
        """Creates a hold and returns its number, None when no credit could be held."""
        group: int | None = result_value(await self.post("/api/ledger/holds", self.basket_body(*sources)))["HoldId"]
        return group

    async def remaining(self, credit: int) -> Decimal:
        return Decimal((await self.get(f"{CREDITS}/{credit}"))["RemainingCredit"])

    async def get_balance(self, credit: int, kind: str = "money", **params: Any) -> dict[str, Any]:
        found = await self.get("/api/ledger/balances", CoworkerId=self.ledger.customer, **params)
        return next(b for b in found["Value"] if (b["Kind"], b["Id"]) == (kind, credit))

    async def list_uses(self, credit: int) -> list[dict[str, Any]]:
        """The history rows of a money credit, oldest first."""
        named = {"CoworkerBookingCreditUseHistory_CoworkerBookingCredit": credit}
        return await self.list_records(USES, orderby="Id", **named)

    async def list_journal_lines(self, credit: int, kind: str = "money") -> list[dict[str, Any]]:
        """The journal lines of a credit by sequence."""
        named = {"JournalLine_CreditKind": kind, "JournalLine_CreditId": credit}
        return await self.list_records("/api/ledger/entries", orderby="Sequence", **named)

    async def expire_credits(self) -> None:
        """Runs the expiry job (rule 28)."""
        async with self.ledger.store.write_session() as unit:
            for side in MAPPINGS.values():
                await expire(unit, side, self.ledger.request_context(), self.ledger.context)

    async def verify_problems(self) -> list[str]:
        """The problems that `creditdesk verify` finds."""
        report = CollectingReporter()
        await verify_ledger(self.ledger.store, report)
        return report.problems


def ledger_app(ledger: LedgerBuilder) -> Api:
    """The application over the builder's store, with its clock and settings."""
    parts = build_context(ledger.store, Settings(), lambda: ledger.now)
    routes = ledger_routes(ledger.context, ledger.spends())
    return Api(replace(parts, extra_routes=(*parts.extra_routes, *routes)))


def parse_body(answer: httpx.Response) -> Any:
    """The JSON body with exact decimals; any status but 200 fails the test."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content, parse_float=Decimal)


def result_value(answer: httpx.Response) -> Any:
    """The Value of an action that succeeded."""
    body = parse_body(answer)
    assert body["WasSuccessful"], body
    return body["Value"]


def created_id(answer: httpx.Response) -> int:
    """The Id of a record that was created."""
    return int(result_value(answer)["Id"])


def succeeded(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and bool(answer.json()["WasSuccessful"])


def paid_parts(source: dict[str, Any]) -> list[tuple[str, Any]]:
    """The credit and the amount of each part of a source."""
    return [(part["credit"], part["taken"]) for part in source["parts"]]


def reason_codes(source: dict[str, Any]) -> dict[str, str]:
    """The reason code of each credit that was considered."""
    return {seen["credit"]: seen["reason"] for seen in source["considered"]}


def booking_item(number: int, **values: Any) -> dict[str, Any]:
    return {"Kind": "booking", "Id": number, **values}


def charge_item(number: int, amount: float, **values: Any) -> dict[str, Any]:
    return {"Kind": "charge", "Id": number, "Amount": amount, **values}
