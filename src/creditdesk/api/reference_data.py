"""The paths outside the collections that the wire itself answers: enums, the caller, health.

Must not know any entity by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext
from creditdesk.api.error_handlers import json_response
from creditdesk.api.serializer import serializer_for
from creditdesk.entities import enums
from creditdesk.schema.entity import Record, entity_by_name
from creditdesk.schema.errors import NotFound, ValidationError, missing_field
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

ENUM_TYPES: Final[dict[str, type[IntEnum]]] = {
    name.lower(): kind
    for name, kind in vars(enums).items()
    if isinstance(kind, type) and issubclass(kind, IntEnum) and kind is not IntEnum
}


async def list_enum(query: Mapping[str, str]) -> Response:
    """`?name=eChargePeriod`: the list as Id and Name; 404 for a name that is none."""
    name = next((value for key, value in query.items() if key.lower() == "name"), "").strip()
    if not name:
        raise ValidationError(missing_field("name"))
    kind = ENUM_TYPES.get(name.lower())
    if kind is None:
        raise NotFound
    return json_response(
        200, [{"Id": int(member), "Name": member.name.rstrip("_")} for member in kind]
    )


async def current_user(api: ApiContext, context: RequestContext) -> Response:
    """The caller's own record, with its location's name, currency, country and clock."""
    async with api.store.read_session() as reading:
        record = await reading.get(api.user_entity, context.principal.user_id)
        if record is None:
            raise NotFound
        location = await _read_location(reading, record)
    shown = serializer_for(api.user_entity).record(record)
    fields: dict[str, Any] = {name: getattr(shown, name) for name in shown.__struct_fields__}
    return json_response(200, fields | _default_fields(location))


async def _read_location(reading: ReadSession, record: Record) -> Record:
    own = record.get("Businesses") or ()
    chosen = record.get("DefaultBusinessId") or (own[0] if own else None)
    if not chosen:
        return {}
    location = await reading.get(entity_by_name("Business"), chosen) or {}
    if currency_id := location.get("CurrencyId"):
        currency = await reading.get(entity_by_name("Currency"), currency_id) or {}
        location = location | {"CurrencyName": currency.get("Name")}
    return location


def _default_fields(location: Record) -> dict[str, Any]:
    return {
        "DefaultBusinessName": location.get("Name"),
        "DefaultCurrencyId": location.get("CurrencyId"),
        "DefaultCurrencyName": location.get("CurrencyName"),
        "DefaultCurrencyCode": location.get("CurrencyCode"),
        "DefaultCountryId": location.get("CountryId"),
        "DefaultCountryName": location.get("CountryName"),
        "DefaultSimpleTimeZoneId": location.get("SimpleTimeZoneId"),
        "DefaultSimpleTimeZoneName": location.get("SimpleTimeZoneName"),
        "DefaultSimpleTimeZoneNameIana": location.get("SimpleTimeZoneNameIana"),
        "NewPasswordConfirm": None,
        "OldPassword": None,
    }


async def ready(_: Request, api: ApiContext) -> Response:
    """Whether the store answers: 200, or 503 when it does not."""
    try:
        async with api.store.read_session() as reading:
            await reading.get(api.user_entity, 0)
    except Exception:  # whatever the engine raises, it is not ready
        return json_response(503, {"Status": "unavailable"})
    return json_response(200, {"Status": "ready"})


async def health(_: Request) -> Response:
    """The process is alive."""
    return json_response(200, {"Status": "ok"})
