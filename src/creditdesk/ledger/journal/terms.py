"""The terms of a credit as the journal states them: in full on a grant, before and after on a change.

A statement is canonical JSON: sorted names, no spaces. Money is decimal text, instants end in `Z`,
a list is sorted (rules 4, 28, 35).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType, JournalEntry
from creditdesk.ledger.rules.funding import Funding
from creditdesk.schema.conversions import format_datetime, format_decimal
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Money

TERM_CAUSES: Final[Mapping[str, Cause]] = {
    **dict.fromkeys(("ValidFrom", "ExpireDate"), Cause.WINDOW_MOVED),
    "CoworkerId": Cause.OWNER_CHANGED,
    "BusinessId": Cause.LOCATION_CHANGED,
    **dict.fromkeys(("ExtraServiceId", "ChargePeriod"), Cause.RATE_CHANGED),
    **dict.fromkeys(
        (
            *("CaneBeUsedForBookings", "CaneBeUsedForEvents", "IsUniversalCredit", "AppliesToCharges"),
            *("ElegibleResourceTypes", "EventCategories", "ElegibleProducts", "ElegibleTariffs", "ElegiblePasses"),
        ),
        Cause.LIMITS_CHANGED,
    ),
    **dict.fromkeys(("Price", "Free", "UseCreditPrice"), Cause.PRICE_CHANGED),
    **dict.fromkeys(
        ("IsFromTariff", "TariffBookingCreditId", "CoworkerProductUniqueId", "CoworkerContractUniqueId"),
        Cause.ORIGIN_CHANGED,
    ),
}
"""The columns of a credit whose changes are journal entries, each with the cause of its entry."""

_HOLD_END: Final = "Until"
_GRANT_PARTS: Final = ("Terms", "Funding")
Changes = Mapping[str, tuple[object, object]]
"""The values before and after, by name."""


def term_columns(entity: type[Entity]) -> tuple[str, ...]:
    """The columns of a credit that are its terms, in the order of `TERM_CAUSES`."""
    columns = entity.meta().columns
    return tuple(name for name in TERM_CAUSES if name in columns)


def changed_terms(
    entity: type[Entity], before: Mapping[str, object], values: Mapping[str, object]
) -> dict[Cause, dict[str, tuple[object, object]]]:
    """The terms that `values` changes, by the cause of their entry.

    `before` has every term that `values` names.
    """
    changes: dict[Cause, dict[str, tuple[object, object]]] = {}
    for name in term_columns(entity):
        if name not in values:
            continue
        old, new = (term_value(entity, name, record[name]) for record in (before, values))
        if old != new:
            changes.setdefault(TERM_CAUSES[name], {})[name] = (old, new)
    return changes


def grant_document(entity: type[Entity], record: Mapping[str, object], funding: Funding) -> str:
    """The document of a grant: the funding, and the terms that are set."""
    terms = {name: term_value(entity, name, record.get(name)) for name in term_columns(entity)}
    parts = ({n: v for n, v in terms.items() if v not in (None, [])}, funding_values(funding))
    return _canonical(dict(zip(_GRANT_PARTS, parts, strict=True)))


def change_document(changes: Changes) -> str:
    """The document of a change: the changed terms before and after."""
    return _canonical(changes)


def hold_document(until: datetime | None) -> str:
    """The document of a hold: the instant at which it times out."""
    return _canonical({_HOLD_END: format_datetime(until) if until else None})


def stated_hold_end(entry: JournalEntry) -> str | None:
    """When a hold times out, as its entry states it; None if it does not.

    Raises ValueError for an entry without such a document, such as one of an earlier version.
    """
    try:
        end: str | None = json.loads(entry.document or "")[_HOLD_END]
    except (KeyError, TypeError) as error:
        raise ValueError("the document is not one of a hold") from error
    return end


def stated_terms(entry: JournalEntry) -> dict[str, object]:
    """The terms after an entry, as JSON values by name, including funding, priority and overdraft.

    A grant states only terms that are set; a hold, and an entry without a document, state none. Raises
    ValueError for a document that is not of this form.
    """
    if entry.document is None or entry.kind is EntryType.HOLD:
        return {}
    try:
        document = json.loads(entry.document)
        if entry.kind is EntryType.CHANGE:
            stated = {name: after for name, (_, after) in document.items()}
        else:
            terms, funding = (document[part] for part in _GRANT_PARTS)
            stated = {**terms, **funding}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("the document is not one of terms") from error
    return stated


def funding_values(funding: Funding) -> dict[str, object]:
    """The funding by the names that documents and requests use."""
    return {
        "Funding": funding.kind.value,
        "PricePaid": None if funding.price_paid is None else format_decimal(funding.price_paid, Money.places),
        "SourceDocument": funding.document,
    }


def changed_funding(before: Funding, after: Funding) -> Changes:
    """The parts of a funding that differ."""
    old, new = funding_values(before), funding_values(after)
    return {name: (value, new[name]) for name, value in old.items() if value != new[name]}


def term_value(entity: type[Entity], name: str, value: object) -> object:
    if isinstance(value, datetime):
        return format_datetime(value)
    if isinstance(value, tuple | list | set | frozenset):
        return sorted(value)
    if isinstance(value, int) and isinstance(entity.meta().columns[name].field, Money):
        return format_decimal(value, Money.places)
    # A flag that is not set is false.
    return None if value is False else value


def _canonical(document: Mapping[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
