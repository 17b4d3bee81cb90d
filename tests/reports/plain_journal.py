"""The reports' figures once more: plain Python over the journal as it is exported, without the reports' code."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

SIGNS = {"grant": 1, "use": -1, "reversal": 1, "adjustment": 1, "void": -1}
NAMES = {"grant": "Granted", "use": "Used", "reversal": "Reversed", "adjustment": "Adjusted", "void": "Voided"}
TRANSFERS = ("rolled_over", "reissued")
PAGE_SIZE = 100
Journal = dict[tuple[str, int], list[dict[str, Any]]]
"""The entries of each credit in order, by kind and id."""


async def export_journal(client: httpx.AsyncClient, business: int, path: Path) -> None:
    """Writes a location's journal to a file, an entry a line, as the API serves it."""
    page, lines = 1, []
    while page:
        query: dict[str, int | str] = {
            "JournalLine_Business": business,
            "page": page,
            "size": PAGE_SIZE,
            "orderBy": "Id",
            "dir": 1,
        }
        response = await client.get("/api/ledger/entries", params=query)
        assert response.status_code == 200, response.text
        found = json.loads(response.content, parse_float=str)
        lines += [json.dumps(record) for record in found["Records"]]
        page = page + 1 if found["HasNextPage"] else 0
    path.write_text("\n".join(lines))


def read_journal(path: Path) -> Journal:
    """The entries of an exported journal, with exact amounts and instants."""
    found: Journal = defaultdict(list)
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        entry |= {name: Decimal(entry[name]) for name in ("Amount", "BalanceAfter")}
        entry["RecordedOn"] = datetime.fromisoformat(entry["RecordedOn"])
        entry["Document"] = json.loads(entry["Document"] or "{}")
        found[entry["CreditKind"], entry["CreditId"]].append(entry)
    for entries in found.values():
        entries.sort(key=lambda entry: entry["Sequence"])
        assert [entry["Sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    return found


def remaining_at(entries: list[dict[str, Any]], at: datetime) -> Decimal:
    """The balance after the last entry recorded before `at`."""
    before = [entry["BalanceAfter"] for entry in entries if entry["RecordedOn"] < at]
    return before[-1] if before else Decimal(0)


def expiry_at(entries: list[dict[str, Any]], at: datetime) -> datetime | None:
    """The expiry that stood at `at`: that of the grant, or of the last change before."""
    stood = None
    for entry in entries:
        if entry["RecordedOn"] < at:
            granted = entry["Document"].get("Terms")
            stood = granted.get("ExpireDate") if granted else stood
            stood = entry["Document"].get("ExpireDate", (None, stood))[1]
    return datetime.fromisoformat(stood) if stood else None


def expired_at(entries: list[dict[str, Any]], at: datetime) -> Decimal:
    """What remains and can no longer be used at `at`."""
    stood = expiry_at(entries, at)
    return max(remaining_at(entries, at), Decimal(0)) if stood is not None and stood <= at else Decimal(0)


def outstanding_at(entries: list[dict[str, Any]], at: datetime) -> Decimal:
    return remaining_at(entries, at) - expired_at(entries, at)


def flows_between(entries: list[dict[str, Any]], start: datetime, end: datetime) -> dict[str, Decimal]:
    """The movements of one credit from `start` to `end` by kind; what expired is a difference of two states."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        if start <= entry["RecordedOn"] < end and entry["Kind"] in SIGNS:
            name = NAMES[entry["Kind"]]
            if entry["Cause"] in TRANSFERS:
                name = {"Granted": "RolledIn", "Voided": "RolledOut"}.get(name, name)
            found[name] += SIGNS[entry["Kind"]] * entry["Amount"]
    # What was reopened is part of it.
    found["Expired"] = expired_at(entries, start) - expired_at(entries, end)
    return dict(found)


def heads_digest(location: int, lines: Iterable[dict[str, Any]]) -> str:
    """What the footer of a report about one location names, from the digests of the entries that it stands on."""
    ordered = sorted(lines, key=lambda line: (line["RecordedOn"], line["Id"]))
    head = bytes(32)
    for line in ordered:
        head = sha256(head + bytes.fromhex(line["Digest"])).digest()
    return sha256(f"{location}/{len(ordered)}/{head.hex()}\n".encode()).hexdigest()
