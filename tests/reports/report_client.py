"""Requests of reports about one customer, and what tests read of the answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.support.api_client import AdjustableClock, ApiClient, created_id
from tests.support.ledger_builder import LedgerBuilder


@dataclass
class ReportClient:
    """Acts at a given time, and reads reports about the customer."""

    http: httpx.AsyncClient
    ledger: LedgerBuilder

    def set_time(self, text: str) -> None:
        self.ledger.now = datetime.fromisoformat(text).astimezone(UTC)

    async def get(self, name: str, **params: Any) -> dict[str, Any]:
        """A report; about the customer unless `params` name something else."""
        response = await self.request(name, **params)
        assert response.status_code == 200, response.text
        document: dict[str, Any] = json.loads(response.content)
        return document

    async def request(self, name: str, **params: Any) -> httpx.Response:
        about = {} if {"CoworkerId", "TeamId", "LocationIds"} & params.keys() else {"CoworkerId": self.ledger.customer}
        return await self.http.get(f"/api/reports/{name}", params={**about, **params})

    @property
    def api(self) -> ApiClient:
        """Other requests of the customer."""
        return ApiClient(self.http, self.ledger, AdjustableClock())

    async def grant(self, total: float, **values: Any) -> int:
        return await self.api.create_credit(total, **values)

    async def grant_time(self, total: int, **values: Any) -> int:
        return await self.api.create_time_credit(total, **values)

    async def use(self, credit: int, amount: float, **values: Any) -> int:
        return created_id(await self.api.post_use(credit, amount, **values))

    async def post(self, path: str, **body: Any) -> httpx.Response:
        response = await self.http.post(path, json=body)
        assert response.status_code == 200, response.text
        assert response.json()["WasSuccessful"], response.text
        return response


def amounts(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """The cells of these columns, row by row."""
    return [tuple(row[name] for name in names) for row in rows]


def section(report: dict[str, Any], title: str) -> list[dict[str, Any]]:
    """The rows of a section."""
    return next(each["Rows"] for each in report["Sections"] if each["Title"] == title)
