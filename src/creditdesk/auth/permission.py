"""Role checks. A full administrator needs no role; names compare without case."""

from __future__ import annotations

from creditdesk.schema.entity import Entity, Verb
from creditdesk.schema.errors import PermissionDenied
from creditdesk.schema.service import Principal


def require_role(principal: Principal, entity: type[Entity], verb: Verb) -> None:
    """Raises PermissionDenied, naming the role, unless the principal holds the role of this verb."""
    require_named_role(principal, entity.roles[verb])


def require_named_role(principal: Principal, role: str) -> None:
    """Raises PermissionDenied, naming the role, unless the principal holds it."""
    if not holds_role(principal, role):
        raise PermissionDenied(f"The role {role} is needed")


def holds_role(principal: Principal, role: str) -> bool:
    """Whether the principal holds a role."""
    return principal.unrestricted or role.lower() in principal.roles
