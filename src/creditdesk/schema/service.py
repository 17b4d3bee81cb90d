"""Who calls, the context of a request, and the protocol of the services that execute writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import WriteSession


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated user. Roles are in lower case; `locations` is None for all locations.

    A member has `customers`: it sees the records of these at any location, and no others. For users
    of the operator it is None. `session_id` is that of the session of its access token; None with
    Basic credentials.
    """

    user_id: int
    email: str
    unrestricted: bool = False
    roles: frozenset[str] = frozenset()
    locations: frozenset[int] | None = None
    session_id: int | None = None
    customers: frozenset[int] | None = None

    @property
    def is_member(self) -> bool:
        """Whether it is a customer who sees its own records alone."""
        return self.customers is not None

    @property
    def is_limited(self) -> bool:
        """Whether there may be records that do not exist for it."""
        return self.is_member or self.locations is not None

    def sees_location(self, location_id: int | None) -> bool:
        """Whether all records of this location exist for the principal; never for a member."""
        return not self.is_member and (self.locations is None or location_id in self.locations)

    def sees_record(self, location_id: int | None, customer_id: int | None) -> bool:
        """Whether a record of this location and customer exists for the principal."""
        if self.customers is not None:
            return customer_id in self.customers
        return self.sees_location(location_id)

    def sees_customer(self, customer_id: int, location_ids: Iterable[int]) -> bool:
        """Whether a customer of these locations exists for the principal."""
        if self.customers is not None:
            return customer_id in self.customers
        return self.locations is None or not self.locations.isdisjoint(location_ids)


class RequestContext(Struct, frozen=True):
    """One request: its principal, its time (read once), its idempotency key and its client's address."""

    principal: Principal
    now: datetime
    idempotency_key: str | None = None
    address: str | None = None


class EntityService(Protocol):
    """Executes validated writes of one entity in the caller's session; never commits.

    Records hold internal values by column name, collections as tuples of ids. A DomainError rolls
    the session back.
    """

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        """Inserts the record and returns its Id."""

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        """Sets the values of `record` on the stored record `before`, which is locked."""

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        """Deletes the record `before`, which is locked."""


class ForwardingService:
    """An `EntityService` that leaves every write to another one; subclasses add rules to some."""

    def __init__(self, default_service: EntityService) -> None:
        self.default_service = default_service

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        return await self.default_service.create(session, entity, record, context)

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        await self.default_service.update(session, entity, before, record, context)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        await self.default_service.delete(session, entity, before, context)
