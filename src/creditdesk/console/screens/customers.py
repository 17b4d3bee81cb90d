"""A customer: what can be spent, a timeline of credits, their journal, and the teams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from starlette.responses import Response

from creditdesk.console.api_client import ApiError, RecordPage
from creditdesk.console.charts import CreditSpan, timeline_chart
from creditdesk.console.formats import as_instant
from creditdesk.console.journal_table import CREDIT_ENTITIES, credit_name, journal_rows
from creditdesk.console.links import fields_path, list_path, record_path
from creditdesk.console.list_query import ListAddress
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.pools import pool_text
from creditdesk.console.screens.member_links import link_requests
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.roles import REPORTS_ROLE, SPEND_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.entity import Entity

_MAX_CREDITS: Final = 200
_PAGE_LINES: Final = 25
_MAX_SPANS: Final = 14
_EXPIRES_SOON_DAYS: Final = 7
_STATES: Final = ("active", "future", "used", "expired")

T = TypeVar("T")


async def allowed(answer: Awaitable[T], default: T) -> T:
    """The answer, or the default if the user lacks the role: a page shows what its user may see."""
    try:
        return await answer
    except ApiError as error:
        if error.status != 403:
            raise
        return default


async def _show(page: ConsolePage) -> Response:
    customer_id = page.request.path_params["id"]
    at = page.request.query_params.get("at", "")
    query: dict[str, Any] = {"CoworkerId": customer_id, "Days": _EXPIRES_SOON_DAYS}
    # First, because the other calls report less clearly that the customer does not exist for this user.
    customer = await page.client.get(f"{Coworker.path()}/{customer_id}")
    # Concurrently, because over a large ledger each of these waits for the disk.
    balances, credits_, lines, pools = await asyncio.gather(
        allowed(page.client.get("/api/ledger/balances", query | ({"At": at} if at else {})), {"Value": []}),
        _credits(page, customer_id),
        _lines(page, customer_id),
        allowed(page.client.get("/api/ledger/pools", {"CoworkerId": customer_id}), {"Value": []}),
    )
    rows = [_credit_row(page, balance, credits_) for balance in balances["Value"]]
    shown_states = _STATES if page.request.query_params.get("all") else _STATES[:2]
    address = ListAddress(JournalLine, tuple(pair for pair in page.query if pair[0] in ("page", "at", "all")))
    journal, teams = await asyncio.gather(
        journal_rows(page, lines.records, credits_), _teams(page, customer.get("Teams") or [], pools["Value"])
    )
    return page.render(
        "customer.html",
        customer=customer, path=record_path(Coworker, customer_id), fields_path=fields_path(Coworker, customer_id),
        at=at, totals=_totals(rows), rows=[row for row in rows if row["state"] in shown_states],
        hidden=sum(row["state"] not in shown_states for row in rows),
        timeline=timeline_chart(_spans(page, rows), page.now, page.preferences.locale),
        lines=journal, listed=lines, address=address,
        teams=teams,
        may_grant=page.may(CoworkerBookingCredit, "create"), may_spend=page.has_role(SPEND_ROLE),
        may_report=page.has_role(REPORTS_ROLE), month=page.now.astimezone(page.format.zone).date().replace(day=1).isoformat(),
        may_link=page.may(Coworker, "update"), link_requests=await link_requests(page, customer_id),
    )  # fmt: skip


async def _lines(page: ConsolePage, customer_id: int) -> RecordPage:
    """One page of the customer's journal, the latest line first."""
    query = {"JournalLine_Coworker": customer_id, "orderby": "RecordedOn", "dir": "descending",
             "page": page.request.query_params.get("page", "1"), "size": _PAGE_LINES}  # fmt: skip
    return await allowed(page.client.find(JournalLine.path(), query), RecordPage([], 0))


async def _credits(page: ConsolePage, customer_id: int) -> dict[tuple[str, int], dict[str, Any]]:
    """The customer's newest credits by kind and id."""

    async def newest(entity: type[Entity]) -> list[dict[str, Any]]:
        query = {f"{entity.__name__}_Coworker": customer_id, "size": _MAX_CREDITS, "orderby": "Id", "dir": "descending"}
        return (await allowed(page.client.find(entity.path(), query), RecordPage([], 0))).records

    listed = await asyncio.gather(*map(newest, CREDIT_ENTITIES.values()))
    return {
        (kind, record["Id"]): record
        for kind, records in zip(CREDIT_ENTITIES, listed, strict=True)
        for record in records
    }


