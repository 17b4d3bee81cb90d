"""The rows that readers of files yield, and the error that ends a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class MalformedFile(ValueError):
    """The rest of a file cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One record as in the file, counted from 1; with `is_table` an empty cell is a missing value."""

    number: int
    values: dict[str, Any]
    is_table: bool


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be read; the ones after it can. `columns` are those that the first line of a table names."""

    number: int
    message: str
    columns: tuple[str, ...] = field(default=(), compare=False)
