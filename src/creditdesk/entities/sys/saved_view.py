"""Declares `SavedView`, which the API serves at `/api/sys/savedviews` by rules of its own."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Reference, Text


class SavedView(
    Entity, area="sys", plural="savedviews", public=False, label="Name", unique=(("UserId", "EntityName", "Name"),)
):
    """A named list: the filters, the order and the columns of an entity's list.

    `Query` is the query string of the list. A view is its user's own unless it is shared: with the users of a
    `Business`, with those who hold a `UserRole`, or without either with users of all locations.
    """

    User = Reference("User", required=True, indexed=True, embeds=("FullName",))
    EntityName = Text(required=True, exact=True)
    Name = Text(required=True, max_length=100)
    Query = Text(exact=True, nullable=False, max_length=4000)
    Shared = Boolean(nullable=False, indexed=True)
    Business = Reference("Business", embeds=("Name",))
    UserRole = Reference("UserRole", embeds=("Name",))
