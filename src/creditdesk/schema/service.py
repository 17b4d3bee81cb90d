"""What a caller's write carries besides its body, and the promise of what carries it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import WriteSession


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: roles in lower case; `locations` is None for all of them."""

    user_id: int
    email: str
    unrestricted: bool = False
    roles: frozenset[str] = frozenset()
    locations: frozenset[int] | None = None

    def sees_location(self, location_id: int | None) -> bool:
        """Whether records of this location exist for the principal."""
        return self.locations is None or location_id in self.locations

    def sees_any_location(self, location_ids: Iterable[int]) -> bool:
        """Whether records that several locations share exist for the principal."""
        return self.locations is None or not self.locations.isdisjoint(location_ids)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One call: by whom, when (taken once), and under which idempotency key (rule 32)."""

    principal: Principal
    now: datetime
    idempotency_key: str | None = None


class EntityService(Protocol):
    """Carries out validated writes of one entity inside a unit; never commits.

    Records hold inner values of own fields (wire names, references as `{Name}Id`) and collections
    as tuples. Raises refusals; whatever it did is then undone.
    """

    async def create(
        self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext
    ) -> int:
        """Adds the record and gives its Id."""

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        """Makes the stored record (`before`, locked) say what `record` says."""

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        """Removes the record."""
