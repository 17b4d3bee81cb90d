"""The member's first page: available credit, what to use first, the team's credit, the latest history."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.formats import as_instant
from creditdesk.console.journal_table import CREDIT_ENTITIES, credit_name
from creditdesk.console.member.history_rows import find_history, history_lines
from creditdesk.console.member.page import MEMBER_HOME, MemberPage, MemberScreen
from creditdesk.console.member.words import period_words
from creditdesk.console.pools import pool_text
from creditdesk.console.translations import mark

_LATEST: Final = 5
_MAX_CREDITS: Final = 200
_SOON_DAYS: Final = 7
_PAYS_FOR: Final = (
    ("IsUniversalCredit", mark("anything")),
    ("CaneBeUsedForBookings", mark("bookings")),
    ("CaneBeUsedForEvents", mark("events")),
    ("AppliesToCharges", mark("charges")),
)
_LIMITS: Final = (
    ("ElegibleResourceTypes", mark("certain rooms")),
    ("EventCategories", mark("certain events")),
    ("ElegibleProducts", mark("certain products")),
    ("ElegiblePasses", mark("certain passes")),
    ("ElegibleTariffs", mark("certain plans")),
)


async def show_overview(page: MemberPage) -> Response:
    """What the customer can spend now, by kind and unit, and where it goes."""
    listed = (await page.client.get("/api/ledger/balances", {"CoworkerId": page.customer["Id"]}))["Value"]
    records = await _records(page, listed)
    rows = [_credit(page, balance, records.get((balance["Kind"], balance["Id"]), {})) for balance in listed]
    usable = sorted(
        (row for row in rows if row["available"] > 0), key=lambda row: (row["expires"] or "9999", row["id"])
    )
    found = await find_history(page, 1, _LATEST)
    return page.render(
        "member_overview.html",
        totals=_totals(page, usable), credits=usable, waiting=[row for row in rows if row["starts_later"]],
        teams=_teams(page),
        lines=await history_lines(page, found.records), has_more=found.total > len(found.records),
    )  # fmt: skip


async def _records(page: MemberPage, balances: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """The credits with something left, with the lists of what they pay for."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for kind, entity in CREDIT_ENTITIES.items():
        ids = [each["Id"] for each in balances if each["Kind"] == kind and Decimal(str(each["Remaining"])) > 0]
        if ids:
            chosen = ",".join(map(str, ids[-_MAX_CREDITS:]))
            listed = await page.client.get(entity.path(), {"id": f"[{chosen}]"})
            found |= {(kind, record["Id"]): record for record in listed}
    return found


def _credit(page: MemberPage, balance: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    kind, starts = balance["Kind"], as_instant(balance["ValidFrom"])
    formatter = page.format_at(record.get("BusinessId"))
    total = Decimal(str(record.get("TotalCredit") or record.get("TotalUses") or 0))
    remaining, available = Decimal(str(balance["Remaining"])), Decimal(str(balance["Available"]))
    location = page.locations.get(record.get("BusinessId") or 0)
    return {
        "id": balance["Id"], "kind": kind, "available": available, "expires": balance["ExpireDate"],
        "held": Decimal(str(balance["Held"])), "total": total, "format": formatter,
        "unit": balance["CurrencyCode"] or "" if kind == "money" else record.get("ExtraServiceName") or "",
        "counts": "" if kind == "money" else _counted(page, record),
        "name": balance["Description"] or credit_name(balance["Id"], record), "pays_for": _pays_for(page, kind, record),
        "location": location.name if location and len(page.locations) > 1 else "",
        "soon": formatter.is_within(balance["ExpireDate"], _SOON_DAYS), "valid_from": balance["ValidFrom"],
        "starts_later": starts is not None and starts > page.now and remaining > 0, "remaining": remaining,
    }  # fmt: skip


def _counted(page: MemberPage, record: Mapping[str, Any]) -> str:
    words = period_words(record)
    return page.translate(words) if words else ""


def _pays_for(page: MemberPage, kind: str, record: Mapping[str, Any]) -> str:
    """What a credit pays for, in words; for time credit its rate."""
    if kind != "money":
        return str(record.get("ExtraServiceName") or "")
    uses = [page.translate(text) for name, text in _PAYS_FOR if record.get(name)]
    limits = [page.translate(text) for name, text in _LIMITS if record.get(name)]
    return ", ".join([*(uses[:1] if record.get("IsUniversalCredit") else uses), *limits])


def _totals(page: MemberPage, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What can be spent, by currency and by rate; never added across them. Rows are in order of expiry."""
    totals: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        total = totals.setdefault(
            (row["kind"], row["unit"]),
            {
                "kind": row["kind"],
                "unit": row["unit"],
                "counts": row["counts"],
                "amount": Decimal(0),
                "next": row["expires"],
            },
        )
        total["amount"] += row["available"]
    return [
        {**totals[key], "text": page.format.amount(totals[key]["amount"], key[0], totals[key]["unit"])}
        for key in sorted(totals)
    ]


def _teams(page: MemberPage) -> list[tuple[str, list[dict[str, Any]]]]:
    """The pools of each team that shares credit, by the team's name."""
    found: dict[int, tuple[str, list[dict[str, Any]]]] = {}
    for pool in page.customer["Pools"]:
        found.setdefault(pool["TeamId"], (pool["TeamName"], []))[1].append(pool_text(page, pool))
    return list(found.values())


OVERVIEW_SCREENS: Final = (MemberScreen(MEMBER_HOME, show_overview),)
