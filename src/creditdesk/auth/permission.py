"""Whether a caller's roles allow a verb on an entity. The one place that compares role names."""

from __future__ import annotations

from creditdesk.schema.entity import Entity, Verb
from creditdesk.schema.errors import NotAllowed
from creditdesk.schema.service import Caller


def allowed(caller: Caller, entity: type[Entity], verb: Verb) -> bool:
    """Whether the caller holds the role of this verb; a full administrator needs none."""
    return caller.unrestricted or entity.roles[verb].lower() in caller.roles


def demand(caller: Caller, entity: type[Entity], verb: Verb) -> None:
    """Raises NotAllowed, naming the role, when the caller lacks it."""
    if not allowed(caller, entity, verb):
        raise NotAllowed(f"The role {entity.roles[verb]} is needed")
