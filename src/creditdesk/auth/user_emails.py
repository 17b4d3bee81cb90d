"""E-mail addresses of users: each is that of one user, over all locations.

A principal of some locations does not learn here which addresses belong to people whom it does not see.
"""

from __future__ import annotations

from typing import Final

from creditdesk.auth.credentials import find_user_id, normalize_login
from creditdesk.auth.scope import scope_filters
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.user import User
from creditdesk.schema.errors import PermissionDenied, invalid_field
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal

NOT_GIVEN_MESSAGE: Final = "You cannot give this e-mail address to a user: ask an administrator of all locations"


async def require_unused_email(
    session: ReadSession, email: str, principal: Principal | None, user_id: int | None = None
) -> None:
    """Raises ValidationError where a user other than `user_id` has the address, as sign-ins compare it.

    Where the principal does not see that user, it is a PermissionDenied, which says nothing of it; without a
    principal every user is seen.
    """
    found = await find_user_id(session, email)
    if found in (None, user_id):
        return
    filters = scope_filters(principal, User) if principal else ()
    if await session.count(User, (*where(User, Id=found), *filters)):
        raise invalid_field("Email", "is already used by another user", email)
    raise PermissionDenied(NOT_GIVEN_MESSAGE)


async def require_no_hidden_customer(
    session: ReadSession, email: str, principal: Principal, user_id: int | None = None
) -> None:
    """Raises PermissionDenied where a customer whom the principal does not see has the address.

    That customer becomes a user with it one day, if it is not the customer of `user_id` already. The message is that
    of an address of a user, so it does not say which of both it is.
    """
    visible = scope_filters(principal, Coworker)
    login = normalize_login(email)
    if not visible or not login:
        return
    found = await session.find(Coworker, where(Coworker, Email=login), columns=("Id", "Email", "UserId"))
    # A filter matches more than one form of an address.
    others = {
        each["Id"]
        for each in found
        if normalize_login(each["Email"] or "") == login and (user_id is None or each["UserId"] != user_id)
    }
    if others and await session.count(Coworker, (*where(Coworker, Id=others), *visible)) < len(others):
        raise PermissionDenied(NOT_GIVEN_MESSAGE)
