"""A signed-in client over the generated rows, and the conversion of JSON values to the model's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from tests.contract.facts import EntityFacts, FieldFact
from tests.contract.model import ContractModel

SEED = 20260310


@dataclass(frozen=True)
class ContractClient:
    """A signed-in client, and the rows it should find."""

    http: httpx.AsyncClient
    model: ContractModel

    async def get(self, path: str, **params: str) -> Any:
        response = await self.http.get(path, params=params)
        assert response.status_code == 200, (path, params, response.text)
        return json.loads(response.content, parse_float=Decimal)


def model_value(field: FieldFact, json_value: Any) -> Any:
    """A JSON value as the model holds it."""
    if json_value is None:
        return None
    match field.type:
        case "datetime":
            return datetime.fromisoformat(json_value)
        case "number":
            return Decimal(str(json_value))
        case "integer[]":
            return tuple(json_value)
    return json_value


def entity_id(facts: EntityFacts) -> str:
    return facts.entity
