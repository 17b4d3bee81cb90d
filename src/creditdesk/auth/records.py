"""New rows of the entities that only this room writes, whole with their base fields."""

from __future__ import annotations

from collections.abc import Sequence

from creditdesk.schema.entity import Entity, Record


def merged_collection(record: Record, name: str, before: Record) -> tuple[int, ...]:
    """A collection as a record will hold it: what was sent, or what was there."""
    return tuple(record[name] if record.get(name) is not None else before.get(name) or ())


def first_or_none(records: Sequence[Record]) -> Record | None:
    """The one record of a search that finds at most one."""
    return records[0] if records else None


def without_write_only(entity: type[Entity], record: Record) -> Record:
    """The record without what is only sent and never kept in its own table."""
    hidden = {name for name, kind in entity.fields.items() if kind.write_only}
    return {name: value for name, value in record.items() if name not in hidden}
