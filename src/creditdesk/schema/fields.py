"""Field types: what a field holds, and how its values parse.

Each package that treats field types differently has its own table by field type, and a test
asserts that every table covers every type.

Internal values: text `str`, whole numbers `int`, money and other decimals a scaled `int` (never a
float), booleans `bool`, datetimes aware UTC `datetime`, objects plain JSON values, collections a
tuple of ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Context
from enum import IntEnum
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from creditdesk.schema.conversions import ParseError, check_storable, parse_datetime, parse_decimal

MAX_INTEGER: Final = 2**63 - 1
MAX_TEXT_LENGTH: Final = 100_000
OPERATOR: Final = "operator"
"""What members see in place of who of the operator's staff wrote something."""
_FAST_DIGITS: Final = 18
_DIGITS: Final = re.compile("[0-9]+")
_GUID: Final = re.compile(r"(urn:uuid:)?\{?[0-9A-Fa-f-]{32,36}\}?")


@dataclass(frozen=True, kw_only=True)
class Field:
    """Options of every field.

    required: a create and an update must set it. read_only: a body never sets it. create_only,
    update_only: only a create, or an update, sets it. immutable: an update may send it, but not
    change it. write_only: never returned. nullable: False where the API always returns a value.
    trailing: follows the entity's other keys in a record. internal: stored and exported, absent
    from the API. operator_only: members see `member_value` instead. default: what an absent value becomes.
    partial_index: indexed where not null.
    """

    required: bool = False
    read_only: bool = False
    create_only: bool = False
    update_only: bool = False
    immutable: bool = False
    write_only: bool = False
    nullable: bool = True
    trailing: bool = False
    internal: bool = False
    operator_only: bool = False
    default: Any = None
    indexed: bool = False
    partial_index: bool = False

    json_type: ClassVar[str] = ""
    supports_range: ClassVar[bool] = False
    zero: ClassVar[Any] = None

    def parse(self, value: object) -> Any:
        """The internal value of a JSON or text value. Raises ParseError."""
        raise TypeError(f"{type(self).__name__} does not parse {value!r}")

    def parse_filter(self, text: str) -> Any:
        """The internal value of the text of a filter. Raises ParseError."""
        return self.parse(text)

    @property
    def default_value(self) -> Any:
        """The value of an absent field: `default`, or `zero` if null is not allowed."""
        return self.default if self.nullable or self.default is not None else self.zero

    @property
    def member_value(self) -> str | None:
        """What members see of a field for operators alone: null, or `operator` where the API always returns a value."""
        return None if self.nullable else OPERATOR


@dataclass(frozen=True, kw_only=True)
class Text(Field):
    """Unicode text. Filters match a substring, or the whole text when `exact`, without case.

    low_cardinality: see `Embed`.
    normalize: returns the stored form of a value, or raises ParseError. filter_form: returns what a
    filter's text looks for.
    """

    exact: bool = False
    low_cardinality: bool = False
    max_length: int = MAX_TEXT_LENGTH
    normalize: Callable[[str], str] | None = None
    filter_form: Callable[[str], str] | None = None
    json_type: ClassVar[str] = "string"
    zero: ClassVar[Any] = ""

    def parse(self, value: object) -> str:
        if isinstance(value, bool | dict | list):
            raise ParseError("must be text")
        text = value if isinstance(value, str) else str(value)
        check_storable(text)
        if len(text) > self.max_length:
            raise ParseError(f"must be at most {self.max_length} characters")
        return text if self.normalize is None else self.normalize(text)

    def parse_filter(self, text: str) -> str:
        parsed = replace(self, normalize=None).parse(text)
        return parsed if self.filter_form is None else self.filter_form(parsed)


@dataclass(frozen=True, kw_only=True)
class Guid(Field):
    """A UUID, lower case with dashes."""

    exact: ClassVar[bool] = True
    json_type: ClassVar[str] = "string"

    def parse(self, value: object) -> str:
        text = str(value).strip()
        if not _GUID.fullmatch(text):
            raise ParseError("must be a GUID")
        try:
            return str(UUID(text))
        except ValueError:
            raise ParseError("must be a GUID") from None

    def parse_filter(self, text: str) -> str:
        check_storable(text)
        return text.strip().lower()


