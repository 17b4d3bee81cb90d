"""Paths that belong to no entity: enumerations, the signed-in user, health and readiness."""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext
from creditdesk.api.responses import json_response
from creditdesk.api.serializer import serializer_for
from creditdesk.entities import enums
from creditdesk.schema.entity import Record, entity_by_name
from creditdesk.schema.errors import NotFound
from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext
from creditdesk.schema.time_zones import find_time_zone

ENUM_TYPES: Final[dict[str, type[IntEnum]]] = {
    name.lower(): kind
    for name, kind in vars(enums).items()
    if isinstance(kind, type) and issubclass(kind, IntEnum) and kind is not IntEnum
}
READY_SECONDS: Final = 1.0
_NAME: Final = Param("name", required=True)


async def list_enum(_api: ApiContext, request: Request, _context: RequestContext, _id: int) -> Response:
    """`?name=eChargePeriod`: the members as Id and Name; 404 for an unknown name."""
    params = Params((_NAME,), request.query_params)
    params.raise_errors()
    kind = ENUM_TYPES.get(params[_NAME].strip().lower())
    if kind is None:
        raise NotFound
    return json_response(200, [{"Id": int(member), "Name": member.name.rstrip("_")} for member in kind])


async def current_user(api: ApiContext, _request: Request, context: RequestContext, _id: int) -> Response:
    """The caller's own record, with its location's name, currency, country and time zone."""
    async with api.store.read_session() as session:
        record = await session.get(api.user_entity, context.principal.user_id)
        if record is None:
            raise NotFound
        location = await _read_location(session, record)
    shown = serializer_for(api.user_entity).record(record)
    fields: dict[str, Any] = {name: getattr(shown, name) for name in shown.__struct_fields__}
    return json_response(200, fields | _default_fields(location))


async def _read_location(session: ReadSession, user: Record) -> Record:
    own = user.get("Businesses") or ()
    chosen = user.get("DefaultBusinessId") or (own[0] if own else None)
    if not chosen:
        return {}
    location = await session.get(entity_by_name("Business"), chosen) or {}
    if currency_id := location.get("CurrencyId"):
        currency = await session.get(entity_by_name("Currency"), currency_id) or {}
        location = location | {"CurrencyName": currency.get("Name")}
    if zone_id := location.get("SimpleTimeZoneId"):
        zone = await session.get(entity_by_name("SimpleTimeZone"), zone_id) or {}
        name = zone.get("Name")
        iana = zone.get("NameIana") or (find_time_zone(name) if name else None)
        location = location | {"SimpleTimeZoneName": name, "SimpleTimeZoneNameIana": iana}
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


async def ready(api: ApiContext, _request: Request) -> Response:
    """200 if the store answers within READY_SECONDS and accepts writes, else 503."""
    try:
        async with (
            asyncio.timeout(READY_SECONDS),
            api.store.read_session(snapshot=False) as session,
        ):
            if not await session.is_writable():
                return json_response(503, {"Status": "read-only"})
    except Exception:  # whichever error the engine raises, the store does not answer
        return json_response(503, {"Status": "unavailable"})
    return json_response(200, {"Status": "ready"})


async def health(_api: ApiContext, _request: Request) -> Response:
    """200 while the process runs."""
    return json_response(200, {"Status": "ok"})
