"""The imitated endpoint where a signed-in member reads its own benefits and those of its teams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext, Route, json_success
from creditdesk.api.responses import json_response
from creditdesk.entities.enums import eChargePeriod
from creditdesk.ledger.loaders.member_benefits import (
    BenefitGroup,
    MoneyBenefit,
    UseBenefit,
    load_member_benefits,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.conversions import format_datetime, format_decimal
from creditdesk.schema.errors import NotFound, invalid_field
from creditdesk.schema.fields import Money
from creditdesk.schema.service import RequestContext

PATH: Final = "/api/public/coworkers/profiles/current/benefits"
MAX_SHAPE_LENGTH: Final = 4000
_SHAPE: Final = "_shape"


async def read_benefits(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    """`Personal` and `Team`, each with booking credits, extra services and time passes.

    `_shape` limits the response to the paths that it lists, separated by commas. 404 for a user who is
    not a customer. Needs no role: the benefits are the caller's own.
    """
    shape = request.query_params.get(_SHAPE, "")
    if len(shape) > MAX_SHAPE_LENGTH:
        raise invalid_field(_SHAPE, f"must be at most {MAX_SHAPE_LENGTH} characters")
    async with api.store.read_session() as session:
        found = await load_member_benefits(session, context.principal.user_id, context.now)
    if found is None:
        raise NotFound
    answer = {"Personal": _group(found.personal), "Team": _group(found.team)}
    paths = [path.strip().split(".") for path in shape.split(",") if path.strip()]
    return json_response(200, _narrow(answer, paths) if paths else answer)


def _group(group: BenefitGroup) -> dict[str, Any]:
    # Passes of customers are not stored here, so the list is empty.
    return {
        "BookingCredits": [_money(credit) for credit in group.money],
        "ExtraServices": [_uses(credit) for credit in group.uses],
        "TimePasses": [],
    }


def _money(credit: MoneyBenefit) -> dict[str, Any]:
    return {
        "Id": credit.id,
        "Name": credit.description or credit.tariff_booking_credit_name,
        "TotalCredit": _decimal(credit.total_credit),
        "RemainingCredit": _decimal(credit.remaining_credit),
        "CaneBeUsedForBookings": bool(credit.cane_be_used_for_bookings),
        "CaneBeUsedForEvents": bool(credit.cane_be_used_for_events),
        "IsUniversalCredit": bool(credit.is_universal_credit),
        "IsFromTariff": bool(credit.tariff_booking_credit_id or credit.coworker_contract_unique_id),
        "ExpireDate": format_datetime(credit.expire_date) if credit.expire_date else None,
        "Business": {"Currency": {"Code": credit.business_currency_code}},
    }


def _uses(credit: UseBenefit) -> dict[str, Any]:
    return {
        "Id": credit.id,
        "ExtraService": {
            "Id": credit.extra_service_id,
            "Name": credit.extra_service_name,
            "IsPrintingCredit": bool(credit.extra_service_is_printing_credit),
        },
        "TotalUses": credit.total_uses,
        "RemainingUses": credit.remaining_uses,
        "ChargePeriod": eChargePeriod(credit.charge_period).name,
        "IsFromTariff": bool(credit.is_from_tariff),
        "ExpireDate": format_datetime(credit.expire_date) if credit.expire_date else None,
    }


def _decimal(amount: Amount) -> Decimal:
    return Decimal(format_decimal(amount, Money.places))


def _narrow(value: Any, paths: Iterable[list[str]]) -> Any:
    """The value with only the listed paths; a path to an object keeps everything below it."""
    if isinstance(value, list):
        return [_narrow(item, paths) for item in value]
    below: dict[str, list[list[str]]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(rest)
    if not isinstance(value, Mapping):
        return value
    return {
        name: item if any(not rest for rest in below[name]) else _narrow(item, below[name])
        for name, item in value.items()
        if name in below
    }


_NULLABLE_DATE: Final = {"type": ["string", "null"], "format": "date-time"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_BOOKING_CREDIT: Final = _object(
    Id={"type": "integer"},
    Name={"type": ["string", "null"]},
    TotalCredit={"type": "number"},
    RemainingCredit={"type": "number"},
    CaneBeUsedForBookings={"type": "boolean"},
    CaneBeUsedForEvents={"type": "boolean"},
    IsUniversalCredit={"type": "boolean"},
    IsFromTariff={"type": "boolean"},
    ExpireDate=_NULLABLE_DATE,
    Business=_object(Currency=_object(Code={"type": ["string", "null"]})),
)
_EXTRA_SERVICE: Final = _object(
    Id={"type": "integer"},
    ExtraService=_object(
        Id={"type": ["integer", "null"]},
        Name={"type": ["string", "null"]},
        IsPrintingCredit={"type": "boolean"},
    ),
    TotalUses={"type": "integer"},
    RemainingUses={"type": "integer"},
    ChargePeriod={"type": "string", "enum": [period.name for period in eChargePeriod]},
    IsFromTariff={"type": "boolean"},
    ExpireDate=_NULLABLE_DATE,
)
_GROUP: Final = _object(
    BookingCredits={"type": "array", "items": _BOOKING_CREDIT},
    ExtraServices={"type": "array", "items": _EXTRA_SERVICE},
    TimePasses={"type": "array", "items": {"type": "object"}},
)
_SHAPE_PARAMETER: Final = {
    "name": _SHAPE,
    "in": "query",
    "required": False,
    "description": "Paths to answer with, separated by commas; then the other keys are left out.",
    "schema": {"type": "string", "maxLength": MAX_SHAPE_LENGTH},
    "example": "Personal.BookingCredits.Name,Personal.BookingCredits.RemainingCredit",
}
_OPERATION: Final = {
    "operationId": "currentBenefits",
    "tags": ["public"],
    "summary": "The signed-in member's benefits, and those of its teams",
    "parameters": [_SHAPE_PARAMETER],
    **json_success({"type": "object", "properties": {"Personal": _GROUP, "Team": _GROUP}}),
}


def benefit_routes() -> tuple[Route, ...]:
    """The one path."""
    return (Route("GET", PATH, read_benefits, _OPERATION),)
