"""Declares `CalendarEventCategory`, served at `/api/content/calendareventcategories`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Collection, Reference, Text


class CalendarEventCategory(
    Entity,
    area="content",
    plural="calendareventcategories",
    order="Title",
    label="Title",
    scope="BusinessId",
):
    """A category of events; credits may be limited to some."""

    Business = Reference("Business", required=True)
    Title = Text(required=True)
    CalendarEvents = Collection("CalendarEvent", inverse_of="EventCategories")
