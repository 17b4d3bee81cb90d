"""Field kinds: what a field holds, and how a value reads from and renders to the wire.

A kind knows nothing of tables, requests or roles. Other rooms keep their own table
`kind -> its reading`, and a test asserts that each table covers every kind.

Values inside the program: text `str`, whole numbers `int`, money and other decimals a scaled
`int` (never a float), booleans `bool`, instants aware UTC `datetime`, objects plain JSON values,
collections a tuple of ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, ClassVar, Final
from uuid import UUID

from creditdesk.schema.conversions import ParseError, check_storable, parse_datetime, parse_decimal

MAX_INTEGER: Final = 2**63 - 1
MAX_TEXT_LENGTH: Final = 100_000
_FAST_DIGITS: Final = 18
_DIGITS: Final = re.compile("[0-9]+")


@dataclass(frozen=True, kw_only=True)
class Field:
    """What every field says of itself.

    `required` must be given on create and update; `read_only` is never taken from a caller;
    `create_only` is taken on create alone, `update_only` on update alone; `frozen` may be sent on
    update but must not differ; `write_only` is taken and never shown; `nullable` is False where
    the wire always carries a value; `newest` fields follow the entity's own keys on the wire;
    `internal` fields are kept and carried by files, and the wire never speaks of them; `sparse`
    fields are indexed where they hold something, so that the other rows cost nothing.
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
    default: Any = None
    indexed: bool = False
    partial_index: bool = False

    json_type: ClassVar[str] = ""
    supports_range: ClassVar[bool] = False

    def parse(self, value: object) -> Any:
        """The inner value of a wire value; Unreadable when it is not of this kind."""
        raise TypeError(f"{type(self).__name__} is not read from the wire: {value!r}")

    def parse_filter(self, text: str) -> Any:
        """The inner value of a filter's text; Unreadable when it is not of this kind."""
        return self.parse(text)

    @property
    def default_value(self) -> Any:
        """What a field that was left out holds."""
        return self.default

    @property
    def accepts_null(self) -> bool:
        return not self.required and self.nullable


@dataclass(frozen=True, kw_only=True)
class Text(Field):
    """Unicode text. Filters find a part of it without case, or all of it when `exact`."""

    exact: bool = False
    max_length: int = MAX_TEXT_LENGTH
    json_type: ClassVar[str] = "string"

    def parse(self, value: object) -> str:
        if isinstance(value, bool | dict | list):
            raise ParseError("must be text")
        text = value if isinstance(value, str) else str(value)
        check_storable(text)
        if len(text) > self.max_length:
            raise ParseError(f"must be at most {self.max_length} characters")
        return text

    @property
    def default_value(self) -> Any:
        return self.default if self.nullable or self.default is not None else ""


@dataclass(frozen=True, kw_only=True)
class Guid(Field):
    """A UUID, lower case with dashes."""

    exact: ClassVar[bool] = True
    json_type: ClassVar[str] = "string"

    def parse(self, value: object) -> str:
        try:
            return str(UUID(str(value)))
        except ValueError:
            raise ParseError("must be a GUID") from None

    def parse_filter(self, text: str) -> str:
        return text.strip().lower()


@dataclass(frozen=True, kw_only=True)
class Integer(Field):
    """A whole number of at most 63 bits."""

    minimum: int = -MAX_INTEGER
    json_type: ClassVar[str] = "integer"
    supports_range: ClassVar[bool] = True

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
        return whole

    @property
    def default_value(self) -> Any:
        return self.default if self.nullable or self.default is not None else 0


_ANY_INTEGER: Final = Integer()


@dataclass(frozen=True, kw_only=True)
class Scaled(Field):
    """A decimal number held exactly, as a whole count of its last place."""

    places: ClassVar[int]
    allow_negative: bool = True
    json_type: ClassVar[str] = "number"
    supports_range: ClassVar[bool] = True

    def parse(self, value: object) -> int:
        number = parse_decimal(value, "must be a number")
        if not self.allow_negative and number < 0:
            raise ParseError("must not be negative")
        if number.adjusted() > 18:
            raise ParseError("is too large")
        scaled = number.scaleb(self.places)
        whole = int(scaled)
        if whole != scaled:
            raise ParseError(f"must have at most {self.places} decimal places")
        if abs(whole) > MAX_INTEGER:
            raise ParseError("is too large")
        return whole

    @property
    def default_value(self) -> Any:
        return self.default if self.nullable or self.default is not None else 0


