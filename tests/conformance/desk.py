"""A signed-in client before the generated rows, and how a JSON value compares with the model's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from tests.conformance.facts import Facts, FieldFact
from tests.conformance.model import Town

SEED = 20260310


@dataclass(frozen=True)
class Desk:
    """A signed-in client, and the rows it should find."""

    client: httpx.AsyncClient
    town: Town

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, (path, params, answer.text)
        return json.loads(answer.content, parse_float=Decimal)


def inner(field: FieldFact, shown: Any) -> Any:
    """A value of a JSON record as the model compares it."""
    if shown is None:
        return None
    match field.type:
        case "datetime":
            return datetime.fromisoformat(shown.replace("Z", "+00:00"))
        case "number":
            return Decimal(str(shown))
        case "integer[]":
            return tuple(shown)
    return shown


def facts_id(facts: Facts) -> str:
    return facts.entity
