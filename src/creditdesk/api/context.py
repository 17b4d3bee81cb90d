"""What the wire is given by the composition root, as promises; nothing here does anything.

Must not know who keeps the promises: auth, the ledger and storage are strangers to this room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.schema.actions import Command
from creditdesk.schema.entity import Entity, Record, Verb
from creditdesk.schema.repository import Store
from creditdesk.schema.service import EntityService, Principal, RequestContext, ScopeFilters
from creditdesk.settings import ApiSettings

RequestHandler = Callable[[Request], Awaitable[Response]]


class AuthenticatorProtocol(Protocol):
    """Tells who calls."""

    async def authenticate(
        self, authorization: str | None, now: datetime, address: str | None = None
    ) -> Principal:
        """The caller an `Authorization` header names; NotSignedIn when it names none."""


class RoleCheck(Protocol):
    """Refuses a caller who lacks the role of a verb."""

    def __call__(self, principal: Principal, entity: type[Entity], verb: Verb) -> None:
        """Returns when the caller may; NotAllowed when not."""


class RateLimiterProtocol(Protocol):
    """Counts calls."""

    def check(self, principal: Principal, method: str, now: datetime) -> None:
        """Counts one call; Throttled when there were too many."""


RecordSerializer = Callable[[Record], bytes]
"""A whole record to the bytes of the answer that carries it."""


class UsePoster(Protocol):
    """Carries out posts of an entity in transactions of its own, several posts in one (rule 31).

    It keeps and replays idempotency keys itself (rule 32).
    """

    async def post(
        self,
        entity: type[Entity],
        record: Record,
        context: RequestContext,
        fingerprint: str,
        render: RecordSerializer,
    ) -> tuple[int, bytes]:
        """Status and body of the answer; raises refusals, one for a reference it cannot find."""


@dataclass(frozen=True, slots=True)
class ExtraRoute:
    """A path outside the catalog: where it is, what answers, and how the document shows it.

    `path` is lower case with `{word}` for a segment that varies, found in `path_params`.
    `operation` is the OpenAPI operation; `open` paths are reached without a caller, the others
    find theirs in `request.state.call`.
    """

    method: str
    path: str
    endpoint: RequestHandler
    operation: Mapping[str, Any] = field(default_factory=dict)
    is_public: bool = False


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """Everything the wire stands on. `answers` keeps idempotent answers; `people` the callers;
    `passing` are the faults of a store that cannot be reached for the moment.
    """

    store: Store
    settings: ApiSettings
    entities: tuple[type[Entity], ...]
    authenticator: AuthenticatorProtocol
    require_role: RoleCheck
    scope: ScopeFilters
    rate_limiter: RateLimiterProtocol
    default_service: EntityService
    user_entity: type[Entity]
    response_entity: type[Entity] | None = None
    services: Mapping[type[Entity], EntityService] = field(default_factory=dict)
    use_posters: Mapping[type[Entity], UsePoster] = field(default_factory=dict)
    actions: Mapping[str, tuple[Command, ...]] = field(default_factory=dict)
    extra_routes: tuple[ExtraRoute, ...] = ()
    transient_errors: tuple[type[Exception], ...] = ()
    clock: Callable[[], datetime] = utc_now
    proxy_hops: int = 0
