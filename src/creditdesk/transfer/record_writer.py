"""First pass of an import: inserts new records and updates changed ones.

References to records that are imported later, and collections, are left to `link_writer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from creditdesk.entities.security.role import Role
from creditdesk.ledger.journal.mapping import MAPPINGS_BY_HISTORY
from creditdesk.ledger.journal.opening import append_imported_uses
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.balances import BALANCE_FIELDS, is_valid_balance, journal_managed_fields
from creditdesk.transfer.dependency_order import deferred_columns
from creditdesk.transfer.import_state import ImportState
from creditdesk.transfer.row_parser import ParsedRow


async def write_records(
    state: ImportState, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
) -> None:
    """Inserts or updates the records of one batch and counts them.

    Rows that contradict an earlier row of the batch, and records with an impossible balance, are
    reported and skipped. Raises Conflict when a UniqueId belongs to another record.
    """
    if entity is Role:
        await state.role_ids.load(session, rows)
        rows = state.role_ids.map_rows(rows)
    rows = _without_duplicates(state, entity, rows)
    ids = await state.record_ids(session, entity, rows)
    stored = await session.lock(entity, [i for i in ids.values() if i])
    deferred = deferred_columns(entity)
    # The deferred columns of new records without links already hold their values.
    if deferred and (stored or any(row.values.get(name) for row in rows for name in deferred)):
        state.entities_with_links.add(entity)
    values = [
        _importable_values(entity, row, stored.get(ids[row.unique_id] or 0), deferred)
        for row in rows
    ]
    await state.references.resolve(session, entity, values)
    new: list[Record] = []
    changes: list[tuple[int, Record]] = []
    skipped = 0
    for row, given in zip(rows, values, strict=True):
        record_id = ids[row.unique_id]
        if record_id and record_id in stored:
            if changed := _differences(given, stored[record_id]):
                changes.append((record_id, changed))
            continue
        record = _complete_record(state, entity, record_id, row.unique_id, given)
        if is_valid_balance(entity, record, state.report):
            new.append(record)
        else:
            skipped += 1
    if new:
        await _insert(state, session, entity, new)
    if changes:
        await session.update(entity, changes)
    counts = state.counts[entity.__name__]
    counts.added += len(new)
    counts.changed += len(changes)
    counts.unchanged += len(rows) - len(new) - len(changes) - skipped


def _importable_values(
    entity: type[Entity], row: ParsedRow, stored: Record | None, deferred: frozenset[str]
) -> Record:
    """The row's values for this pass; of a stored record only those that may change and differ."""
    values = {k: v for k, v in row.values.items() if k not in deferred}
    if stored is None:
        return values
    if entity.append_only or entity is Role:
        return {}
    if entity in BALANCE_FIELDS:
        managed = journal_managed_fields(entity)
        values = {k: v for k, v in values.items() if k not in managed}
    return _differences(values, stored)


def _differences(values: Record, stored: Mapping[str, Any]) -> Record:
    return {name: value for name, value in values.items() if stored[name] != value}


async def _insert(
    state: ImportState, session: WriteSession, entity: type[Entity], records: list[Record]
) -> None:
    """Inserts records; uses of credits that have a journal are appended to it."""
    ids = await session.insert(entity, records)
    if mapping := MAPPINGS_BY_HISTORY.get(entity):
        uses = [record | {"Id": i} for i, record in zip(ids, records, strict=True)]
        for problem in await append_imported_uses(session, mapping, uses):
            state.report.problem(problem)


def _complete_record(
    state: ImportState,
    entity: type[Entity],
    record_id: int | None,
    unique_id: str,
    values: Record,
) -> Record:
    """The record with every stored column; columns that the row omits hold their default."""
    record = {**entity.meta().default_values, **values}
    record["UniqueId"] = unique_id
    record["CreatedOn"] = record["CreatedOn"] or state.now
    record["UpdatedOn"] = record["UpdatedOn"] or record["CreatedOn"]
    if record_id:
        record["Id"] = record_id
    else:
        record.pop("Id", None)
    if entity in BALANCE_FIELDS:
        remaining, total = BALANCE_FIELDS[entity]
        if remaining not in values:
            record[remaining] = record[total]
    return record


def _without_duplicates(
    state: ImportState, entity: type[Entity], rows: Sequence[ParsedRow]
) -> list[ParsedRow]:
    """The rows without repetitions; another row with the same Id or UniqueId is reported."""
    kept: dict[str, ParsedRow] = {}
    by_id: dict[int, ParsedRow] = {}
    for row in rows:
        earlier = kept.get(row.unique_id) or (by_id.get(row.id) if row.id else None)
        if earlier is None:
            kept[row.unique_id] = row
            if row.id:
                by_id[row.id] = row
        elif (earlier.id, earlier.values) != (row.id, row.values):
            state.report_skipped(entity, row, f"has the Id or UniqueId of row {earlier.number}")
    return list(kept.values())
