"""The reports' figures once more: plain Python over journal records, without the reports' code."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any

SIGNS = {"grant": 1, "use": -1, "reversal": 1, "adjustment": 1, "void": -1}
TRANSFERS = ("rolled over", "returned as a new grant")


def remaining_at(entries: list[dict[str, Any]], at: datetime) -> int:
    """The balance after the last entry recorded before `at`."""
    before = [entry for entry in entries if entry["RecordedOn"] < at]
    return max(before, key=lambda entry: entry["Sequence"])["BalanceAfter"] if before else 0


def expiry_at(entries: list[dict[str, Any]], expires: datetime | None, at: datetime) -> datetime | None:
    """The expiry that stood at `at`; `expires` is today's."""
    later = [e for e in entries if e["Kind"] == "change" and e["RecordedOn"] >= at and "ExpireDate" in e["Document"]]
    if not later:
        return expires
    before = json.loads(min(later, key=lambda entry: entry["Sequence"])["Document"])["ExpireDate"][0]
    return datetime.fromisoformat(before) if before else None


def expired_at(entries: list[dict[str, Any]], expires: datetime | None, at: datetime) -> int:
    """What remains and can no longer be used at `at`."""
    stood = expiry_at(entries, expires, at)
    return max(remaining_at(entries, at), 0) if stood is not None and stood <= at else 0


def outstanding_at(entries: list[dict[str, Any]], expires: datetime | None, at: datetime) -> int:
    return remaining_at(entries, at) - expired_at(entries, expires, at)


def flows_between(
    entries: Iterable[dict[str, Any]], expires: datetime | None, continues: bool, start: datetime, end: datetime
) -> dict[str, int]:
    """The movements of one credit from `start` to `end` by kind; what expired is a difference of two states."""
    found: dict[str, int] = defaultdict(int)
    entries = list(entries)
    for entry in entries:
        if start <= entry["RecordedOn"] < end and entry["Kind"] in SIGNS:
            name = {"grant": "Granted", "use": "Used", "reversal": "Reversed", "adjustment": "Adjusted"}.get(
                entry["Kind"], "Voided"
            )
            if entry["Kind"] == "grant" and continues:
                name = "RolledIn"
            if entry["Kind"] == "void" and entry["Reason"] in TRANSFERS:
                name = "RolledOut"
            found[name] += SIGNS[entry["Kind"]] * entry["Amount"]
    # What was reopened is part of it.
    found["Expired"] = expired_at(entries, expires, start) - expired_at(entries, expires, end)
    return dict(found)


def heads_digest(location: int, lines: Iterable[dict[str, Any]]) -> str:
    """What the footer of a report about one location names, from the digests of the entries that it stands on."""
    ordered = sorted(lines, key=lambda line: (line["RecordedOn"], line["Id"]))
    head = bytes(32)
    for line in ordered:
        head = sha256(head + bytes.fromhex(line["Digest"])).digest()
    return sha256(f"{location}/{len(ordered)}/{head.hex()}\n".encode()).hexdigest()
