"""Helpers for records of users and roles."""

from __future__ import annotations

from collections.abc import Sequence

from creditdesk.schema.entity import Record


def merged_collection(record: Record, name: str, before: Record) -> tuple[int, ...]:
    """The members of a collection after the write: those sent, else those before."""
    return tuple(record[name] if record.get(name) is not None else before.get(name) or ())


def first_or_none(records: Sequence[Record]) -> Record | None:
    """The record of a query that finds at most one."""
    return records[0] if records else None
