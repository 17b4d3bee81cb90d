"""Sets of roles for common jobs, as a starting point that an administrator may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from creditdesk.console.translations import mark
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.roles import AUDIT_ROLE, CORRECT_ROLE, READ_ROLE, REPORTS_ROLE, SPEND_ROLE
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.entity import Entity, Verb

WHOLE_AREA_ROLES: Final = {
    READ_ROLE: mark("See balances, the journal, holds and decisions"),
    SPEND_ROLE: mark("Pay and hold with credit"),
    CORRECT_ROLE: mark("Reverse, adjust, void, renew; change many at once"),
    REPORTS_ROLE: mark("See reports and exceptions"),
    AUDIT_ROLE: mark("See the audit trail"),
}
"""The roles that no single kind of record has, each with what it allows."""
_SECURITY: Final = frozenset({"User", "UserRole"})


@dataclass(frozen=True, slots=True)
class RolePreset:
    """A job: the verbs it needs of each kind of record, and its roles of whole areas."""

    key: str
    title: str
    allows: Callable[[type[Entity], Verb], bool]
    area_roles: tuple[str, ...]

    def roles(self, entities: Iterable[type[Entity]]) -> set[str]:
        """The names of its roles."""
        own = {
            entity.roles[verb]
            for entity in entities
            for verb in entity.verbs
            if entity.roles[verb] not in WHOLE_AREA_ROLES and self.allows(entity, verb)
        }
        return own | set(self.area_roles)


def _reads(entity: type[Entity], verb: Verb) -> bool:
    return verb in ("list", "get") and entity.__name__ not in _SECURITY


def _works_at_the_desk(entity: type[Entity], verb: Verb) -> bool:
    return _reads(entity, verb) or (entity in (Booking, Coworker) and verb in ("create", "update"))


def _keeps_the_books(entity: type[Entity], verb: Verb) -> bool:
    credits_ = (CoworkerBookingCredit, CoworkerExtraService)
    return _reads(entity, verb) or (entity in credits_ and verb in ("create", "update"))


def _integrates(entity: type[Entity], _verb: Verb) -> bool:
    return entity.__name__ not in _SECURITY


PRESETS: Final = (
    RolePreset("front-desk", mark("Front desk"), _works_at_the_desk, (READ_ROLE, SPEND_ROLE)),
    RolePreset("accountant", mark("Accountant"), _keeps_the_books, (READ_ROLE, CORRECT_ROLE, REPORTS_ROLE)),
    RolePreset("auditor", mark("Auditor"), _reads, (READ_ROLE, REPORTS_ROLE, AUDIT_ROLE)),
    RolePreset("integrator", mark("Integrator"), _integrates, (READ_ROLE, SPEND_ROLE)),
)
