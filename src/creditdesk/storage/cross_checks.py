"""Implements `CrossChecks` by statements that compare in the database and return only ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from creditdesk.schema.cross_checks import Counterpart, Newest, Pairing
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import DateTime
from creditdesk.schema.query import Filter
from creditdesk.storage.clauses import Joins
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import Fragment, Parameter
from creditdesk.storage.naming import casefolded_name, column_name, is_casefolded, table_name
from creditdesk.storage.queries import Statements


class CrossCheckReads(ABC):
    """The part of a read session that answers `CrossChecks`."""

    statements: Statements
    dialect: Dialect

    @abstractmethod
    async def fetch(self, text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Executes a statement and returns its rows."""

    async def find_unequal(
        self,
        entity: type[Entity],
        column: str,
        newest: Newest,
        filters: Sequence[Filter] = (),
        *,
        scale: int = 1,
        of_most: bool = False,
    ) -> list[int]:
        value = f"t.{column_name(entity.meta().columns[column])}"
        # SQLite looks up a value faster than PostgreSQL passes over the few of one record.
        if of_most and self.dialect.name == "postgresql":
            latest = Fragment("coalesce(l.value, 0)")
            join = Fragment(" LEFT JOIN (") + self._every_newest(newest, first=len(filters)) + Fragment(") AS l")
            join += Fragment(" ON l.key = t.id")
        else:
            latest, join = self._newest(newest, "t.id", first=len(filters)), None
        differs = Fragment(f"{value} * {scale} <> ") + latest
        statement = self._select_ids(entity, filters, differs, join)
        return await self._ids(statement, (*filters, *newest.filters))

    async def find_unmatched(
        self, entity: type[Entity], counterpart: Counterpart, filters: Sequence[Filter], limit: int | None = None
    ) -> list[int]:
        missing = self._without(entity, counterpart, first=len(filters))
        statement = self._select_ids(entity, filters, missing)
        if limit is not None:
            statement += Fragment(f" LIMIT {limit}")
        return await self._ids(statement, (*filters, *counterpart.filters))

    async def find_repeated(
        self, entity: type[Entity], columns: Sequence[str], filters: Sequence[Filter] = ()
    ) -> list[int]:
        joins = Joins(entity)
        compared = [self.statements.compared_expression(entity.meta().columns[name], joins) for name in columns]
        values = ", ".join(compared)
        known = Fragment(" AND ".join(f"{each} IS NOT NULL" for each in compared))
        # Parallel workers would each compute a subquery of their own.
        repeated = Fragment(f"WITH repeated AS MATERIALIZED (SELECT {values} FROM {table_name(entity)} AS t")
        repeated += self._where(entity, filters, known) + Fragment(f" GROUP BY {values} HAVING count(*) > 1) ")
        member = Fragment(f"({values}) IN (SELECT * FROM repeated)")
        return await self._ids(repeated + self._select_ids(entity, filters, member), filters)

    async def find_listed(
        self,
        entity: type[Entity],
        index: str,
        columns: Sequence[str],
        filters: Sequence[Filter] = (),
        *,
        without: Counterpart | None = None,
    ) -> list[tuple[Any, ...]]:
        [listed] = [each.condition for each in entity.covering_indexes if each.name == index]
        joins = Joins(entity)
        chosen = [self.statements.compared_expression(entity.meta().columns[name], joins) for name in columns]
        # Every column of the filters may lead into the index, also those that are seldom worth one of their own.
        conditions = [Fragment(f"({listed})"), *self.statements.numbered_conditions(filters, joins, 0)]
        if without is not None:
            conditions.append(self._without(entity, without, first=len(filters)))
        statement = Fragment(f"SELECT DISTINCT {', '.join(chosen)} FROM {table_name(entity)} AS t WHERE ")
        statement += Fragment.join(" AND ", conditions)
        bound = statement.numbered(self.dialect).bind((*filters, *(without.filters if without else ())))
        return [tuple(row) for row in await self.fetch(bound.text, bound.values)]

    async def find_grouped(
        self, entity: type[Entity], by: str, member: str, filters: Sequence[Filter]
    ) -> dict[Any, Sequence[int]]:
        group, value = (entity.meta().columns[name] for name in (by, member))
        key = f"t.{column_name(group)}"
        collect = "group_concat" if self.dialect.name == "sqlite" else "array_agg"
        members = f"{collect}(t.{column_name(value)})"
        statement = Fragment(f"SELECT {key}, {members} FROM {table_name(entity)} AS t")
        statement += self.statements.where(entity, filters, Joins(entity)) + Fragment(f" GROUP BY {key}")
        bound = statement.numbered(self.dialect).bind(filters)
        decode = self.dialect.decoder(group.field)
        return {
            decode(key) if decode else key: self.dialect.decode_collection(found)
            for key, found in await self.fetch(bound.text, bound.values)
        }

    async def values_before(self, newest: Newest, keys: Sequence[tuple[int, datetime]]) -> list[int]:
        before = f" AND n.{column_name(newest.entity.meta().columns[newest.order[0]])} < k.instant"
        count = len(newest.filters)
        source, arguments = self._keys(keys, first=count)
        statement = Fragment("SELECT ") + self._newest(newest, "k.id", before) + Fragment(" FROM ") + source
        statement += Fragment(" ORDER BY k.position")
        bound = statement.numbered(self.dialect).bind((*newest.filters, *arguments))
        return [row[0] for row in await self.fetch(bound.text, bound.values)]

    def _keys(self, keys: Sequence[tuple[int, datetime]], first: int) -> tuple[Fragment, list[Any]]:
        """Ids and instants as the rows `k (id, instant, position)`, and the arguments that they come from."""
        ids = [key[0] for key in keys]
        instants = [self.dialect.encode(DateTime(), key[1]) for key in keys]
        if self.dialect.name == "sqlite":
            pairs = self.dialect.array_parameter(list(zip(ids, instants, strict=True)))
            rows = "SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS instant, key AS position "
            rows += "FROM json_each(:keys)"
            return Fragment(f"({rows}) AS k", (Parameter("keys", first),)), [pairs]
        parameters = (Parameter("ids", first), Parameter("instants", first + 1))
        rows = "unnest(:ids::bigint[], :instants::timestamptz[]) WITH ORDINALITY AS k (id, instant, position)"
        return Fragment(rows, parameters), [ids, instants]

    def _newest(self, newest: Newest, key: str, condition: str = "", *, first: int = 0) -> Fragment:
        """A scalar: the newest value for a key, 0 without one."""
        entity, columns = newest.entity, newest.entity.meta().columns
        matched = self._conditions(entity, newest.filters, first)
        text = f"coalesce((SELECT n.{column_name(columns[newest.value])} FROM {table_name(entity)} AS n WHERE "
        text += "".join(f"{each.text} AND " for each in matched)
        text += f"n.{column_name(columns[newest.key])} = {key}{condition} ORDER BY "
        return Fragment(f"{text}{self._newest_first(newest)} LIMIT 1), 0)", _parameters(matched))

    def _every_newest(self, newest: Newest, *, first: int) -> Fragment:
        """Rows `key, value`: the newest value for each key that has one, in the order of the index of `Newest`."""
        entity, columns = newest.entity, newest.entity.meta().columns
        key, value = (f"n.{column_name(columns[name])}" for name in (newest.key, newest.value))
        matched = self._conditions(entity, newest.filters, first)
        text = f"SELECT DISTINCT ON ({key}) {key} AS key, {value} AS value FROM {table_name(entity)} AS n"
        text += f" WHERE {' AND '.join(each.text for each in matched)}" if matched else ""
        order = f" ORDER BY {key} DESC{self.dialect.nulls_last}, {self._newest_first(newest)}"
        return Fragment(text + order, _parameters(matched))

    def _newest_first(self, newest: Newest) -> str:
        columns, last = newest.entity.meta().columns, self.dialect.nulls_last
        return ", ".join(f"n.{column_name(columns[name])} DESC{last}" for name in newest.order)

    def _without(self, entity: type[Entity], counterpart: Counterpart, *, first: int) -> Fragment:
        """The condition that a record `t` has no counterpart, whose arguments begin at `first`."""
        joins = Joins(counterpart.entity)
        joins.aliases[()] = "n"
        paired = [Fragment(paired_condition("n", counterpart.entity, entity, each)) for each in counterpart.pairings]
        matched = self.statements.numbered_conditions(counterpart.filters, joins, first)
        counterparts = f"SELECT 1 FROM {table_name(counterpart.entity)} AS n{joins.text} WHERE "
        conditions = Fragment.join(" AND ", [*paired, *matched])
        return Fragment(f"NOT EXISTS ({counterparts}") + conditions + Fragment(")")

    def _conditions(self, entity: type[Entity], filters: Sequence[Filter], first: int) -> list[Fragment]:
        """Conditions on the alias `n`, whose arguments begin at `first`."""
        joins = Joins(entity)
        joins.aliases[()] = "n"
        return self.statements.numbered_conditions(filters, joins, first)

    def _select_ids(
        self, entity: type[Entity], filters: Sequence[Filter], condition: Fragment, join: Fragment | None = None
    ) -> Fragment:
        source = Fragment(f"SELECT t.id FROM {table_name(entity)} AS t") + (join or Fragment(""))
        return source + self._where(entity, filters, condition) + Fragment(" ORDER BY t.id")

    def _where(self, entity: type[Entity], filters: Sequence[Filter], condition: Fragment) -> Fragment:
        where = self.statements.where(entity, filters, Joins(entity))
        return where + Fragment(f"{' AND' if where.text else ' WHERE'} ") + condition

    async def _ids(self, statement: Fragment, filters: Sequence[Filter]) -> list[int]:
        bound = statement.numbered(self.dialect).bind(filters)
        return [row[0] for row in await self.fetch(bound.text, bound.values)]


def _parameters(fragments: Sequence[Fragment]) -> tuple[Parameter, ...]:
    return tuple(parameter for each in fragments for parameter in each.parameters)


def paired_condition(alias: str, other: type[Entity], own: type[Entity], pairing: Pairing) -> str:
    """The condition that a record `alias` of `other` belongs to the record `t` of `own`."""

    def compared(entity: type[Entity], name: str) -> str:
        column: Column = entity.meta().columns[name]
        return casefolded_name(column) if is_casefolded(column) else column_name(column)

    value = f"t.{compared(own, pairing.own)}"
    if pairing.factor != 1 or pairing.offset:
        value = f"{value} * {pairing.factor} + {pairing.offset}"
    return f"{alias}.{compared(other, pairing.other)} = {value}"