@dataclass(frozen=True, kw_only=True)
class Integer(Field):
    """A whole number of at most 63 bits."""

    minimum: int = -MAX_INTEGER
    maximum: int = MAX_INTEGER
    json_type: ClassVar[str] = "integer"
    supports_range: ClassVar[bool] = True
    zero: ClassVar[Any] = 0

    def parse(self, value: object) -> int:
        if type(value) is int:
            whole = value
        elif isinstance(value, str) and len(value) <= _FAST_DIGITS and _DIGITS.fullmatch(value):
            whole = int(value)
        else:
            number = parse_decimal(value, "must be a whole number")
            if number != number.to_integral_value():
                raise ParseError("must be a whole number")
            whole = int(number)
        if abs(whole) > MAX_INTEGER:
            raise ParseError("is too large")
        if whole < self.minimum:
            raise ParseError(f"must be at least {self.minimum}")
        if whole > self.maximum:
            raise ParseError(f"must be at most {self.maximum}")
        return whole


_ANY_INTEGER: Final = Integer()


_EXACT: Final = Context(prec=50)
"""Keeps every digit of a parsed number; the default context of a thread keeps 28."""


@dataclass(frozen=True, kw_only=True)
class Scaled(Field):
    """A decimal number, held exactly as a multiple of 10**-places."""

    places: ClassVar[int]
    allow_negative: bool = True
    json_type: ClassVar[str] = "number"
    supports_range: ClassVar[bool] = True
    zero: ClassVar[Any] = 0

    def parse(self, value: object) -> int:
        number = parse_decimal(value, "must be a number")
        if not self.allow_negative and number < 0:
            raise ParseError("must not be negative")
        if number.adjusted() > 18:
            raise ParseError("is too large")
        scaled = _EXACT.scaleb(number, self.places)
        whole = int(scaled)
        if whole != scaled:
            raise ParseError(f"must have at most {self.places} decimal places")
        if abs(whole) > MAX_INTEGER:
            raise ParseError("is too large")
        return whole


@dataclass(frozen=True, kw_only=True)
class Money(Scaled):
    """An amount of money, in ten-thousandths of the currency unit (rule 3)."""

    places: ClassVar[int] = 4


@dataclass(frozen=True, kw_only=True)
class Number(Scaled):
    """A decimal number other than money (a rate, a factor, a coordinate), to eight places."""

    places: ClassVar[int] = 8


