"""Which saved views a user sees: its own, and those that are shared with its location or role."""

from __future__ import annotations

from typing import Final

from creditdesk.auth.permission import holds_role
from creditdesk.auth.scope import scope_filters
from creditdesk.entities.security.user_role import UserRole
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.saved_view import SavedView
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import NotFound, PermissionDenied, invalid_field
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import FindQuery, ReadSession, WriteSession, delete_matching
from creditdesk.schema.service import Principal
from creditdesk.schema.validation import NOT_FOUND_MESSAGE

VIEW_COLUMNS: Final = (
    "Id", "Name", "EntityName", "Query", "UserId", "UserFullName", "Shared", "BusinessId", "BusinessName",
    "UserRoleId", "UserRoleName",
)  # fmt: skip
ALL_LOCATIONS_MESSAGE: Final = "must be a location: only users of all locations share with all of them"


async def visible_views(
    session: ReadSession, principal: Principal, listable: frozenset[str], view_id: int | None = None
) -> list[Record]:
    """The views that the principal sees, by name; all of them, or the one with this id.

    listable: the names of the entities that the principal may list; a view of another does not exist for it.
    """
    one = () if view_id is None else where(SavedView, Id=view_id)
    member = Filter(UserRole.meta().columns["Users"], Comparison.HAS_MEMBER, principal.user_id)
    mine, offered, roles = await session.find_many(
        (
            FindQuery(SavedView, (*where(SavedView, UserId=principal.user_id), *one), VIEW_COLUMNS),
            FindQuery(SavedView, (*where(SavedView, Shared=True), *one), VIEW_COLUMNS),
            FindQuery(UserRole, (member,), ("Id",)),
        )
    )
    role_ids = frozenset(role["Id"] for role in roles)
    seen = {view["Id"]: view for view in offered if _is_offered(principal, role_ids, view)}
    seen |= {view["Id"]: view for view in mine}
    return sorted(
        (view for view in seen.values() if view["EntityName"] in listable),
        key=lambda view: (view["Name"].casefold(), view["Id"]),
    )


def _is_offered(principal: Principal, role_ids: frozenset[int], view: Record) -> bool:
    """Whether a shared view is meant for the principal."""
    if view["UserRoleId"] is not None:
        return view["UserRoleId"] in role_ids
    return view["BusinessId"] is None or principal.sees_location(view["BusinessId"])


async def visible_view(session: ReadSession, principal: Principal, listable: frozenset[str], view_id: int) -> Record:
    """The view with this id. Raises NotFound where the principal does not see it."""
    for view in await visible_views(session, principal, listable, view_id):
        return view
    raise NotFound


async def require_audience(
    session: ReadSession, principal: Principal, business_id: int | None, user_role_id: int | None
) -> None:
    """Raises ValidationError unless the principal may share with this location or role, or with all without either."""
    if user_role_id is not None:
        await _require_record(session, principal, UserRole, "UserRoleId", user_role_id)
    elif business_id is not None:
        await _require_record(session, principal, Business, "BusinessId", business_id)
    elif principal.locations is not None:
        raise invalid_field("BusinessId", ALL_LOCATIONS_MESSAGE)


async def _require_record(
    session: ReadSession, principal: Principal, entity: type[Entity], name: str, record_id: int
) -> None:
    if await session.get(entity, record_id, scope_filters(principal, entity)) is None:
        raise invalid_field(name, NOT_FOUND_MESSAGE, record_id)


def listable_names(principal: Principal, entities: tuple[type[Entity], ...]) -> frozenset[str]:
    """The names of the entities that the principal may list. Raises PermissionDenied for a member, who has no lists."""
    if principal.is_member:
        raise PermissionDenied("A member has no saved views")
    return frozenset(
        entity.__name__ for entity in entities if "list" in entity.verbs and holds_role(principal, entity.roles["list"])
    )


async def forget_views(session: WriteSession, user_id: int) -> None:
    """Deletes the views of a user that is about to be deleted, the shared ones as well."""
    await delete_matching(session, SavedView, where(SavedView, UserId=user_id))


async def unshare_views(session: WriteSession, user_role_id: int) -> None:
    """Ends the sharing of views with a role that is about to be deleted."""
    shared = await session.find(SavedView, where(SavedView, UserRoleId=user_role_id), columns=("Id",))
    values = {"Shared": False, "BusinessId": None, "UserRoleId": None}
    await session.update(SavedView, [(view["Id"], values) for view in shared])
