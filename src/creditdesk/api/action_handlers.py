"""The commands of an entity: listed, and run on chosen records inside one unit.

Must not know what any command does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import named_values, raw_body
from creditdesk.api.context import Parts
from creditdesk.api.envelope import action_answer
from creditdesk.api.error_handlers import json_answer
from creditdesk.api.idempotency import Answers, fingerprint_of
from creditdesk.api.responses import JsonAnswer
from creditdesk.schema.actions import Command, Parameter
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import FieldError, Invalid, invalid, required
from creditdesk.schema.fields import Collection, Unreadable
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Reading
from creditdesk.schema.service import Call

MOST_IDS = 1000


async def list_commands(parts: Parts, entity: type[Entity], call: Call) -> Response:
    """What can be done to records of the entity, as a bare array."""
    parts.demand(call.caller, entity, "list")
    known = parts.commands.get(entity.__name__, ())
    return json_answer(200, [_shown(command) for command in known])


async def run_command(parts: Parts, entity: type[Entity], request: Request, call: Call) -> Response:
    """`Key`, `Ids` and `Parameters` (Name, Type, Value): runs, commits and answers."""
    parts.demand(call.caller, entity, "update")
    raw = await raw_body(request, parts.settings.body_limit_bytes)
    body = {
        key.lower(): value
        for key, value in named_values(raw, request.headers.get("content-type", "")).items()
    }
    command = _command(parts.commands.get(entity.__name__, ()), body.get("key"))
    ids = _ids(command, body.get("ids"))
    given = _parameters(command.parameters, body.get("parameters"))
    fingerprint = fingerprint_of("POST", f"{entity.path()}/runcommand", raw)
    async with parts.store.writing() as unit:
        answers = Answers(parts.answers) if parts.answers else None
        earlier = await answers.earlier(unit, call, fingerprint) if answers else None
        if earlier is not None:
            return earlier
        await _demand_all(parts, unit, entity, ids, call)
        outcome = await command.run(unit, ids, given, call)
        now = call.now.replace(microsecond=0)
        answer = action_answer(outcome.message, outcome.value, now, call.caller.email)
        if answers:
            await answers.keep(unit, call, fingerprint, 200, answer)
    return JsonAnswer(answer)


def _shown(command: Command) -> dict[str, Any]:
    return {
        "Key": command.key,
        "Name": command.name,
        "AppliesOnlyToMultipleEntities": command.only_many,
        "AppliesOnlyToOneEntity": command.exactly == 1,
        "AppliesOnlyToTwoEntities": command.exactly == 2,
        "DisplayInDropdown": True,
        "DisplayInDropdownV2": True,
        "DisplayInGrid": False,
        "Icon": command.icon,
        "NeedsEntitiesToRun": command.needs_records,
        "Order": command.order,
        "RequiresParameters": [
            {"Name": each.name, "Type": each.kind.wire_type} for each in command.parameters
        ],
    }


def _command(known: Sequence[Command], key: Any) -> Command:
    if not isinstance(key, str) or not key.strip():
        raise Invalid(required("Key"))
    for command in known:
        if command.key.lower() == key.strip().lower():
            return command
    raise invalid("Key", "is not a command of this entity", key)


def _ids(command: Command, raw: Any) -> tuple[int, ...]:
    try:
        ids = Collection(of="").read(raw if raw is not None else [])
    except Unreadable as unreadable:
        raise invalid("Ids", str(unreadable), raw) from None
    if command.needs_records and not ids:
        raise Invalid(required("Ids"))
    if len(ids) > MOST_IDS:
        raise invalid("Ids", f"must name at most {MOST_IDS} records")
    if command.exactly is not None and len(ids) != command.exactly:
        raise invalid("Ids", f"must name exactly {command.exactly}", raw)
    if command.only_many and len(ids) < 2:
        raise invalid("Ids", "must name several records", raw)
    return ids


def _parameters(wanted: Sequence[Parameter], raw: Any) -> Mapping[str, Any]:
    """The values of a command's parameters by name; unknown ones are ignored."""
    if raw is not None and not isinstance(raw, list):
        raise invalid("Parameters", "must be a list of Name, Type and Value")
    given = {
        str(item.get("Name", "")).lower(): item.get("Value")
        for item in raw or []
        if isinstance(item, Mapping)
    }
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for each in wanted:
        value = given.get(each.name.lower())
        if value is None or value == "":
            values[each.name] = each.kind.empty
            if each.required:
                errors.append(required(each.name))
            continue
        try:
            values[each.name] = each.kind.read(value)
        except Unreadable as unreadable:
            errors.append(FieldError(each.name, str(unreadable), value))
    if errors:
        raise Invalid(*errors)
    return values


async def _demand_all(
    parts: Parts, reading: Reading, entity: type[Entity], ids: Sequence[int], call: Call
) -> None:
    chosen = Filter(entity.shape().columns["Id"], Test.ONE_OF, tuple(ids))
    scope = parts.scope(call.caller, entity)
    if ids and await reading.count(entity, (chosen, *scope)) < len(ids):
        raise invalid("Ids", "is not found", list(ids))
