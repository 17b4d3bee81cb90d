"""First pass of an import: inserts new records and updates changed ones.

References to records that are imported later, and collections, are left to `link_writer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from creditdesk.entities.security.role import Role
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.sys.user import User
from creditdesk.ledger.journal.mapping import MAPPINGS_BY_HISTORY
from creditdesk.ledger.journal.opening import append_imported_uses
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import WriteSession
from creditdesk.transfer.balances import BALANCE_FIELDS, balance_error, journal_managed_fields
from creditdesk.transfer.closed_periods import closed_period_errors
from creditdesk.transfer.dependency_order import deferred_columns, required_references
from creditdesk.transfer.import_state import ImportState
from creditdesk.transfer.references import placeholder_unique_id
from creditdesk.transfer.row_parser import ParsedRow
from creditdesk.transfer.term_changes import update_imported


async def write_records(
    state: ImportState, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
) -> None:
    """Inserts or updates the records of one batch and counts them.

    Rows that contradict an earlier row of the batch, lack a required record, have an impossible
    balance or lie in a closed period are refused. Raises Conflict when a UniqueId belongs to another record.
    """
    if entity is Role:
        await state.role_ids.load(session, rows)
        rows = state.role_ids.map_rows(rows)
    rows = _without_duplicates(state, rows)
    ids = await state.record_ids(session, entity, rows)
    rows = await _hold_back(state, session, entity, rows)
    stored = await session.lock(entity, [i for row in rows if (i := ids[row.unique_id])])
    if not state.is_bulk_load:
        rows = await _with_free_unique_ids(state, session, entity, rows, ids, stored)
    if entity is User:
        rows = await state.users.admit(session, rows, ids, stored, state.refuse, state.adjust)
    deferred = deferred_columns(entity)
    # The deferred columns of new records without links already hold their values.
    if deferred and (stored or any(row.values.get(name) for row in rows for name in deferred)):
        state.entities_with_links.add(entity)
    values = [_importable_values(entity, row, stored.get(ids[row.unique_id] or 0), deferred) for row in rows]
    await state.references.resolve(session, entity, values)
    closed = await closed_period_errors(session, entity, values)
    new: list[Record] = []
    changes: list[tuple[int, Record]] = []
    refused = 0
    for row, given, period_error in zip(rows, values, closed, strict=True):
        record_id = ids[row.unique_id]
        before = stored.get(record_id or 0)
        record = (
            _differences(given, before) if before else _complete_record(state, entity, record_id, row.unique_id, given)
        )
        if error := _empty_requirement(entity, record) or (
            None if before else period_error or balance_error(entity, record)
        ):
            state.refuse(row, error)
            refused += 1
        elif not before:
            new.append(record)
        elif record_id and record:
            changes.append((record_id, record))
    inserted = await _insert(state, session, entity, new)
    if entity in BALANCE_FIELDS:
        state.credit_ids.setdefault(entity, set()).update(inserted, stored)
    if changes:
        await update_imported(session, entity, changes, stored, state.now)
    counts = state.counts[entity.__name__]
    counts.added += len(new)
    counts.changed += len(changes)
    counts.unchanged += len(rows) - len(new) - len(changes) - refused


async def _hold_back(
    state: ImportState, session: WriteSession, entity: type[Entity], rows: Sequence[ParsedRow]
) -> list[ParsedRow]:
    """The rows whose required records exist; reports the others."""
    reasons = await state.references.missing_requirements(session, entity, rows)
    for row in rows:
        if reason := reasons.get(row.number):
            state.refuse(row, reason, "the row is held back until that record is imported")
    return [row for row in rows if row.number not in reasons]


async def _with_free_unique_ids(
    state: ImportState,
    session: WriteSession,
    entity: type[Entity],
    rows: Sequence[ParsedRow],
    ids: Mapping[str, int | None],
    stored: Mapping[int, Record],
) -> list[ParsedRow]:
    """The rows whose UniqueId no other record has; reports the others."""
    new = [row.unique_id for row in rows if (ids[row.unique_id] or 0) not in stored]
    if not new:
        return list(rows)
    unique = entity.meta().columns["UniqueId"]
    found = await session.find(entity, [Filter(unique, Comparison.ONE_OF, new)], columns=("Id", "UniqueId"))
    taken = {record["UniqueId"] for record in found} & set(new)
    for row in rows:
        if row.unique_id in taken:
            state.refuse(row, "has the UniqueId of another record")
    return [row for row in rows if row.unique_id not in taken]


def _empty_requirement(entity: type[Entity], values: Record) -> str | None:
    """The owner, location or credit that these values of a credit or use leave empty."""
    if entity not in BALANCE_FIELDS and entity not in MAPPINGS_BY_HISTORY:
        return None
    names = (column.name for column in required_references(entity))
    return next((f"{name} is empty" for name in names if values.get(name, 0) is None), None)


def _importable_values(entity: type[Entity], row: ParsedRow, stored: Record | None, deferred: frozenset[str]) -> Record:
    """The row's values for this pass; of a stored record only those that may change and differ."""
    values = {k: v for k, v in row.values.items() if k not in deferred}
    if entity is Booking and values.get("BookingNumber", 0) is None:
        # A booking without a number got one of ours.
        del values["BookingNumber"]
    if stored is None:
        return values
    if entity.append_only or entity is Role:
        return {}
    if entity in BALANCE_FIELDS:
        managed = journal_managed_fields(entity)
        values = {k: v for k, v in values.items() if k not in managed}
    if stored["UniqueId"] == placeholder_unique_id(entity, stored["Id"]):
        values["UniqueId"] = row.unique_id
    return _differences(values, stored)


def _differences(values: Record, stored: Mapping[str, Any]) -> Record:
    return {name: value for name, value in values.items() if stored[name] != value}


async def _insert(state: ImportState, session: WriteSession, entity: type[Entity], records: list[Record]) -> list[int]:
    """Inserts records and returns their ids; uses of credits that have a journal are appended to it."""
    if not records:
        return []
    ids = await session.insert(entity, records)
    state.inserted.setdefault(entity.__name__, []).extend(ids)
    if entity is User:
        state.users.writable.update(ids)
    if mapping := MAPPINGS_BY_HISTORY.get(entity):
        uses = [record | {"Id": i} for i, record in zip(ids, records, strict=True)]
        for problem in await append_imported_uses(session, mapping, uses):
            state.report.adjust(problem)
    return ids


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


def _without_duplicates(state: ImportState, rows: Sequence[ParsedRow]) -> list[ParsedRow]:
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
            state.refuse(row, f"has the Id or UniqueId of row {earlier.number}")
    return list(kept.values())