@dataclass(frozen=True, kw_only=True)
class Boolean(Field):
    """True or false."""

    json_type: ClassVar[str] = "boolean"
    zero: ClassVar[Any] = False

    def parse(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in ("true", "1"):
            return True
        if word in ("false", "0"):
            return False
        raise ParseError("must be true or false")


@dataclass(frozen=True, kw_only=True)
class Enum(Field):
    """A member of an enumeration, by number; a body may send its name."""

    of: type[IntEnum] = field(kw_only=False)
    json_type: ClassVar[str] = "integer"

    def parse(self, value: object) -> int:
        word = str(value).strip().lower()
        for member in self.of:
            if member.name.rstrip("_").lower() == word:
                return int(member)
        number = Integer().parse(value)
        if number not in self.of._value2member_map_:
            raise ParseError("must be one of " + ", ".join(str(int(m)) for m in self.of))
        return number

    @property
    def default_value(self) -> Any:
        value = super().default_value
        return value if value is not None or self.nullable else int(next(iter(self.of)))


@dataclass(frozen=True, kw_only=True)
class DateTime(Field):
    """A point in time. Text without a zone parses as UTC."""

    json_type: ClassVar[str] = "datetime"
    supports_range: ClassVar[bool] = True

    def parse(self, value: object) -> datetime:
        if not isinstance(value, str):
            raise ParseError("must be a date such as 2025-01-15T10:30:00Z")
        return parse_datetime(value)[0]


@dataclass(frozen=True, kw_only=True)
class Object(Field):
    """A JSON object, stored unchanged."""

    json_type: ClassVar[str] = "object"

    def parse(self, value: object) -> Any:
        if not isinstance(value, Mapping):
            raise ParseError("must be an object")
        return value


@dataclass(frozen=True, kw_only=True)
class Embed:
    """A field of the referenced record that the referencing record shows.

    path: relations and the field behind the reference, joined by dots. as_text: shown as text.
    denormalized: a copy is stored in the referencing row, which triggers keep up to date; it is made
    from the referenced row, so a value further away must be denormalized there too. indexed:
    denormalized, and filters and sorts use an index. low_cardinality: a text with few distinct values,
    each in many records; an index that is also sorted by creation serves filters by it.
    """

    path: str = field(kw_only=False)
    trailing: bool = False
    as_text: bool = False
    denormalized: bool = False
    indexed: bool = False
    low_cardinality: bool = False


@dataclass(frozen=True, kw_only=True)
class Reference(Field):
    """A reference to a record of the entity `to`; an integer `{Name}Id` in the API.

    embeds: fields of the referenced record that this one shows. filter_only: fields that only
    filters use. is_local: False for an entity that is not stored here, or that the record outlasts;
    then the id is a plain number and the embedded values are stored as sent.
    """

    to: str = field(kw_only=False)
    embeds: tuple[str | Embed, ...] = ()
    filter_only: tuple[str | Embed, ...] = ()
    is_local: bool = True
    json_type: ClassVar[str] = "integer"

    def parse(self, value: object) -> int | None:
        number = _ANY_INTEGER.parse(value)
        if number < 0:
            raise ParseError("must be an id")
        return number or None

    @property
    def embedded_fields(self) -> tuple[Embed, ...]:
        return tuple(Embed(x) if isinstance(x, str) else x for x in self.embeds)

    @property
    def filter_only_fields(self) -> tuple[Embed, ...]:
        return tuple(Embed(x) if isinstance(x, str) else x for x in self.filter_only)


@dataclass(frozen=True, kw_only=True)
class Collection(Field):
    """References to any number of records of the entity `of`; a list of ids in the API.

    A single id is a list of one; 0 is none. inverse_of: the collection of `of` that holds the same
    links. delta_fields: whether a body may send `Added{Name}` and `Removed{Name}`.
    """

    of: str = field(kw_only=False)
    inverse_of: str | None = None
    is_local: bool = True
    delta_fields: bool = True
    json_type: ClassVar[str] = "integer[]"
    supports_range: ClassVar[bool] = True

    def parse(self, value: object) -> tuple[int, ...]:
        if isinstance(value, str):
            parts = [part for part in value.strip("[] ").split(",") if part.strip()]
            value = [] if parts == ["0"] else parts
        if type(value) is int:
            value = [value] if value else []
        if not isinstance(value, list | tuple):
            raise ParseError("must be a list of ids")
        ids = tuple(Integer(minimum=1).parse(item) for item in value)
        return tuple(sorted(set(ids)))

    @property
    def default_value(self) -> Any:
        return ()


@dataclass(frozen=True, kw_only=True)
class Computed(Field):
    """A value that is not stored: it is computed from other records, or is always `value`.

    shows: its JSON type. No body sets it, and no filter compares it.
    """

    shows: Literal["boolean", "integer", "integer[]", "money", "object", "object[]", "string"] = field(kw_only=False)
    read_only: bool = True
    value: Any = None
    json_type: ClassVar[str] = "object"

    @property
    def default_value(self) -> Any:
        return self.value


FIELD_TYPES: Final[tuple[type[Field], ...]] = (
    Text, Guid, Integer, Money, Number, Boolean, Enum, DateTime, Object, Reference, Collection,
)  # fmt: skip
"""The types of values that are stored."""
SHOWN_FIELD_TYPES: Final = (*FIELD_TYPES, Computed)
"""The types of values that records show."""
