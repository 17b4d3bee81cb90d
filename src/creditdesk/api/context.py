"""The types that every API handler shares: the context, a route, and their protocols."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Any, Final, Protocol

from starlette.responses import Response

from creditdesk.api.rate_limit import RateLimiter
from creditdesk.schema.actions import Action
from creditdesk.schema.computation import Computation, Redaction
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import Store
from creditdesk.schema.service import EntityService, Principal
from creditdesk.settings import ApiSettings


class RequestAuthenticator(Protocol):
    """Identifies the caller of a request."""

    async def authenticate(self, authorization: str | None, now: datetime, address: str | None = None) -> Principal:
        """Returns the user of an `Authorization` header. Raises Unauthenticated."""

    async def open_frame(self, link: str, now: datetime) -> str:
        """An access token for one view of a frame link. Raises Unauthenticated."""


class Replica(Protocol):
    """A read replica of the database; `store` serves reads up to the positions that `has_reached` confirms."""

    @property
    def store(self) -> Store: ...

    async def written(self) -> str | None:
        """The position after everything committed so far; None while the primary does not report it."""

    async def has_reached(self, text: str, field: str) -> bool:
        """Whether the replica has replayed this position. Raises InvalidFields, naming `field`, for a malformed one."""

    def rest(self) -> None:
        """Stops using the replica for a while after a failure."""


class ReplicaUse(Enum):
    """Whether a replica may serve a route."""

    NEVER = 1
    AT_POSITION = 2
    REPORT = 3


API_LANGUAGE: Final = "en"
"""The language of the API's own texts."""

SUCCESS_CONTENT: Final = "success"
"""The key of an operation for the content of a 200 by media type; without it, the result of an action in JSON."""
FURTHER_ERRORS: Final = "errors"
"""The key of an operation for statuses of errors that not every path of its method answers with."""


def json_success(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an OpenAPI operation whose 200 response is JSON of this schema."""
    return {SUCCESS_CONTENT: {"application/json": {"schema": schema}}}


RouteHandler = Callable[..., Awaitable[Response]]
"""`handler(api, request, context, record_id)`; of a public route `handler(api, request)`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path.

    `{id}` in the path is a positive number, passed to the handler as `record_id` (0 without one).
    `operation` is its part of the OpenAPI document. Public routes need no credentials. A handler that commits
    several transactions `has_own_retries`: it retries each of them itself and is not retried as a whole.
    """

    method: str
    path: str
    handler: RouteHandler
    operation: Mapping[str, Any] = field(default_factory=dict)
    is_public: bool = False
    replica: ReplicaUse = ReplicaUse.NEVER
    has_own_retries: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """The services behind the API.

    By entity: `services` for those with a service of their own, `computations` for those with computed fields,
    `redactions` for those with a column that limited callers see in part, `create_endpoints` for those whose POST is
    not a plain create. `transient_errors` are the errors of the store while it is unreachable. `wordings` translate
    the texts of files, by language code.
    """

    store: Store
    settings: ApiSettings
    entities: tuple[type[Entity], ...]
    authenticator: RequestAuthenticator
    rate_limiter: RateLimiter
    default_service: EntityService
    user_entity: type[Entity]
    services: Mapping[type[Entity], EntityService] = field(default_factory=dict)
    computations: Mapping[type[Entity], Computation] = field(default_factory=dict)
    redactions: Mapping[type[Entity], Redaction] = field(default_factory=dict)
    create_endpoints: Mapping[type[Entity], RouteHandler] = field(default_factory=dict)
    actions: Mapping[str, tuple[Action, ...]] = field(default_factory=dict)
    extra_routes: tuple[Route, ...] = ()
    transient_errors: tuple[type[Exception], ...] = ()
    clock: Callable[[], datetime]
    proxy_hops: int = 0
    replica: Replica | None = None
    reports_on_replica: bool = False
    wordings: Mapping[str, Callable[[str], str]] = field(default_factory=lambda: {API_LANGUAGE: str})


utc_now: Final = partial(datetime.now, UTC)
"""The clock of the application outside tests."""
