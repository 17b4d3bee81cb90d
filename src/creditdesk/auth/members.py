"""Members: users who are customers, and see only their own records."""

from __future__ import annotations

from typing import Final

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import CoworkerExtraServiceUseHistory
from creditdesk.entities.roles import READ_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.entity import Record
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal

_READABLE: Final = (
    CoworkerBookingCredit,
    CoworkerBookingCreditUseHistory,
    CoworkerExtraService,
    CoworkerExtraServiceUseHistory,
)
MEMBER_ROLES: Final = frozenset(
    {READ_ROLE.lower(), *(entity.roles[verb].lower() for entity in _READABLE for verb in ("list", "get"))}
)
"""The entities of which a member may read its own records. None has notes of the operator."""


async def load_member(session: ReadSession, user: Record, customer_id: int | None = None) -> Principal | None:
    """The user as a member, of all its customers or of one; None if it is not a member.

    Customers that are archived or not active do not count.
    """
    filters = where(Coworker, UserId=user["Id"], Active=True)
    if customer_id is not None:
        filters += where(Coworker, Id=customer_id)
    found = [each for each in await session.find(Coworker, filters, columns=["Id", "Archived"]) if not each["Archived"]]
    if not found:
        return None
    return Principal(user["Id"], user["Email"], roles=MEMBER_ROLES, customers=frozenset(each["Id"] for each in found))
