"""Implements `GroupedSums` by one statement that computes sums in the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from creditdesk.schema.cross_checks import Pairing
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime
from creditdesk.schema.grouped_sums import GroupedSum, GroupTerm, InstantsPassed, Lookup
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
        columns: Sequence[str | Lookup],
        by: Sequence[GroupTerm],
        filters: Sequence[Filter] = (),
    ) -> list[GroupedSum]:
        joins, lookups, terms, arguments = Joins(entity), _LookupJoins(entity), list[Fragment](), list[Any](filters)
        decoders: list[Decode | None] = []
        for each in by:
            if isinstance(each, Lookup):
                terms.append(Fragment(lookups.expression(each)))
                decoders.append(self.dialect.decoder(each.entity.meta().columns[each.value].field))
            elif isinstance(each, InstantsPassed):
                terms.append(self._passed(entity, each, first=len(arguments)))
                decoders.append(None)
                arguments += each.instants
            else:
                own = entity.meta().columns[each]
                terms.append(Fragment(self.statements.stored_expression(own, joins)))
                decoders.append(self.dialect.decoder(own.field))
        sums = "".join(f", coalesce(sum({lookups.expression(each)}), 0)" for each in columns)
        where = self.statements.where(entity, filters, joins)
        tables = f" FROM {table_name(entity)} AS t{joins.text}{lookups.text}"
        positions = ", ".join(str(number) for number in range(1, len(terms) + 1))
        statement = Fragment("SELECT ") + Fragment.join(", ", terms) + Fragment(f"{sums}, count(*){tables}")
        statement += where + Fragment(f" GROUP BY {positions}")
        bound = statement.numbered(self.dialect).bind(arguments)
        size = len(terms)
        return [
            GroupedSum(tuple(map(_decoded, decoders, row[:size])), tuple(map(int, row[size:-1])), row[-1])
            for row in await self.fetch(bound.text, bound.values)
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


class _LookupJoins:
    """The joins of lookups of a statement; several values of one record share one."""

    def __init__(self, entity: type[Entity]) -> None:
        self._entity = entity
        self._aliases: dict[tuple[type[Entity], Pairing], str] = {}
        self.text = ""

    def expression(self, column: str | Lookup) -> str:
        """The stored value of a column or of a lookup."""
        if isinstance(column, str):
            return f"t.{column_name(self._entity.meta().columns[column])}"
        return f"{self._alias(column)}.{column_name(column.entity.meta().columns[column.value])}"

    def _alias(self, lookup: Lookup) -> str:
        known = self._aliases.get((lookup.entity, lookup.pairing))
        if known:
            return known
        alias = self._aliases[lookup.entity, lookup.pairing] = f"l{len(self._aliases)}"
        condition = paired_condition(alias, lookup.entity, self._entity, lookup.pairing)
        self.text += f" LEFT JOIN {table_name(lookup.entity)} AS {alias} ON {condition}"
        return alias


def _decoded(decode: Decode | None, value: Any) -> Any:
    return value if decode is None or value is None else decode(value)
