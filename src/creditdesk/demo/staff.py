"""The users of the demo: staff and a member, with their rights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.passwords import Passwords
from creditdesk.auth.users_admin import create_user, set_roles
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE, SPEND_ROLE
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.entity import Entity
from creditdesk.schema.query import where
from creditdesk.schema.repository import WriteSession

_DOMAIN: Final = "demo.creditdesk.example"
FRONT_DESK: Final = f"frontdesk@{_DOMAIN}"
ACCOUNTANT: Final = f"accountant@{_DOMAIN}"
AUDITOR: Final = f"auditor@{_DOMAIN}"
MANAGER: Final = f"manager@{_DOMAIN}"
MEMBER: Final = f"mara@{_DOMAIN}"
"""The e-mail address of a customer, who signs in to see its own benefits."""


def _reads(_entity: type[Entity], verb: str) -> bool:
    return verb in ("list", "get")


def _works_the_desk(entity: type[Entity], verb: str) -> bool:
    return _reads(entity, verb) or (entity in (Booking, Coworker) and verb != "delete")


@dataclass(frozen=True, slots=True)
class StaffMember:
    """A user of the demo. `locations` are places in the list of locations, `allows` the roles by entity and verb."""

    email: str
    title: str
    locations: tuple[int, ...]
    allows: Callable[[type[Entity], str], bool]
    ledger_roles: tuple[str, ...]

    @property
    def roles(self) -> list[str]:
        """The names of the member's roles."""
        own = {READ_ROLE, SPEND_ROLE, CORRECT_ROLE}
        named = {
            entity.roles[verb]
            for entity in PUBLIC_ENTITIES
            for verb in entity.verbs
            if self.allows(entity, verb) and entity.roles[verb] not in own
        }
        return sorted(named | set(self.ledger_roles))


STAFF: Final = (
    StaffMember(FRONT_DESK, "Front desk", (0,), _works_the_desk, (READ_ROLE, SPEND_ROLE)),
    StaffMember(ACCOUNTANT, "Accountant", (0, 1), _reads, (READ_ROLE, CORRECT_ROLE)),
    StaffMember(AUDITOR, "Auditor", (0, 1), _reads, (READ_ROLE,)),
    StaffMember(MANAGER, "Location manager", (0,), lambda _entity, _verb: True, (READ_ROLE, SPEND_ROLE, CORRECT_ROLE)),
)


async def add_staff(
    session: WriteSession, password: str, location_ids: Sequence[int], now: datetime, passwords: Passwords | None = None
) -> None:
    """Adds the staff that is not there yet, all with one password."""
    for member in STAFF:
        if await find_user_id(session, member.email) is not None:
            continue
        own = [location_ids[place] for place in member.locations]
        user_id = await create_user(
            session, member.email, password, member.title, is_admin=False, now=now, businesses=own, passwords=passwords
        )
        await set_roles(session, user_id, own[0], member.roles, now=now, title=member.title)


async def add_member(session: WriteSession, password: str, now: datetime, passwords: Passwords | None = None) -> None:
    """Adds the user of the customer MEMBER, unless it is there."""
    if await find_user_id(session, MEMBER) is not None:
        return
    user_id = await create_user(
        session, MEMBER, password, "Mara Lind", is_admin=False, now=now, passwords=passwords, has_api_access=False
    )
    customers = await session.find(Coworker, where(Coworker, Email=MEMBER), columns=("Id",))
    await session.update(Coworker, [(customer["Id"], {"UserId": user_id}) for customer in customers])
