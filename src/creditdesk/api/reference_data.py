"""The paths outside the collections that the wire itself answers: enums, the caller, health.

Must not know any entity by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import Parts
from creditdesk.api.error_handlers import json_answer
from creditdesk.api.serializer import renderer
from creditdesk.entities import enums
from creditdesk.schema.entity import Record, entity_named
from creditdesk.schema.errors import Invalid, NotFound, required
from creditdesk.schema.repository import Reading
from creditdesk.schema.service import Call

ENUMS: Final[dict[str, type[IntEnum]]] = {
    name.lower(): kind
    for name, kind in vars(enums).items()
    if isinstance(kind, type) and issubclass(kind, IntEnum) and kind is not IntEnum
}


async def list_enum(query: Mapping[str, str]) -> Response:
    """`?name=eChargePeriod`: the list as Id and Name; 404 for a name that is none."""
    name = next((value for key, value in query.items() if key.lower() == "name"), "").strip()
    if not name:
        raise Invalid(required("name"))
    kind = ENUMS.get(name.lower())
    if kind is None:
        raise NotFound
    return json_answer(
        200, [{"Id": int(member), "Name": member.name.rstrip("_")} for member in kind]
    )


async def signed_in(parts: Parts, call: Call) -> Response:
    """The caller's own record, with its location's name, currency, country and clock."""
    async with parts.store.reading() as reading:
        record = await reading.get(parts.people, call.caller.user_id)
        if record is None:
            raise NotFound
        location = await _location(reading, record)
    shown = renderer(parts.people).record(record)
    fields: dict[str, Any] = {name: getattr(shown, name) for name in shown.__struct_fields__}
    return json_answer(200, fields | _defaults(location))


async def _location(reading: Reading, record: Record) -> Record:
    own = record.get("Businesses") or ()
    chosen = record.get("DefaultBusinessId") or (own[0] if own else None)
    if not chosen:
        return {}
    location = await reading.get(entity_named("Business"), chosen) or {}
    if currency_id := location.get("CurrencyId"):
        currency = await reading.get(entity_named("Currency"), currency_id) or {}
        location = location | {"CurrencyName": currency.get("Name")}
    return location


def _defaults(location: Record) -> dict[str, Any]:
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


async def ready(_: Request, parts: Parts) -> Response:
    """Whether the store answers: 200, or 503 when it does not."""
    try:
        async with parts.store.reading() as reading:
            await reading.get(parts.people, 0)
    except Exception:  # whatever the engine raises, it is not ready
        return json_answer(503, {"Status": "unavailable"})
    return json_answer(200, {"Status": "ready"})


async def health(_: Request) -> Response:
    """The process is alive."""
    return json_answer(200, {"Status": "ok"})
