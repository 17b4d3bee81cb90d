"""Rules for the balances of imported credits."""

from __future__ import annotations

from typing import Any, Final

from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.schema.entity import Entity

BALANCE_FIELDS: Final = {
    mapping.credit_entity: (mapping.remaining_field, mapping.total_field) for mapping in MAPPINGS.values()
}
"""(remaining, total) of each credit entity. Once stored, only the journal changes them (rule 1)."""


def journal_managed_fields(entity: type[Entity]) -> frozenset[str]:
    """The columns of a stored credit that only the journal changes: balance and overdraft."""
    internal = (c.name for c in entity.meta().stored_columns if c.field.internal)
    return frozenset((*BALANCE_FIELDS[entity], *internal))


def balance_error(entity: type[Entity], record: dict[str, Any]) -> str | None:
    """What is wrong unless 0 (or minus the overdraft) <= remaining <= total (rules 2 and 33).

    None for entities without a balance.
    """
    names = BALANCE_FIELDS.get(entity)
    if names is None:
        return None
    remaining, total = record[names[0]], record[names[1]]
    overdraft = record.get("Overdraft") or 0
    is_complete = remaining is not None and total is not None
    if is_complete and overdraft >= 0 and -overdraft <= remaining <= total:
        return None
    return f"{names[0]} must be between {-overdraft} and {names[1]}"
