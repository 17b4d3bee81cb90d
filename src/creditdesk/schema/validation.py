"""Parses request bodies against an entity declaration; reports every field error in field order.

Pure. A write goes one way: `parse_create` or `parse_update` reads the body once, the caller looks up the
parsed `reference_checks` in its transaction, and `ParsedWrite.resolve` returns the values to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec import Struct

from creditdesk.schema.conversions import ParseError, check_storable
from creditdesk.schema.entity import Column, Entity, Record
from creditdesk.schema.errors import FieldError, ValidationError, missing_field
from creditdesk.schema.fields import Collection, Reference

NOT_FOUND_MESSAGE: Final = "is not found"


class ReferenceCheck(Struct, frozen=True):
    """Ids of `entity` that must exist in `column`; the other two go into the field error."""

    column: str
    name: str
    entity: str
    ids: tuple[int, ...]
    attempted_value: Any


class CollectionChange(Struct, frozen=True):
    """A change to a collection: replace all members, then add, then remove.

    `replacement` is None where the body leaves the present members.
    """

    replacement: tuple[int, ...] | None = None
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def apply_to(self, before: Iterable[int]) -> tuple[int, ...]:
        """The members after the change, in ascending order."""
        start = set(before) if self.replacement is None else set(self.replacement)
        return tuple(sorted((start | set(self.added)) - set(self.removed)))


class ParsedWrite(Struct, frozen=True):
    """A parsed body: values by column name, the references to check, and the errors so far.

    missing: the required columns that the body leaves without a value. objects: the CustomFields that
    the body sent.
    """

    entity: type[Entity]
    values: Record
    collection_changes: Mapping[str, CollectionChange]
    reference_checks: tuple[ReferenceCheck, ...]
    errors: tuple[FieldError, ...]
    missing: tuple[Column, ...] = ()
    objects: Mapping[str, Any] = {}

    def resolve(self, missing: Mapping[str, set[int]], before: Record | None = None) -> Record:
        """The values to write, once the references were looked up.

        missing: ids that do not exist, by entity name. before: the stored record of an update; what
        it holds is accepted again, so a client may send back what it was shown.
        Raises ValidationError with every error in field order: those of parsing, missing values and
        references, and immutable fields that differ from `before`.
        """
        if before is None:
            return self._resolve_new(missing)
        stored = before
        unchanged = {name for name, raw in self.objects.items() if stored.get(name) == raw}
        errors = [error for error in self.errors if error.PropertyName not in unchanged]
        errors += self._missing_reference_errors(missing, stored)
        errors += [
            missing_field(_error_name(column)) for column in self.missing if not _is_blank(stored.get(column.name))
        ]
        values = {
            name: stored.get(name) if value is None and _is_blank(stored.get(name)) else value
            for name, value in self.values.items()
        }
        values |= {name: stored[name] for name in unchanged}
        errors += self._immutable_errors(stored)
        columns = self.entity.meta().columns
        values = {name: v for name, v in values.items() if not columns[name].field.immutable}
        if errors:
            raise ValidationError(*_in_field_order(self.entity, errors))
        for name, change in self.collection_changes.items():
            values[name] = change.apply_to(stored.get(name) or ())
        return values

    def _resolve_new(self, missing: Mapping[str, set[int]]) -> Record:
        """The same for a new record, which has no values yet."""
        errors = [*self.errors, *(missing_field(_error_name(column)) for column in self.missing)]
        if missing:
            errors += self._missing_reference_errors(missing, {})
        if errors:
            raise ValidationError(*_in_field_order(self.entity, errors))
        values = dict(self.values)
        for name, change in self.collection_changes.items():
            values[name] = change.apply_to(())
        return values

    def _missing_reference_errors(self, missing: Mapping[str, set[int]], stored: Record) -> list[FieldError]:
        return [
            FieldError(check.name, NOT_FOUND_MESSAGE, check.attempted_value)
            for check in self.reference_checks
            if missing.get(check.entity, set())
            .intersection(check.ids)
            .difference(_stored_ids(stored.get(check.column)))
        ]

    def _immutable_errors(self, before: Record) -> list[FieldError]:
        columns = self.entity.meta().columns
        return [
            FieldError(_error_name(columns[name]), "cannot be changed")
            for name, value in self.values.items()
            if columns[name].field.immutable and value != before.get(name)
        ]


def parse_create(entity: type[Entity], body: Mapping[str, Any]) -> ParsedWrite:
    """Parses a new record: every stored own field, with its default where the body has none."""
    lower = _lower_keys(body)
    parser = _BodyParser(entity, lower, creating=True)
    for each in _new_columns(entity):
        if each.is_simple and each.key not in lower:
            parser.values[each.column.name] = each.default
        else:
            parser.parse_column(each.column, ignore_body=each.is_ignored)
    return parser.result()


class _NewColumn(NamedTuple):
    """How a column of a new record is set.

    `key` is its name in a body in lower case, empty where the body is ignored. A simple one has its default,
    and nothing else follows, where the body lacks it.
    """

    column: Column
    key: str
    is_ignored: bool
    is_simple: bool
    default: Any


_NEW_COLUMNS: Final[dict[type[Entity], tuple[_NewColumn, ...]]] = {}


def _new_columns(entity: type[Entity]) -> tuple[_NewColumn, ...]:
    """The writable columns of an entity, in order; worked out once."""
    found = _NEW_COLUMNS.get(entity)
    if found is None:
        found = _NEW_COLUMNS[entity] = tuple(map(_new_column, entity.meta().writable_columns))
    return found


def _new_column(column: Column) -> _NewColumn:
    kind = column.field
    is_ignored = kind.read_only or kind.update_only
    is_checked = (kind.required and not is_ignored) or isinstance(kind, Collection) or kind.write_only
    default = kind.default_value
    is_simple = not is_checked and not (isinstance(kind, Reference) and default)
    return _NewColumn(column, "" if is_ignored else column.name.lower(), is_ignored, is_simple, default)


def parse_update(entity: type[Entity], body: Mapping[str, Any]) -> ParsedWrite:
    """Parses a PUT, which replaces the record.

    An absent field is cleared. Collections and immutable fields that are absent stay as they are;
    read-only and create-only fields are not taken.
    """
    parser = _BodyParser(entity, _lower_keys(body), creating=False)
    for column in entity.meta().writable_columns:
        if not (column.field.read_only or column.field.create_only):
            parser.parse_column(column)
    return parser.result()


class _BodyParser:
    """Collects what the columns of one body parse to."""

    def __init__(self, entity: type[Entity], body: Mapping[str, Any], *, creating: bool) -> None:
        self._entity = entity
        self._body = body
        self._creating = creating
        self.values: Record = {}
        self._changes: dict[str, CollectionChange] = {}
        self._checks: list[ReferenceCheck] = []
        self._errors: list[FieldError] = []
        self._missing: list[Column] = []
        self._objects: Record = {}

    def result(self) -> ParsedWrite:
        return ParsedWrite(
            self._entity,
            self.values,
            self._changes,
            tuple(self._checks),
            tuple(self._errors),
            tuple(self._missing),
            self._objects,
        )

    def parse_column(self, column: Column, *, ignore_body: bool = False) -> None:
        if isinstance(column.field, Collection):
            self._parse_collection(column, column.field, ignore_body=ignore_body)
        else:
            self._parse_scalar(column, ignore_body=ignore_body)

    def _parse_scalar(self, column: Column, *, ignore_body: bool) -> None:
        field = column.field
        raw = None if ignore_body else self._body.get(column.name.lower())
        blank = _is_blank(raw)
        if blank and (field.write_only or (field.immutable and not self._creating)):
            return
        errors_before = len(self._errors)
        value = None if blank else self._parse_value(column, raw)
        if value is None:
            settable = not field.read_only and not (self._creating and field.update_only)
            if field.required and settable and len(self._errors) == errors_before:
                self._missing.append(column)
            value = field.default_value
            if value is None and not field.nullable and not self._creating:
                return
        self.values[column.name] = value
        if isinstance(field, Reference) and field.is_local and value:
            check = ReferenceCheck(column.name, _error_name(column), field.to, (value,), raw)
            self._checks.append(check)

    def _parse_value(self, column: Column, raw: Any) -> Any:
        try:
            if column.name == "CustomFields":
                self._objects[column.name] = raw
                return _parse_custom_fields(raw)
            return column.field.parse(raw)
        except ParseError as error:
            attempted = None if column.field.write_only else raw
            self._errors.append(FieldError(_error_name(column), str(error), attempted))
            return None

    def _parse_collection(self, column: Column, field: Collection, *, ignore_body: bool) -> None:
        name = column.name
        replacement = added = removed = None
        if not ignore_body:
            replacement = self._parse_ids(field, name)
            added = self._parse_ids(field, f"Added{name}")
            removed = self._parse_ids(field, f"Removed{name}")
        if self._creating:
            if field.required and not (replacement or added):
                self._missing.append(column)
            replacement = replacement or ()
        if replacement is not None or added or removed:
            self._changes[name] = CollectionChange(replacement, added or (), removed or ())
        if field.is_local and (replacement or added):
            ids = tuple(sorted({*(replacement or ()), *(added or ())}))
            self._checks.append(ReferenceCheck(name, name, field.of, ids, list(ids)))

    def _parse_ids(self, field: Collection, name: str) -> tuple[int, ...] | None:
        raw = self._body.get(name.lower())
        if raw is None or raw == "":
            return None
        try:
            return field.parse(raw)
        except ParseError as error:
            self._errors.append(FieldError(name, str(error), raw))
            return None


def _lower_keys(body: Mapping[str, Any]) -> dict[str, Any]:
    """Body keys in lower case; of keys that differ only by case the first wins."""
    lower: dict[str, Any] = {}
    for key, value in body.items():
        lower.setdefault(key.lower(), value)
    return lower


def _parse_custom_fields(raw: Any) -> dict[str, Any]:
    """Parses `{"Data": [{Name, Value, Type}, …]}`; of entries with one name the first is kept.

    Raises ParseError.
    """
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
        parsed = {key: _parse_custom_value(entry.get(key)) for key in ("Name", "Value", "Type")}
        kept.setdefault(name.casefold(), parsed)
    return {"Data": list(kept.values())}


def _parse_custom_value(value: Any) -> Any:
    """A custom value as text, boolean, whole number or None, which every engine stores unchanged."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        raise ParseError("must give each entry a Value that is not a list or an object")
    if isinstance(value, str):
        check_storable(value)
    return value


def _is_blank(value: object) -> bool:
    """Whether a body with this value sets nothing: null, or text of white space alone."""
    return value is None or (isinstance(value, str) and not value.strip())


def _stored_ids(value: Any) -> tuple[int, ...]:
    """The ids that a reference or a collection holds."""
    if isinstance(value, int):
        return (value,)
    return tuple(value or ())


def _error_name(column: Column) -> str:
    """The name that errors use: the relation for a reference, else the field's own."""
    return column.leaf if isinstance(column.field, Reference) else column.name


def _in_field_order(entity: type[Entity], errors: Iterable[FieldError]) -> list[FieldError]:
    position: dict[str, int] = {}
    for index, column in enumerate(entity.meta().columns.values()):
        position[_error_name(column)] = index
        if isinstance(column.field, Collection):
            position[f"Added{column.name}"] = position[f"Removed{column.name}"] = index
    return sorted(errors, key=lambda error: position.get(error.PropertyName, len(position)))