@dataclass(frozen=True, kw_only=True)
class Money(Scaled):
    """An amount of money in ten-thousandths of its currency (rule 3)."""

    places: ClassVar[int] = 4


@dataclass(frozen=True, kw_only=True)
class Number(Scaled):
    """A decimal that is not money (a rate, a factor, a coordinate), to eight places."""

    places: ClassVar[int] = 8


@dataclass(frozen=True, kw_only=True)
class Boolean(Field):
    """True or false; left out is false unless it may be null."""

    json_type: ClassVar[str] = "boolean"

    def parse(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in ("true", "1"):
            return True
        if word in ("false", "0"):
            return False
        raise ParseError("must be true or false")

    @property
    def default_value(self) -> Any:
        return self.default if self.nullable or self.default is not None else False


@dataclass(frozen=True, kw_only=True)
class Enum(Field):
    """A number from a named list; the name is accepted too."""

    of: type[IntEnum]
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
        return (
            self.default if self.nullable or self.default is not None else int(next(iter(self.of)))
        )


@dataclass(frozen=True, kw_only=True)
class DateTime(Field):
    """An instant. Without a zone it is read as UTC; shown with Z, fractions only where stored."""

    json_type: ClassVar[str] = "datetime"
    supports_range: ClassVar[bool] = True

    def parse(self, value: object) -> datetime:
        if not isinstance(value, str):
            raise ParseError("must be a date such as 2025-01-15T10:30:00Z")
        return parse_datetime(value)[0]

    @property
    def default_value(self) -> Any:
        return self.default


@dataclass(frozen=True, kw_only=True)
class Object(Field):
    """A JSON object, kept as it came."""

    json_type: ClassVar[str] = "object"

    def parse(self, value: object) -> Any:
        if not isinstance(value, Mapping):
            raise ParseError("must be an object")
        return value


@dataclass(frozen=True, kw_only=True)
class Embed:
    """One field that a relation lends: the path behind the relation, and how it is shown.

    `copied` has a copy of the value stand in the record's own row, kept true by the database;
    `indexed` has it copied and indexed, so that filters and sorts by it walk an index. A copy is
    made from the row that is referred to: what lies further behind must be copied there too.
    """

    path: str
    trailing: bool = False
    as_text: bool = False
    denormalized: bool = False
    indexed: bool = False


@dataclass(frozen=True, kw_only=True)
class Reference(Field):
    """A link to a record of another entity; on the wire `{Name}Id`, an integer.

    `lends` names the fields behind the link that the record shows, `filters` those it is only
    asked by. A relation to something the product does not keep (`kept=False`) is a plain number
    whose lent values are stored as sent.
    """

    to: str
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
        return tuple(Embed(path=x) if isinstance(x, str) else x for x in self.embeds)

    @property
    def filter_only_fields(self) -> tuple[Embed, ...]:
        return tuple(Embed(path=x) if isinstance(x, str) else x for x in self.filter_only)


@dataclass(frozen=True, kw_only=True)
class Collection(Field):
    """Links to any number of records; on the wire a list of ids, with Added… and Removed… twins.

    `mirrors` names the collection of the other entity that is the same link seen from there.
    """

    of: str
    inverse_of: str | None = None
    is_local: bool = True
    delta_fields: bool = True
    json_type: ClassVar[str] = "integer[]"

    def parse(self, value: object) -> tuple[int, ...]:
        if isinstance(value, str):
            value = [part for part in value.strip("[] ").split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise ParseError("must be a list of ids")
        ids = tuple(Integer(minimum=1).parse(item) for item in value)
        return tuple(sorted(set(ids)))

    @property
    def default_value(self) -> Any:
        return ()


FIELD_TYPES: Final[tuple[type[Field], ...]] = (
    Text, Guid, Integer, Money, Number, Boolean, Enum, DateTime, Object, Reference, Collection,
)  # fmt: skip
