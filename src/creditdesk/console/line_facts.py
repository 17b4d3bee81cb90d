"""What a journal line states in addition to its amount: its cause, the changed terms, the funding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from creditdesk.console.formats import ABSENT, Formatter, as_instant
from creditdesk.console.labels import translated_words
from creditdesk.console.translations import mark

CAUSE_TEXTS: Final = {
    "unknown": "",
    "issued": mark("granted by hand"),
    "renewed": mark("renewed by the plan"),
    "purchased": mark("bought"),
    "reissued": mark("granted again after a return"),
    "rolled_over": mark("rolled over"),
    "total_changed": mark("the total was changed"),
    "imported": mark("imported"),
    "opened": mark("found when the journal began"),
    "adopted": mark("accepted by an operator"),
    "booking": mark("a booking"),
    "event": mark("an event"),
    "invoice": mark("an invoice"),
    "product": mark("a product"),
    "time_pass": mark("a pass"),
    "plan": mark("a plan"),
    "charge": mark("a charge"),
    "print_job": mark("a print job"),
    "unattributed": mark("posted without an item"),
    "correction": mark("a correction"),
    "cancelled": mark("cancelled"),
    "recalculated": mark("calculated again"),
    "confirmed": mark("the hold was confirmed"),
    "charged": mark("the booking was charged"),
    "released": mark("released by hand"),
    "timed_out": mark("the hold ended"),
    "description_changed": mark("the description was changed"),
    "expiry_run": mark("expired unused"),
    "voided": mark("voided by hand"),
    "deleted": mark("the credit was deleted"),
    "window_moved": mark("the validity was moved"),
    "owner_changed": mark("the owner was changed"),
    "location_changed": mark("the location was changed"),
    "rate_changed": mark("the rate was changed"),
    "limits_changed": mark("what it pays for was changed"),
    "price_changed": mark("the price was changed"),
    "origin_changed": mark("the origin was changed"),
    "priority_changed": mark("the priority was changed"),
    "overdraft_changed": mark("the overdraft was changed"),
    "funding_changed": mark("the funding was stated"),
}
"""The coded causes in words (rule 36)."""
FUNDING_TEXTS: Final = {
    "paid": mark("Paid"),
    "plan": mark("Plan"),
    "goodwill": mark("Goodwill"),
    "migrated": mark("Migrated"),
    "unknown": mark("Unknown"),
}
"""Where a grant comes from (rule 35)."""


def term_changes_text(line: Mapping[str, Any], formatter: Formatter) -> str:
    """The terms that a line changed, before → after."""
    if line["Kind"] != "change":
        return ""
    changes = _document(line).items()
    return "; ".join(
        f"{translated_words(name, formatter.locale.language)} {_term(old, formatter)} → {_term(new, formatter)}"
        for name, (old, new) in changes
    )


def funding_of(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The funding after the lines of one credit, oldest first; empty if no line states it."""
    funding: dict[str, Any] = {}
    for line in lines:
        document = _document(line)
        if line["Kind"] == "change":
            funding |= {name: after for name, (_, after) in document.items() if name in _FUNDING_PARTS}
        else:
            funding |= document.get("Funding", {})
    return funding


_FUNDING_PARTS: Final = frozenset({"Funding", "PricePaid", "SourceDocument"})


def _document(line: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a line; empty for a line without one."""
    text = line["Document"]
    return msgspec.json.decode(text, type=dict[str, Any]) if text else {}


def _term(value: object, formatter: Formatter) -> str:
    if value is None or value == []:
        return ABSENT
    instant = as_instant(value)
    if instant is not None:
        return str(formatter.instant(instant)).partition(">")[2].partition("<")[0]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
