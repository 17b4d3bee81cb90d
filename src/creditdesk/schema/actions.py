"""Commands: named acts on chosen records of an entity, and how each says what it needs.

Knows nothing of routes or bodies; whoever binds a command to an entity does so in the composition
root.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from creditdesk.schema.params import Param
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command did: a sentence, and any JSON value (inner values only as plain JSON)."""

    message: str
    value: Any = None


CommandHandler = Callable[
    [WriteSession, Sequence[int], Mapping[str, Any], RequestContext], Awaitable[CommandResult]
]
"""`run(unit, ids, parameters, call)`: acts inside the unit; raises refusals, never commits."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it is listed and run. Ids are checked to be the caller's before `run`.

    `needs_records` is False where it runs without any id; `exactly` limits how many ids it takes
    at once (1, 2, or None for any number).
    """

    key: str
    name: str
    run: CommandHandler
    parameters: tuple[Param, ...] = ()
    order: int = 0
    requires_records: bool = True
    record_count: int | None = None
    multiple_only: bool = False
    icon: str | None = None
