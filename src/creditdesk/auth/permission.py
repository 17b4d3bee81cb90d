"""Whether a caller's roles allow a verb on an entity. The one place that compares role names."""

from __future__ import annotations

from creditdesk.schema.entity import Entity, Verb
from creditdesk.schema.errors import PermissionDenied
from creditdesk.schema.service import Principal


def has_role(principal: Principal, entity: type[Entity], verb: Verb) -> bool:
    """Whether the caller holds the role of this verb; a full administrator needs none."""
    return principal.unrestricted or entity.roles[verb].lower() in principal.roles


def require_role(principal: Principal, entity: type[Entity], verb: Verb) -> None:
    """Raises PermissionDenied, naming the role, when the caller lacks the role of this verb."""
    require_named_role(principal, entity.roles[verb])


def require_named_role(principal: Principal, role: str) -> None:
    """Raises PermissionDenied, naming the role, when the caller lacks it."""
    if not (principal.unrestricted or role.lower() in principal.roles):
        raise PermissionDenied(f"The role {role} is needed")
