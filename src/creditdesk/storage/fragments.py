"""SQL with parameters: composed as text with named parameters, which are numbered when it is complete."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from creditdesk.schema.conversions import convert_column

if TYPE_CHECKING:
    from creditdesk.schema.entity import Record
    from creditdesk.storage.dialects import Dialect

Decode = Callable[[Any], Any]
Encode = Callable[[Any], Any]
DECODED_ROWS: Final = 250
"""Rows that are decoded in one step of about 2 ms: a step on a thread keeps the event loop from running."""

_NAMED: Final = re.compile(r"(?<!:):([a-z]\w*)")


def _unchanged(value: Any) -> Any:
    return value


class Parameter(NamedTuple):
    """A parameter of a statement, written `:name` in SQL text.

    Its value is the call's argument at the position `argument`, converted by `encode` for the driver.
    """

    name: str
    argument: int
    encode: Encode = _unchanged

    def __str__(self) -> str:
        return f":{self.name}"


@dataclass(frozen=True, slots=True)
class Fragment:
    """Part of a statement: SQL text, and at least the parameters that it names."""

    text: str
    parameters: tuple[Parameter, ...] = ()

    def __add__(self, other: Fragment) -> Fragment:
        return Fragment(self.text + other.text, self.parameters + other.parameters)

    @classmethod
    def join(cls, separator: str, fragments: Iterable[Fragment]) -> Fragment:
        """The fragments in one, with the separator between them."""
        parts = tuple(fragments)
        parameters = (parameter for part in parts for parameter in part.parameters)
        return cls(separator.join(part.text for part in parts), tuple(parameters))

    def numbered(self, dialect: Dialect, decoder: RowDecoder | None = None, *, first: int = 1) -> Statement:
        """The statement in which each parameter has a number, in order of appearance.

        `first` is the number of the first one, for a statement that follows others in one text.
        """
        by_name = {parameter.name: parameter for parameter in self.parameters}
        numbers: dict[str, int] = {}

        def number(match: re.Match[str]) -> str:
            return dialect.placeholder(numbers.setdefault(match[1], first + len(numbers)))

        text = _NAMED.sub(number, self.text)
        return Statement(text, tuple(by_name[name] for name in numbers), decoder or NO_COLUMNS)


@dataclass(frozen=True, slots=True)
class RowDecoder:
    """Converts the driver's rows to internal values; `names` are those of the columns, in order.

    `collections` are decoded even from null, which stands for an empty collection.
    """

    names: tuple[str, ...]
    decoders: tuple[tuple[int, Decode], ...] = ()
    collections: tuple[tuple[int, Decode], ...] = ()

    def decode_records(self, rows: Iterable[Sequence[Any]]) -> list[Record]:
        names, decoders, collections = self.names, self.decoders, self.collections
        records: list[Record] = []
        for values in rows:
            row = list(values)
            for position, decode in decoders:
                value = row[position]
                if value is not None:
                    row[position] = decode(value)
            for position, decode in collections:
                row[position] = decode(row[position])
            records.append(dict(zip(names, row, strict=True)))
        return records

    def decode_columns(self, rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Many rows, column by column; for statements that select no collections."""
        if not rows:
            return [()] * len(self.names)
        if len(rows) > DECODED_ROWS:
            joined: list[list[Any]] = [[] for _ in self.names]
            for first in range(0, len(rows), DECODED_ROWS):
                for whole, part in zip(joined, self.decode_columns(rows[first : first + DECODED_ROWS]), strict=True):
                    whole += part
            return list(joined)
        columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
        for position, decode in self.decoders:
            columns[position] = convert_column(columns[position], decode)
        return columns


NO_COLUMNS: Final = RowDecoder(())
"""For statements whose rows are read as the driver has them."""


class BoundStatement(NamedTuple):
    """A statement to execute: text, the values of its parameters, and the decoder of its rows."""

    text: str
    values: list[Any]
    decoder: RowDecoder


@dataclass(frozen=True, slots=True)
class Statement:
    """Complete SQL text, cached by the shape of a query and bound to the arguments of each call."""

    text: str
    parameters: tuple[Parameter, ...]
    decoder: RowDecoder

    def bind(self, arguments: Sequence[Any]) -> BoundStatement:
        values = [encode(arguments[argument]) for _, argument, encode in self.parameters]
        return BoundStatement(self.text, values, self.decoder)
