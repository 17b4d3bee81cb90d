"""Customers that several locations share: only who sees all of these may become, or name, who signs in as one.

A member reads its credit at every location. So a user of some of them gets no sign-in link of the customer, and
changes neither the address that links are mailed to nor the user who is the member.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from creditdesk.auth.credentials import normalize_login
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.business import Business
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import PermissionDenied
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import ForwardingService, Principal, RequestContext

LINK_MESSAGE: Final = "Only a user who sees all locations of this customer gets its link: send the link by e-mail"
CONTACT_MESSAGE: Final = "Only a user who sees all locations of this customer may change its e-mail address or its user"


async def require_all_locations(
    session: ReadSession, customers: Collection[int], principal: Principal, message: str
) -> None:
    """Raises PermissionDenied unless the principal sees every location where one of these customers has a record."""
    if principal.locations is None or not customers:
        return
    theirs = Filter(Business.meta().columns["Id"], Comparison.LOCATION_OF, tuple(sorted(customers)))
    found = await session.find(Business, (theirs,), columns=("Id",))
    if any(each["Id"] not in principal.locations for each in found):
        raise PermissionDenied(message)


async def customers_of_user(session: ReadSession, user_id: int) -> set[int]:
    """The customers that a user signs in as where it has no API access."""
    return {each["Id"] for each in await session.find(Coworker, where(Coworker, UserId=user_id), columns=("Id",))}


class CustomerService(ForwardingService):
    """Writes customers."""

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        if _lets_another_in(before, record):
            await require_all_locations(session, (before["Id"],), context.principal, CONTACT_MESSAGE)
        await super().update(session, entity, before, record, context)


def _lets_another_in(before: Record, record: Record) -> bool:
    """Whether a change lets another person in; a customer without a user lets nobody in."""
    email, user_id = record.get("Email", before["Email"]), record.get("UserId", before["UserId"])
    is_moved = normalize_login(email or "") != normalize_login(before["Email"] or "")
    return is_moved or bool(user_id and user_id != before["UserId"])
