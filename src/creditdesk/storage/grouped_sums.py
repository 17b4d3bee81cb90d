"""Implements `GroupedSums`: one statement that adds up in the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime
from creditdesk.schema.grouped_sums import GroupedSum, InstantsPassed, Lookup
from creditdesk.schema.query import Filter
from creditdesk.storage.clauses import Joins
from creditdesk.storage.cross_checks import paired_condition
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import Decode, Fragment, Parameter
from creditdesk.storage.naming import column_name, table_name
from creditdesk.storage.queries import Statements


class GroupedSumReads(ABC):
    """The part of a read session that answers `GroupedSums`."""

    statements: Statements
    dialect: Dialect

    @abstractmethod
    async def fetch(self, text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Executes a statement and returns its rows."""

    async def sum_grouped(
        self,
        entity: type[Entity],
        column: str,
        by: Sequence[str | Lookup | InstantsPassed],
        filters: Sequence[Filter] = (),
    ) -> list[GroupedSum]:
        joins, lookups, keys, arguments = Joins(entity), "", list[Fragment](), list[Any](filters)
        decoders: list[Decode | None] = []
        for each in by:
            if isinstance(each, Lookup):
                alias = f"l{len(keys)}"
                found = each.entity.meta().columns[each.value]
                condition = paired_condition(alias, each.entity, entity, each.pairing)
                lookups += f" LEFT JOIN {table_name(each.entity)} AS {alias} ON {condition}"
                keys.append(Fragment(f"{alias}.{column_name(found)}"))
                decoders.append(self.dialect.decoder(found.field))
            elif isinstance(each, InstantsPassed):
                keys.append(self._passed(entity, each, first=len(arguments)))
                decoders.append(None)
                arguments += each.instants
            else:
                own = entity.meta().columns[each]
                keys.append(Fragment(self.statements.stored_expression(own, joins)))
                decoders.append(self.dialect.decoder(own.field))
        total = f", sum(t.{column_name(entity.meta().columns[column])}), count(*) FROM {table_name(entity)} AS t"
        where = self.statements.where(entity, filters, joins)
        positions = ", ".join(str(number) for number in range(1, len(keys) + 1))
        statement = Fragment("SELECT ") + Fragment.join(", ", keys) + Fragment(f"{total}{joins.text}{lookups}")
        statement += where + Fragment(f" GROUP BY {positions}")
        bound = statement.numbered(self.dialect).bind(arguments)
        return [
            GroupedSum(tuple(map(_decoded, decoders, group)), int(added), records)
            for *group, added, records in await self.fetch(bound.text, bound.values)
        ]

    def _passed(self, entity: type[Entity], key: InstantsPassed, *, first: int) -> Fragment:
        """A number for each record; the arguments of its parameters begin at `first`."""
        time = f"t.{column_name(entity.meta().columns[key.column])}"
        parameters = tuple(
            Parameter(f"instant_{first + number}", first + number, self._encode_instant)
            for number in range(len(key.instants))
        )
        cases = "".join(f" WHEN {time} <= {each} THEN {number}" for number, each in enumerate(parameters))
        return Fragment(f"CASE WHEN {time} IS NULL THEN NULL{cases} ELSE {len(parameters)} END", parameters)

    def _encode_instant(self, instant: Any) -> Any:
        return self.dialect.encode(DateTime(), instant)


def _decoded(decode: Decode | None, value: Any) -> Any:
    return value if decode is None or value is None else decode(value)
