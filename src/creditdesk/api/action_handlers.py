"""The commands of an entity: listed, and run on chosen records inside one unit.

Must not know what any command does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body_bytes
from creditdesk.api.context import ApiContext
from creditdesk.api.envelope import action_body
from creditdesk.api.error_handlers import json_response
from creditdesk.api.idempotency import ResponseStore, request_fingerprint
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.schema.actions import Command, Parameter
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import FieldError, ValidationError, invalid_field, missing_field
from creditdesk.schema.fields import Collection
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

MAX_ACTION_IDS = 1000


async def list_actions(api: ApiContext, entity: type[Entity], context: RequestContext) -> Response:
    """What can be done to records of the entity, as a bare array."""
    api.require_role(context.principal, entity, "list")
    known = api.actions.get(entity.__name__, ())
    return json_response(200, [_describe_action(command) for command in known])


async def run_action(
    api: ApiContext, entity: type[Entity], request: Request, context: RequestContext
) -> Response:
    """`Key`, `Ids` and `Parameters` (Name, Type, Value): runs, commits and answers."""
    api.require_role(context.principal, entity, "update")
    raw = await read_body_bytes(request, api.settings.body_limit_bytes)
    body = {
        key.lower(): value
        for key, value in parse_body(raw, request.headers.get("content-type", "")).items()
    }
    command = _find_action(api.actions.get(entity.__name__, ()), body.get("key"))
    ids = _parse_ids(command, body.get("ids"))
    given = _parse_parameters(command.parameters, body.get("parameters"))
    fingerprint = request_fingerprint("POST", f"{entity.path()}/runcommand", raw)
    async with api.store.write_session() as unit:
        answers = ResponseStore(api.response_entity) if api.response_entity else None
        earlier = await answers.find(unit, context, fingerprint) if answers else None
        if earlier is not None:
            return earlier
        await _require_records(api, unit, entity, ids, context)
        outcome = await command.run(unit, ids, given, context)
        now = context.now.replace(microsecond=0)
        answer = action_body(outcome.message, outcome.value, now, context.principal.email)
        if answers:
            await answers.save(unit, context, fingerprint, 200, answer)
    return JsonBytesResponse(answer)


def _describe_action(command: Command) -> dict[str, Any]:
    return {
        "Key": command.key,
        "Name": command.name,
        "AppliesOnlyToMultipleEntities": command.multiple_only,
        "AppliesOnlyToOneEntity": command.record_count == 1,
        "AppliesOnlyToTwoEntities": command.record_count == 2,
        "DisplayInDropdown": True,
        "DisplayInDropdownV2": True,
        "DisplayInGrid": False,
        "Icon": command.icon,
        "NeedsEntitiesToRun": command.requires_records,
        "Order": command.order,
        "RequiresParameters": [
            {"Name": each.name, "Type": each.field.json_type} for each in command.parameters
        ],
    }


def _find_action(known: Sequence[Command], key: Any) -> Command:
    if not isinstance(key, str) or not key.strip():
        raise ValidationError(missing_field("Key"))
    for command in known:
        if command.key.lower() == key.strip().lower():
            return command
    raise invalid_field("Key", "is not a command of this entity", key)


def _parse_ids(command: Command, raw: Any) -> tuple[int, ...]:
    try:
        ids = Collection(of="").parse(raw if raw is not None else [])
    except ParseError as unreadable:
        raise invalid_field("Ids", str(unreadable), raw) from None
    if command.requires_records and not ids:
        raise ValidationError(missing_field("Ids"))
    if len(ids) > MAX_ACTION_IDS:
        raise invalid_field("Ids", f"must name at most {MAX_ACTION_IDS} records")
    if command.record_count is not None and len(ids) != command.record_count:
        raise invalid_field("Ids", f"must name exactly {command.record_count}", raw)
    if command.multiple_only and len(ids) < 2:
        raise invalid_field("Ids", "must name several records", raw)
    return ids


def _parse_parameters(declared: Sequence[Parameter], raw: Any) -> Mapping[str, Any]:
    """The values of a command's parameters by name; unknown ones are ignored."""
    if raw is not None and not isinstance(raw, list):
        raise invalid_field("Parameters", "must be a list of Name, Type and Value")
    given = {
        str(item.get("Name", "")).lower(): item.get("Value")
        for item in raw or []
        if isinstance(item, Mapping)
    }
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for each in declared:
        value = given.get(each.name.lower())
        if value is None or value == "":
            values[each.name] = each.field.default_value
            if each.required:
                errors.append(missing_field(each.name))
            continue
        try:
            values[each.name] = each.field.parse(value)
        except ParseError as unreadable:
            errors.append(FieldError(each.name, str(unreadable), value))
    if errors:
        raise ValidationError(*errors)
    return values


async def _require_records(
    api: ApiContext,
    reading: ReadSession,
    entity: type[Entity],
    ids: Sequence[int],
    context: RequestContext,
) -> None:
    chosen = Filter(entity.meta().columns["Id"], Comparison.ONE_OF, tuple(ids))
    scope = api.scope(context.principal, entity)
    if ids and await reading.count(entity, (chosen, *scope)) < len(ids):
        raise invalid_field("Ids", "is not found", list(ids))