def _credit_row(
    page: ConsolePage, balance: Mapping[str, Any], credits_: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[str, Any]:
    """A balance with the record of its credit, as the table and the timeline show it."""
    kind, credit_id = balance["Kind"], balance["Id"]
    record = credits_.get((kind, credit_id), {})
    remaining, available = Decimal(str(balance["Remaining"])), Decimal(str(balance["Available"]))
    total = Decimal(str(record.get("TotalCredit") or record.get("TotalUses") or remaining))
    formatter = page.format_at(record.get("BusinessId"))
    expired = formatter.is_past(balance["ExpireDate"])
    state = "expired" if expired and remaining else "used" if not remaining else "active"
    starts = as_instant(balance["ValidFrom"])
    if state == "active" and starts is not None and starts > page.now:
        state = "future"
    return {
        "kind": kind, "id": credit_id, "state": state, "record": record, "total": total, "remaining": remaining,
        "available": available, "held": Decimal(str(balance["Held"])), "currency": balance["CurrencyCode"] or "",
        "unit": record.get("ExtraServiceName") or "", "name": credit_name(credit_id, {**record, **_named(balance)}),
        "path": record_path(CREDIT_ENTITIES[kind], credit_id), "valid_from": balance["ValidFrom"],
        "expires": balance["ExpireDate"], "format": formatter, "source": _source(record),
        "soon": formatter.is_within(balance["ExpireDate"], _EXPIRES_SOON_DAYS) and bool(available),
    }  # fmt: skip


def _named(balance: Mapping[str, Any]) -> dict[str, Any]:
    return {"Description": balance["Description"]} if balance["Description"] else {}


def _source(record: Mapping[str, Any]) -> str:
    if record.get("TariffBookingCreditName"):
        return str(record["TariffBookingCreditName"])
    return "plan" if record.get("IsFromTariff") else "product" if record.get("CoworkerProductUniqueId") else ""


def _totals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What can be spent, by currency and by rate; never added across them."""
    totals: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["kind"], row["currency"] if row["kind"] == "money" else row["unit"])
        total = totals.setdefault(key, {"kind": key[0], "unit": key[1], "available": Decimal(0), "next": None})
        total["available"] += row["available"]
        if row["available"] > 0 and row["expires"] and (total["next"] is None or row["expires"] < total["next"]):
            total["next"] = row["expires"]
    return [totals[key] for key in sorted(totals)]


def _spans(page: ConsolePage, rows: list[dict[str, Any]]) -> list[CreditSpan]:
    """The credits as bars: those that can be spent, then the most recent others."""
    ordered = sorted(rows, key=lambda row: (_STATES.index(row["state"]), row["expires"] or "9999"))
    spans = []
    for row in ordered[:_MAX_SPANS]:
        starts = as_instant(row["valid_from"]) or as_instant(row["record"].get("CreatedOn")) or page.now
        total = row["total"] or Decimal(1)
        left = min(1.0, max(0.0, float(row["remaining"] / total)))
        spans.append(
            CreditSpan(row["name"], row["path"], min(starts, page.now), as_instant(row["expires"]), left, 1 - left,
                       row["state"] == "expired")
        )  # fmt: skip
    return spans


async def _teams(page: ConsolePage, ids: list[int], pools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """These teams, with what each shares and what the caps of this member leave (rule 16)."""
    if not ids or not page.may(Team, "get"):
        return []
    listed: list[dict[str, Any]] = await allowed(page.client.get(Team.path(), {"id": str(ids)}), [])
    texts = [(pool["TeamId"], pool_text(page, pool)) for pool in pools]
    return [
        {**team, "path": record_path(Team, team["Id"]), "pools": [text for owner, text in texts if owner == team["Id"]]}
        for team in listed
    ]


async def _list(page: ConsolePage) -> Response:
    """The list of customers with the columns that tell them apart."""
    columns = "FullName,CompanyName,Email,InvoicingBusinessId,CreatedOn"
    return page.redirect(f"{list_path(Coworker)}?orderby=FullName&columns={columns}")


CUSTOMER_SCREENS: Final = (
    Screen("/console/customers", _list),
    Screen("/console/customers/{id:int}", _show),
)
