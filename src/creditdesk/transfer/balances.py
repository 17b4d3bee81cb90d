"""Rules for the balances of imported credits."""

from __future__ import annotations

from typing import Any, Final

from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import ProgressReporter

BALANCE_FIELDS: Final = {
    mapping.credit_entity: (mapping.remaining_field, mapping.total_field)
    for mapping in MAPPINGS.values()
}
"""(remaining, total) of each credit entity. Once stored, only the journal changes them (rule 1)."""


def journal_managed_fields(entity: type[Entity]) -> frozenset[str]:
    """The columns of a stored credit that only the journal changes: balance and overdraft."""
    internal = (c.name for c in entity.meta().stored_columns if c.field.internal)
    return frozenset((*BALANCE_FIELDS[entity], *internal))


def is_valid_balance(
    entity: type[Entity], record: dict[str, Any], report: ProgressReporter
) -> bool:
    """Whether 0 (or minus the overdraft) <= remaining <= total; reports a record that fails.

    Rules 2 and 33. True for entities without a balance.
    """
    names = BALANCE_FIELDS.get(entity)
    if names is None:
        return True
    remaining, total = record[names[0]], record[names[1]]
    overdraft = record.get("Overdraft") or 0
    is_complete = remaining is not None and total is not None
    if is_complete and overdraft >= 0 and -overdraft <= remaining <= total:
        return True
    report.problem(
        f"{entity.__name__} {record.get('Id', 'without an Id')}: {names[0]} must be between"
        f" {-overdraft} and {names[1]}; the record is skipped"
    )
    return False
