"""Actions: named operations on chosen records of an entity, and the parameters they take.

The imitated API calls them commands. The composition root binds them to entities.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The message of a response, and its `Value` in plain JSON values."""

    message: str
    value: Any = None


ActionHandler = Callable[[WriteSession, Sequence[int], Params, RequestContext], Awaitable[ActionResult]]
"""`run(session, ids, parameters, context)` raises DomainError and never commits."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action as it is listed and run. The caller may see every record that `run` gets.

    `requires_records` is False if it runs without ids. `record_count` is the exact number of ids (1 or 2), or None for
    any number. `role` is required in addition to that of updating the entity.
    """

    key: str
    name: str
    run: ActionHandler
    parameters: tuple[Param, ...] = ()
    order: int = 0
    role: str | None = None
