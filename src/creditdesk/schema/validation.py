"""A body as a record, or every field error at once, in field order.

Pure: what a body refers to is named in the draft and settled by whoever can look. Must not know
requests, stores or who calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from creditdesk.schema.conversions import ParseError
from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity, Record
from creditdesk.schema.errors import FieldError, ValidationError, missing_field
from creditdesk.schema.fields import Collection, Field, Reference

_SERVER_FIELDS: Final = COMPUTED_FIELDS | {"Id", "UniqueId", "CreatedOn", "UpdatedOn", "UpdatedBy"}
NOT_FOUND_MESSAGE: Final = "is not found"


@dataclass(frozen=True, slots=True)
class ReferenceCheck:
    """Records of another entity that a body refers to, under the name errors use."""

    name: str
    entity: str
    ids: tuple[int, ...]
    attempted_value: Any


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """What a body asks of one collection: X first, then AddedX, then RemovedX."""

    replacement: tuple[int, ...] | None = None
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def apply_to(self, before: Iterable[int]) -> tuple[int, ...]:
        start = set(before) if self.replacement is None else set(self.replacement)
        return tuple(sorted((start | set(self.added)) - set(self.removed)))


@dataclass(slots=True)
class ParsedWrite:
    """A body read as far as a body alone allows."""

    entity: type[Entity]
    record: Record = field(default_factory=dict)
    collection_changes: dict[str, CollectionChange] = field(default_factory=dict)
    reference_checks: list[ReferenceCheck] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)

    def resolve(self, missing: Mapping[str, set[int]], before: Record | None = None) -> Record:
        """The record to write, given which ids are missing by entity name.

        Raises Invalid with every error, in field order; a frozen field that differs is one.
        """
        errors = list(self.errors)
        for want in self.reference_checks:
            if missing.get(want.entity, set()).intersection(want.ids):
                errors.append(FieldError(want.name, NOT_FOUND_MESSAGE, want.attempted_value))
        record = dict(self.record)
        if before is not None:
            errors += self._immutable_errors(before)
            record = {k: v for k, v in record.items() if not _is_immutable(self.entity, k)}
        if errors:
            raise ValidationError(*_in_field_order(self.entity, errors))
        for name, change in self.collection_changes.items():
            record[name] = change.apply_to((before or {}).get(name) or ())
        return record

    def _immutable_errors(self, before: Record) -> list[FieldError]:
        return [
            FieldError(_error_name(self.entity, name), "cannot be changed", None)
            for name, value in self.record.items()
            if _is_immutable(self.entity, name) and value != before.get(name)
        ]


def parse_create(entity: type[Entity], body: Mapping[str, Any]) -> ParsedWrite:
    """A new record: all stored own fields, what was left out at what it is when empty."""
    draft = ParsedWrite(entity)
    given = _lower_keys(body)
    for column, taken in _writable_columns(entity):
        _parse_column(draft, column, given if taken else {}, creating=True)
    return draft


def parse_update(entity: type[Entity], body: Mapping[str, Any]) -> ParsedWrite:
    """What a PUT makes of a record: what may change, left-out fields cleared, collections and
    frozen or create-only fields that were left out unchanged.
    """
    draft = ParsedWrite(entity)
    given = _lower_keys(body)
    for column, _ in _writable_columns(entity):
        if not (column.field.read_only or column.field.create_only):
            _parse_column(draft, column, given, creating=False)
    return draft


_WRITABLE_COLUMNS: Final[dict[type[Entity], tuple[tuple[Column, bool], ...]]] = {}


def _writable_columns(entity: type[Entity]) -> tuple[tuple[Column, bool], ...]:
    """The columns that a body may fill, and whether a create takes them."""
    found = _WRITABLE_COLUMNS.get(entity)
    if found is None:
        found = _WRITABLE_COLUMNS[entity] = tuple(
            (column, not (column.field.read_only or column.field.update_only))
            for column in entity.meta().columns.values()
            if column.is_own and column.name not in _SERVER_FIELDS
        )
    return found


def _lower_keys(body: Mapping[str, Any]) -> dict[str, Any]:
    """Body keys without case; the exact spelling wins where both are there."""
    lower: dict[str, Any] = {}
    for key, value in body.items():
        lower.setdefault(key.lower(), value)
    return lower


def _parse_column(
    draft: ParsedWrite, column: Column, given: Mapping[str, Any], *, creating: bool
) -> None:
    kind = column.field
    if isinstance(kind, Collection):
        _parse_collection(draft, column, kind, given, creating=creating)
        return
    raw = given.get(column.name.lower())
    blank = raw is None or (isinstance(raw, str) and not raw.strip())
    if blank and (kind.write_only or (kind.immutable and not creating)):
        return
    value = None if blank else _parse_value(draft, column, raw)
    if value is None:
        taken = not kind.read_only and not (creating and kind.update_only)
        if kind.required and taken and not _has_error(draft, column):
            draft.errors.append(missing_field(_error_name(draft.entity, column.name)))
        value = kind.default_value
        if value is None and not kind.nullable and not creating:
            return
    draft.record[column.name] = value
    if isinstance(kind, Reference) and kind.is_local and value:
        name = _error_name(draft.entity, column.name)
        draft.reference_checks.append(ReferenceCheck(name, kind.to, (value,), raw))


def _parse_collection(
    draft: ParsedWrite,
    column: Column,
    kind: Collection,
    given: Mapping[str, Any],
    *,
    creating: bool,
) -> None:
    name = column.name
    whole = _parse_ids(draft, column, given.get(name.lower()), name)
    added = _parse_ids(draft, column, given.get(f"added{name}".lower()), f"Added{name}") or ()
    removed = _parse_ids(draft, column, given.get(f"removed{name}".lower()), f"Removed{name}") or ()
    if whole is not None or added or removed or creating:
        draft.collection_changes[name] = CollectionChange(
            whole if not creating else whole or (), added, removed
        )
    if creating and kind.required and not (whole or added):
        draft.errors.append(missing_field(name))
    if kind.is_local and (whole or added):
        ids = tuple(sorted({*(whole or ()), *added}))
        draft.reference_checks.append(ReferenceCheck(name, kind.of, ids, list(ids)))


def _parse_ids(draft: ParsedWrite, column: Column, raw: Any, name: str) -> tuple[int, ...] | None:
    if raw is None or raw == "":
        return None
    try:
        ids: tuple[int, ...] = column.field.parse(raw)
    except ParseError as error:
        draft.errors.append(FieldError(name, str(error), raw))
        return None
    return ids


def _parse_value(draft: ParsedWrite, column: Column, raw: Any) -> Any:
    try:
        if column.name == "CustomFields":
            return _parse_custom_fields(raw)
        return column.field.parse(raw)
    except ParseError as error:
        attempted = None if column.field.write_only else raw
        name = _error_name(draft.entity, column.name)
        draft.errors.append(FieldError(name, str(error), attempted))
        return None


def _parse_custom_fields(raw: Any) -> dict[str, Any]:
    """`{"Data": [{Name, Value, Type}, …]}`; of entries with one name the first is kept."""
    entries = raw.get("Data") if isinstance(raw, Mapping) else None
    if not isinstance(entries, list):
        raise ParseError("must be an object with a Data list of Name, Value and Type")
    kept: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = entry.get("Name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not name.strip():
            raise ParseError("must give each entry a Name")
        if not isinstance(entry.get("Type"), str | None):
            raise ParseError("must give each entry a Type that is text")
        shown = {key: _parse_custom_value(entry.get(key)) for key in ("Name", "Value", "Type")}
        kept.setdefault(name.casefold(), shown)
    return {"Data": list(kept.values())}


def _parse_custom_value(value: Any) -> Any:
    """A custom value as text, truth, whole number or nothing: what every engine keeps as it is."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        raise ParseError("must give each entry a Value that is not a list or an object")
    if isinstance(value, str) and (
        "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value)
    ):
        raise ParseError("contains a character that cannot be stored")
    return value


def _has_error(draft: ParsedWrite, column: Column) -> bool:
    name = _error_name(draft.entity, column.name)
    return any(error.PropertyName == name for error in draft.errors)


def _error_name(entity: type[Entity], name: str) -> str:
    """The relation for a reference, the field's own name for all others."""
    column = entity.meta().columns[name]
    return column.leaf if isinstance(column.field, Reference) else name


def _is_immutable(entity: type[Entity], name: str) -> bool:
    kind: Field = entity.meta().columns[name].field
    return kind.immutable


def _in_field_order(entity: type[Entity], errors: Iterable[FieldError]) -> list[FieldError]:
    place: dict[str, int] = {}
    for at, column in enumerate(entity.meta().columns.values()):
        place[column.leaf if isinstance(column.field, Reference) else column.name] = at
        if isinstance(column.field, Collection):
            place[f"Added{column.name}"] = place[f"Removed{column.name}"] = at
    return sorted(errors, key=lambda error: place.get(error.PropertyName, len(place)))
