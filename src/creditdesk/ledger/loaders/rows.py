"""Typed rows: the columns of a record that the ledger reads, as a frozen struct.

A `TypedRow` names its entity and its columns: the field `coworker_id` reads the column `CoworkerId`.
The query asks for exactly these columns, and loading rejects a value of another type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args

import msgspec
from msgspec import Struct, convert

from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import StateConflict
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import Finder, FindQuery, WriteSession

Flag = bool | None
"""A stored boolean: None in rows that are older than its column."""


class TypedRow(Struct, frozen=True, gc=False, rename="pascal"):
    """Columns of one record. Subclasses set `entity` and add a field for each column."""

    entity: ClassVar[type[Entity]]

    id: int


R = TypeVar("R", bound=TypedRow)
U = TypeVar("U", bound="UniqueRow")


class UniqueRow(TypedRow, frozen=True, gc=False):
    """A row that other records refer to by its `UniqueId`."""

    unique_id: str


class AccountRow(TypedRow, frozen=True, gc=False):
    """A row that refers to a credit by the account of its journal."""

    credit_kind: AccountType
    credit_id: int

    @property
    def account(self) -> AccountKey:
        return (self.credit_kind, self.credit_id)


def columns_of(row_type: type[TypedRow]) -> tuple[str, ...]:
    """The columns that a row type reads."""
    return row_type.__struct_encode_fields__


def to_row(row_type: type[R], record: Record) -> R:
    """A record's columns as a row.

    Raises StateConflict where the record lacks a value that the ledger needs: imports may leave out
    what a create must have. Raises it too for a value of another type or outside its choices, which
    another version or an edit past the API may leave.
    """
    try:
        return convert(record, row_type)
    except msgspec.ValidationError as error:
        missing = [
            name
            for name in columns_of(row_type)
            if record.get(name) is None and name not in _optional_columns(row_type)
        ]
        name = f"{row_type.entity.__name__} #{record['Id']}"
        if not missing:
            raise StateConflict(f"{name} has a value that this version does not know: {error}") from error
        raise StateConflict(f"{name} has no {' and no '.join(missing)}: set it first.") from None


@cache
def _optional_columns(row_type: type[TypedRow]) -> frozenset[str]:
    """The columns of a row type that may be null."""
    return frozenset(
        field.encode_name for field in msgspec.structs.fields(row_type) if NoneType in get_args(field.type)
    )


def query_of(row_type: type[TypedRow], **values: Any) -> FindQuery:
    """The query for rows whose columns equal `values`; a collection means one of its members."""
    return FindQuery(row_type.entity, where(row_type.entity, **values), columns_of(row_type))


def have_values(entity: type[Entity], *names: str) -> tuple[Filter, ...]:
    """Filters for records that have a value in each of these columns."""
    return tuple(Filter(entity.meta().columns[name], Comparison.NOT_NULL) for name in names)


async def find_filtered(finder: Finder, row_type: type[R], filters: Sequence[Filter]) -> list[R]:
    """The rows that match all filters, by Id."""
    found = await finder.find(row_type.entity, filters, columns=columns_of(row_type))
    return [to_row(row_type, record) for record in found]


async def find_rows(finder: Finder, row_type: type[R], **values: Any) -> list[R]:
    """The rows whose columns equal `values` (see `query_of`), by Id."""
    return await find_filtered(finder, row_type, where(row_type.entity, **values))


async def find_by_id(finder: Finder, row_type: type[R], ids: Iterable[int | None]) -> dict[int, R]:
    """The rows with these ids, by Id; no statement where none is given."""
    wanted = {row_id for row_id in ids if row_id}
    if not wanted:
        return {}
    return {row.id: row for row in await find_rows(finder, row_type, Id=wanted)}


async def find_by_unique_id(finder: Finder, row_type: type[U], unique_ids: Iterable[str | None]) -> dict[str, U]:
    """The rows with these unique ids, by case-folded unique id."""
    wanted = {fold_case(unique_id) for unique_id in unique_ids if unique_id}
    if not wanted:
        return {}
    found = await find_rows(finder, row_type, UniqueId=wanted)
    return {fold_case(row.unique_id): row for row in found}


async def lock_rows(session: WriteSession, row_type: type[R], ids: Sequence[int]) -> dict[int, R]:
    """Locks rows in id order until the session ends and returns them by Id, in that order.

    The row type may have only stored columns of the entity itself. Missing rows are left out.
    """
    locked = await session.lock(row_type.entity, ids, columns_of(row_type))
    return {row_id: to_row(row_type, locked[row_id]) for row_id in sorted(locked)}
