"""A body as a record, or every field error at once, in field order.

Pure: what a body refers to is named in the draft and settled by whoever can look. Must not know
requests, stores or who calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from creditdesk.schema.entity import COMPUTED, Column, Entity, Record
from creditdesk.schema.errors import FieldError, Invalid, required
from creditdesk.schema.fields import Collection, Field, Reference, Unreadable

_SERVER_MADE: Final = COMPUTED | {"Id", "UniqueId", "CreatedOn", "UpdatedOn", "UpdatedBy"}
NOT_FOUND: Final = "is not found"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records of another entity that a body refers to, under the name errors use."""

    name: str
    entity: str
    ids: tuple[int, ...]
    attempted: Any


@dataclass(frozen=True, slots=True)
class Change:
    """What a body asks of one collection: X first, then AddedX, then RemovedX."""

    all: tuple[int, ...] | None = None
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def applied(self, before: Iterable[int]) -> tuple[int, ...]:
        start = set(before) if self.all is None else set(self.all)
        return tuple(sorted((start | set(self.added)) - set(self.removed)))


@dataclass(slots=True)
class Draft:
    """A body read as far as a body alone allows."""

    entity: type[Entity]
    record: Record = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    wanted: list[Wanted] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)

    def settled(self, missing: Mapping[str, set[int]], before: Record | None = None) -> Record:
        """The record to write, given which ids are missing by entity name.

        Raises Invalid with every error, in field order; a frozen field that differs is one.
        """
        errors = list(self.errors)
        for want in self.wanted:
            if missing.get(want.entity, set()).intersection(want.ids):
                errors.append(FieldError(want.name, NOT_FOUND, want.attempted))
        record = dict(self.record)
        if before is not None:
            errors += self._frozen_errors(before)
            record = {k: v for k, v in record.items() if not _is_frozen(self.entity, k)}
        if errors:
            raise Invalid(*_in_field_order(self.entity, errors))
        for name, change in self.changes.items():
            record[name] = change.applied((before or {}).get(name) or ())
        return record

    def _frozen_errors(self, before: Record) -> list[FieldError]:
        return [
            FieldError(_error_name(self.entity, name), "cannot be changed", None)
            for name, value in self.record.items()
            if _is_frozen(self.entity, name) and value != before.get(name)
        ]


def draft_create(entity: type[Entity], body: Mapping[str, Any]) -> Draft:
    """A new record: all stored own fields, what was left out at what it is when empty."""
    draft = Draft(entity)
    given = _by_lower(body)
    for column, taken in _own(entity):
        _take(draft, column, given if taken else {}, creating=True)
    return draft


def draft_update(entity: type[Entity], body: Mapping[str, Any]) -> Draft:
    """What a PUT makes of a record: what may change, left-out fields cleared, collections and
    frozen or create-only fields that were left out unchanged.
    """
    draft = Draft(entity)
    given = _by_lower(body)
    for column, _ in _own(entity):
        if not (column.kind.read_only or column.kind.create_only):
            _take(draft, column, given, creating=False)
    return draft


_OWN: Final[dict[type[Entity], tuple[tuple[Column, bool], ...]]] = {}


def _own(entity: type[Entity]) -> tuple[tuple[Column, bool], ...]:
    """The columns that a body may fill, and whether a create takes them."""
    found = _OWN.get(entity)
    if found is None:
        found = _OWN[entity] = tuple(
            (column, not (column.kind.read_only or column.kind.update_only))
            for column in entity.shape().columns.values()
            if column.own and column.name not in _SERVER_MADE
        )
    return found


def _by_lower(body: Mapping[str, Any]) -> dict[str, Any]:
    """Body keys without case; the exact spelling wins where both are there."""
    lower: dict[str, Any] = {}
    for key, value in body.items():
        lower.setdefault(key.lower(), value)
    return lower


