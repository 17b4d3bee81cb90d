"""What readers of files yield, and the error that ends a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class MalformedFile(ValueError):
    """A file that cannot be read on; the message says where and why."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One record as the file has it, counted from 1; `is_table`: an empty cell is no value."""

    number: int
    values: dict[str, Any]
    is_table: bool


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be read; the ones after it can. `columns` are those that the first line of a table names."""

    number: int
    message: str
    columns: tuple[str, ...] = field(default=(), compare=False)
