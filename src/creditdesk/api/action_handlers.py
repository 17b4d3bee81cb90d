"""Actions (the imitated API's "commands") of an entity: listed, and run on chosen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext
from creditdesk.api.responses import action_body, json_response
from creditdesk.api.write_handlers import EntityWrite
from creditdesk.api.write_pipeline import TransactionWrite, WriteInput
from creditdesk.auth.permission import require_named_role, require_role
from creditdesk.auth.scope import scope_filters
from creditdesk.schema.actions import Action
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import ValidationError, invalid_field
from creditdesk.schema.fields import Collection
from creditdesk.schema.params import Param, Params
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import RequestContext

MAX_ACTION_IDS: Final = 1000
_KEY: Final = Param("Key", required=True)
_IDS: Final = Param("Ids", Collection(of=""))


async def list_actions(
    entity: type[Entity], api: ApiContext, _request: Request, context: RequestContext, _id: int
) -> Response:
    """The actions of the entity, as a bare array."""
    require_role(context.principal, entity, "list")
    return json_response(200, [_describe(each) for each in api.actions.get(entity.__name__, ())])


@dataclass(frozen=True, slots=True)
class ActionRun:
    """An action, the records it runs on, and its parameters."""

    action: Action
    ids: tuple[int, ...]
    params: Params


class RunAction(EntityWrite[ActionRun], TransactionWrite[ActionRun]):
    """POST with `Key`, `Ids` and `Parameters` (a list of Name, Type and Value)."""

    verb = "update"

    def __init__(self, entity: type[Entity], actions: Sequence[Action]) -> None:
        super().__init__(entity)
        self._actions = {action.key.lower(): action for action in actions}

    def parse(self, write_input: WriteInput) -> ActionRun:
        values = write_input.values()
        chosen = Params((_KEY, _IDS), values)
        key = str(chosen[_KEY] or "")
        action = self._actions.get(key.strip().lower())
        if action is None:
            if key.strip():
                chosen.add_error(_KEY, "is not a command of this entity")
            chosen.raise_errors()
            raise invalid_field("Key", "is a required field")
        _check_ids(chosen)
        params = Params(action.parameters, _named_values(values))
        if errors := [*chosen.errors, *params.errors]:
            raise ValidationError(*errors)
        return ActionRun(action, chosen[_IDS], params)

    async def execute(
        self,
        api: ApiContext,
        session: WriteSession,
        parsed: ActionRun,
        context: RequestContext,
    ) -> bytes:
        if parsed.action.role and api.settings.require_ledger_roles:
            require_named_role(context.principal, parsed.action.role)
        await _require_records(session, self.entity, parsed.ids, context)
        result = await parsed.action.run(session, parsed.ids, parsed.params, context)
        now = context.now.replace(microsecond=0)
        return action_body(result.message, result.value, now, context.principal.email)


def _describe(action: Action) -> dict[str, Any]:
    return {
        "Key": action.key,
        "Name": action.name,
        "AppliesOnlyToMultipleEntities": False,
        "AppliesOnlyToOneEntity": False,
        "AppliesOnlyToTwoEntities": False,
        "DisplayInDropdown": True,
        "DisplayInDropdownV2": True,
        "DisplayInGrid": False,
        "Icon": None,
        "NeedsEntitiesToRun": True,
        "Order": action.order,
        "RequiresParameters": [{"Name": param.name, "Type": param.field.json_type} for param in action.parameters],
    }


def _check_ids(chosen: Params) -> None:
    ids = chosen[_IDS]
    if ids is None:
        return
    if not ids:
        chosen.add_error(_IDS, "is a required field")
    elif len(ids) > MAX_ACTION_IDS:
        chosen.add_error(_IDS, f"must name at most {MAX_ACTION_IDS} records")


def _named_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The `Parameters` of the body as values by name."""
    listed = next((value for key, value in values.items() if key.lower() == "parameters"), None)
    if listed is not None and not isinstance(listed, list):
        raise invalid_field("Parameters", "must be a list of Name, Type and Value")
    return {str(item.get("Name", "")): item.get("Value") for item in listed or () if isinstance(item, Mapping)}


async def _require_records(
    session: ReadSession, entity: type[Entity], ids: Sequence[int], context: RequestContext
) -> None:
    """Raises ValidationError unless the caller may see every record."""
    chosen = Filter(entity.meta().columns["Id"], Comparison.ONE_OF, tuple(ids))
    scope = scope_filters(context.principal, entity)
    if await session.count(entity, (chosen, *scope)) < len(ids):
        raise invalid_field("Ids", "is not found", list(ids))
