"""The commands of a record: a form of the declared parameters, before → after, then one execution."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from creditdesk.console.api_client import ApiError
from creditdesk.console.booking_effects import CANCEL, CHARGE, cancellation_effects, charge_preview
from creditdesk.console.command_effects import command_effects
from creditdesk.console.inputs import CONTROLS, FormField
from creditdesk.console.labels import translated_words
from creditdesk.console.links import fields_path, list_path, record_path
from creditdesk.console.page import ConsolePage, Screen, safe_path
from creditdesk.console.screens.record_lists import entity_of_path
from creditdesk.console.screens.records import record_name
from creditdesk.console.translations import mark
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.actions import Action
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import NotFound
from creditdesk.schema.fields import Boolean
from creditdesk.schema.params import Param

_REASON: Final = "Reason"
REASON_NEEDED: Final = mark("Say why: the reason is written into the journal.")


async def _show(page: ConsolePage) -> Response:
    entity, action = _action(page)
    entered = dict(page.query)
    return await _form(page, entity, action, entered)


async def _effects(page: ConsolePage) -> Response:
    """The part of the form that shows before → after, while it is filled in."""
    entity, action = _action(page)
    record = await _record(page, entity)
    effects = await _command_effects(page, entity, action, record, _entered(action, await page.form()))
    return page.render("command_effects.html", formatter=page.format, kind=_amount_kind(entity), **effects)


async def _command_effects(
    page: ConsolePage, entity: type[Entity], action: Action, record: Mapping[str, Any], entered: Mapping[str, str]
) -> dict[str, Any]:
    """What the command would change, and which credits it would take."""
    if entity is Booking:
        items = await charge_preview(page, record) if action.key == CHARGE else []
        changes = await cancellation_effects(page, record) if action.key == CANCEL else []
        return {"changes": changes, "items": items}
    return {"changes": command_effects(entity, action.key, record, entered), "items": []}


async def _run(page: ConsolePage) -> Response:
    entity, action = _action(page)
    form = await page.form()
    entered = _entered(action, form)
    if "preview" in form:
        return await _form(page, entity, action, entered)
    if _needs_reason(action) and not entered.get(_REASON, "").strip():
        error = ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "", {_REASON: page.translate(REASON_NEEDED)})
        return await _form(page, entity, action, entered, error)
    record_id = page.request.path_params["id"]
    sent = {name: value for name, value in entered.items() if value}
    try:
        answer = await page.client.run_command(
            entity.path(), action.key, [record_id], sent, str(form.get("key", "")) or None
        )
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return await _form(page, entity, action, entered, error)
    return page.redirect(await _target(page, entity, form), notice=str(answer["Message"]))


async def _target(page: ConsolePage, entity: type[Entity], form: Mapping[str, Any]) -> str:
    """The page to show after a command: the one it came from, or the list if the record was deleted."""
    try:
        await _record(page, entity)
    except ApiError:
        return list_path(entity)
    return safe_path(str(form["next"])) if form.get("next") else record_path(entity, page.request.path_params["id"])


def _amount_kind(entity: type[Entity]) -> str:
    """Whether the amounts of a command on the entity are money or uses."""
    return "time" if "ExtraService" in entity.__name__ else "money"


def _action(page: ConsolePage) -> tuple[type[Entity], Action]:
    """The command that the address names. Raises NotFound."""
    entity = entity_of_path(page)
    key = page.request.path_params["command"]
    for action in page.context.actions.get(entity.__name__, ()):
        if action.key == key:
            return entity, action
    raise NotFound


async def _record(page: ConsolePage, entity: type[Entity]) -> dict[str, Any]:
    record: dict[str, Any] = await page.client.get(f"{entity.path()}/{page.request.path_params['id']}")
    return record


def _entered(action: Action, form: Mapping[str, Any]) -> dict[str, str]:
    """The form's values as the command's parameters."""
    return {param.name: str(form.get(param.name, "")) for param in action.parameters}


def _needs_reason(action: Action) -> bool:
    return any(param.name == _REASON for param in action.parameters)


async def _form(
    page: ConsolePage, entity: type[Entity], action: Action, entered: Mapping[str, str], error: ApiError | None = None
) -> Response:
    record = await _record(page, entity)
    return page.render(
        "command.html",
        error.status if error else HTTPStatus.OK,
        entity=entity, action=action, record=record, name=record_name(page, entity, record),
        fields=[_field(page, param, entered, error) for param in action.parameters], error=error,
        path=f"{fields_path(entity, record['Id'])}/commands/{action.key}",
        back=safe_path(entered["next"]) if entered.get("next") else record_path(entity, record["Id"]),
        formatter=page.format, options={}, kind=_amount_kind(entity),
        **await _command_effects(page, entity, action, record, entered),
    )  # fmt: skip


def _field(page: ConsolePage, param: Param, entered: Mapping[str, str], error: ApiError | None) -> FormField:
    required = param.required or param.name == _REASON
    message = error.fields.get(param.name, "") if error else ""
    control = CONTROLS[type(param.field)]
    text = entered.get(param.name, "")
    if isinstance(param.field, Boolean):
        text = "true" if text.lower() in ("true", "1") else ""
    return FormField(param.name, translated_words(param.name, page.language), control, text, required, message)


_PATH: Final = "/console/records/{area}/{plural}/{id:int}/commands/{command}"
COMMAND_SCREENS: Final = (
    Screen(_PATH, _show),
    Screen(_PATH, _run, ("POST",)),
    Screen(f"{_PATH}/effects", _effects, ("POST",)),
)
