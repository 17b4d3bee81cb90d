"""What records that come in say of a credit's balance: which of it is taken, and what cannot be.

It must not know files or stores.
"""

from __future__ import annotations

from typing import Any, Final

from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import ProgressReporter

BALANCE_FIELDS: Final = {
    side.credit_entity: (side.remaining_field, side.total_field) for side in MAPPINGS.values()
}
"""What a credit has left and its total: once here, only the journal moves them (rule 1)."""


def journal_managed_fields(entity: type[Entity]) -> frozenset[str]:
    """What only the journal moves of a credit that is here: its balance and its overdraft."""
    internal = (c.name for c in entity.meta().stored_columns if c.field.internal)
    return frozenset((*BALANCE_FIELDS[entity], *internal))


def is_valid_balance(
    entity: type[Entity], record: dict[str, Any], report: ProgressReporter
) -> bool:
    """Whether a balance can be: from nothing, or its overdraft, to the total (rules 2, 33)."""
    names = BALANCE_FIELDS.get(entity)
    if names is None:
        return True
    remaining, total = record[names[0]], record[names[1]]
    overdraft = record.get("Overdraft") or 0
    given = remaining is not None and total is not None
    if given and overdraft >= 0 and -overdraft <= remaining <= total:
        return True
    report.problem(
        f"{entity.__name__} {record.get('Id', 'without an Id')}: {names[0]} is not from {-overdraft} to"
        f" {names[1]}; the record is left out"
    )
    return False
