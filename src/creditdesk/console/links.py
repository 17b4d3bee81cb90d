"""The paths of the pages of records."""

from __future__ import annotations

from typing import Final

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.entity import Entity

_OWN_SCREENS: Final[dict[str, str]] = {
    Coworker.__name__: "/console/customers/{}",
    CoworkerBookingCredit.__name__: "/console/credits/money/{}",
    CoworkerExtraService.__name__: "/console/credits/time/{}",
}
"""The screens made for an entity, with a place for the id."""


def list_path(entity: type[Entity]) -> str:
    """The page that lists an entity."""
    return f"/console/records/{entity.area}/{entity.plural}"


def fields_path(entity: type[Entity], record_id: object) -> str:
    """The page with all fields of a record."""
    return f"{list_path(entity)}/{record_id}"


def record_path(entity: type[Entity], record_id: object) -> str:
    """The page of a record: a screen made for it, else the one with all its fields."""
    own = _OWN_SCREENS.get(entity.__name__)
    return own.format(record_id) if own else fields_path(entity, record_id)