def _take(draft: Draft, column: Column, given: Mapping[str, Any], *, creating: bool) -> None:
    kind = column.kind
    if isinstance(kind, Collection):
        _take_collection(draft, column, kind, given, creating=creating)
        return
    raw = given.get(column.name.lower())
    blank = raw is None or (isinstance(raw, str) and not raw.strip())
    if blank and (kind.write_only or (kind.frozen and not creating)):
        return
    value = None if blank else _read(draft, column, raw)
    if value is None:
        taken = not kind.read_only and not (creating and kind.update_only)
        if kind.required and taken and not _has_error(draft, column):
            draft.errors.append(required(_error_name(draft.entity, column.name)))
        value = kind.empty
        if value is None and not kind.nullable and not creating:
            return
    draft.record[column.name] = value
    if isinstance(kind, Reference) and kind.kept and value:
        name = _error_name(draft.entity, column.name)
        draft.wanted.append(Wanted(name, kind.to, (value,), raw))


def _take_collection(
    draft: Draft, column: Column, kind: Collection, given: Mapping[str, Any], *, creating: bool
) -> None:
    name = column.name
    whole = _ids(draft, column, given.get(name.lower()), name)
    added = _ids(draft, column, given.get(f"added{name}".lower()), f"Added{name}") or ()
    removed = _ids(draft, column, given.get(f"removed{name}".lower()), f"Removed{name}") or ()
    if whole is not None or added or removed or creating:
        draft.changes[name] = Change(whole if not creating else whole or (), added, removed)
    if creating and kind.required and not (whole or added):
        draft.errors.append(required(name))
    if kind.kept and (whole or added):
        ids = tuple(sorted({*(whole or ()), *added}))
        draft.wanted.append(Wanted(name, kind.of, ids, list(ids)))


def _ids(draft: Draft, column: Column, raw: Any, name: str) -> tuple[int, ...] | None:
    if raw is None or raw == "":
        return None
    try:
        ids: tuple[int, ...] = column.kind.read(raw)
    except Unreadable as unreadable:
        draft.errors.append(FieldError(name, str(unreadable), raw))
        return None
    return ids


def _read(draft: Draft, column: Column, raw: Any) -> Any:
    try:
        if column.name == "CustomFields":
            return _custom_fields(raw)
        return column.kind.read(raw)
    except Unreadable as unreadable:
        attempted = None if column.kind.write_only else raw
        name = _error_name(draft.entity, column.name)
        draft.errors.append(FieldError(name, str(unreadable), attempted))
        return None


def _custom_fields(raw: Any) -> dict[str, Any]:
    """`{"Data": [{Name, Value, Type}, …]}`; of entries with one name the first is kept."""
    entries = raw.get("Data") if isinstance(raw, Mapping) else None
    if not isinstance(entries, list):
        raise Unreadable("must be an object with a Data list of Name, Value and Type")
    kept: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = entry.get("Name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not name.strip():
            raise Unreadable("must give each entry a Name")
        if not isinstance(entry.get("Type"), str | None):
            raise Unreadable("must give each entry a Type that is text")
        shown = {key: _plain(entry.get(key)) for key in ("Name", "Value", "Type")}
        kept.setdefault(name.casefold(), shown)
    return {"Data": list(kept.values())}


def _plain(value: Any) -> Any:
    """A custom value as text, truth, whole number or nothing: what every engine keeps as it is."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        raise Unreadable("must give each entry a Value that is not a list or an object")
    if isinstance(value, str) and (
        "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value)
    ):
        raise Unreadable("contains a character that cannot be stored")
    return value


def _has_error(draft: Draft, column: Column) -> bool:
    name = _error_name(draft.entity, column.name)
    return any(error.PropertyName == name for error in draft.errors)


def _error_name(entity: type[Entity], name: str) -> str:
    """The relation for a reference, the field's own name for all others."""
    column = entity.shape().columns[name]
    return column.leaf if isinstance(column.kind, Reference) else name


def _is_frozen(entity: type[Entity], name: str) -> bool:
    kind: Field = entity.shape().columns[name].kind
    return kind.frozen


def _in_field_order(entity: type[Entity], errors: Iterable[FieldError]) -> list[FieldError]:
    place: dict[str, int] = {}
    for at, column in enumerate(entity.shape().columns.values()):
        place[column.leaf if isinstance(column.kind, Reference) else column.name] = at
        if isinstance(column.kind, Collection):
            place[f"Added{column.name}"] = place[f"Removed{column.name}"] = at
    return sorted(errors, key=lambda error: place.get(error.PropertyName, len(place)))
