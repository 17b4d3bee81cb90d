"""Scenarios: requests for the server and statements for the ceiling."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.load import HttpRequest
from benchmarks.seeding import CREDITS_PER_CUSTOMER, BookingCase, SeedData
from creditdesk.api.query_params import parse_list_query
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.query import Comparison, Filter, ListQuery
from creditdesk.settings import ApiSettings
from creditdesk.storage.clauses import Joins
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.narrow_filters import NarrowSearch
from creditdesk.storage.queries import Statements
from creditdesk.storage.text_filters import TextFilter

USE_ENTITY: Final = CoworkerBookingCreditUseHistory
_NAME: Final = USE_ENTITY.__name__
_AMOUNT_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The statements of one transaction and their parameters: rows of values, or a range of ids for a
    single parameter.
    """

    texts: tuple[str, ...]
    variants: Sequence[tuple[Any, ...]] | range
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """One path through the server, with its ceiling if there is one."""

    name: str
    title: str
    requests: tuple[HttpRequest, ...]
    ceiling: Ceiling | None
    idempotency_keys: bool = False
    is_beside_empty: bool = False
    """The ceiling is an application that answers the bytes of the first request at once, on the same server."""


class NaiveQueries(Statements):
    """Plain SQL for a list: a page of the table's own columns, beside a count of the rows."""

    def row_expressions(self, columns: Sequence[str]) -> str:
        return ", ".join(columns)

    def _counted_total(self, _entity: type[Entity], _filters: Sequence[Filter]) -> str | None:
        return None

    def _text_filter(self, _entity: type[Entity], _filters: Sequence[Filter]) -> TextFilter | None:
        return None

    def narrow_search(self, _query: ListQuery) -> NarrowSearch:
        return NarrowSearch()

    def _is_scattered(self, _query: ListQuery, _text: TextFilter | None) -> bool:
        return False


class JoinedQueries(NaiveQueries):
    """The same, joined to the embedded values."""

    def stored_expression(self, column: Column, joins: Joins) -> str:
        return super().stored_expression(replace(column, denormalized=False), joins)

    def compared_expression(self, column: Column, joins: Joins) -> str:
        return super().compared_expression(replace(column, denormalized=False), joins)


def all_scenarios(filled: SeedData, dialect: Dialect) -> Iterator[Scenario]:
    """Every scenario, reads first."""
    statements = JoinedQueries(dialect)
    yield _list_scenario(
        statements, "list", "list of 25: two filters, a range, a sort",
        [_customer_query(filled, *customer) for customer in filled.customers],
    )  # fmt: skip
    yield _list_scenario(
        statements, "credit", "list of one credit's uses",
        [{f"{_NAME}_CoworkerBookingCredit": credit} for credit in filled.listed_credits],
    )  # fmt: skip
    later_half = {
        f"from_{_NAME}_CreatedOn": _format_datetime(filled.since),
        f"to_{_NAME}_CreatedOn": _format_datetime(filled.until),
        "orderBy": "CreatedOn", "dir": -1,
    }  # fmt: skip
    yield _list_scenario(
        statements, "all", f"list of 25 of the later half of all {filled.uses:,} uses, sorted",
        [later_half],
    )  # fmt: skip
    middle = filled.uses // 4 // 25
    yield _list_scenario(
        statements, "deep", f"the same, from page {middle:,} on",
        [later_half | {"page": page} for page in range(middle, middle + 4)],
    )  # fmt: skip
    yield _get_scenario(statements, filled)
    tills, others = filled.spend_credits, filled.ceiling_credits
    hot, other_hot = tills[:1], others[:1]
    draw = _minimal_spend(dialect)
    yield Scenario("spend", f"spend on {len(tills):,} credits", _spend_requests(tills), draw(others))
    yield Scenario("hot", "spend on one hot credit", _spend_requests(hot), draw(other_hot))
    yield Scenario("keyed", f"spend on {len(tills):,} credits, each with an idempotency key",
               _spend_requests(tills), draw(others), idempotency_keys=True)  # fmt: skip
    of_five = f"of a booking over {CREDITS_PER_CUSTOMER} candidates"
    yield Scenario("preview", f"preview {of_five}", _basket_requests("previews", filled.booking_cases), None)
    yield Scenario(
        "booking",
        f"spend {of_five}",
        _basket_requests("spends", filled.booking_cases),
        draw(others),
    )


def _customer_query(filled: SeedData, coworker: int, business: int) -> dict[str, Any]:
    return {
        f"{_NAME}_CoworkerBookingCredit_Coworker_Id": coworker,
        f"{_NAME}_CoworkerBookingCredit_Business_Id": business,
        f"from_{_NAME}_CreatedOn": _format_datetime(filled.since),
        "orderBy": "CreatedOn",
        "dir": -1,
    }


def _format_datetime(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _list_scenario(statements: JoinedQueries, name: str, title: str, queries: Sequence[dict[str, Any]]) -> Scenario:
    requests: list[HttpRequest] = []
    variants: list[tuple[Any, ...]] = []
    texts: set[str] = set()
    for params in queries:
        query = urlencode(params)
        requests.append(HttpRequest("GET", f"{USE_ENTITY.path()}?{query}"))
        list_query = parse_list_query(USE_ENTITY, query.encode(), ApiSettings()).query
        offset = (list_query.page - 1) * list_query.size
        text, values, _ = statements.page(list_query, offset, list_query.size)
        texts.add(text)
        variants.append(tuple(values))
    [text] = texts
    ceiling = Ceiling((text,), variants)
    return Scenario(name, title, tuple(requests), ceiling)


def _get_scenario(statements: JoinedQueries, filled: SeedData) -> Scenario:
    variants: list[tuple[Any, ...]] = []
    text = ""
    for use_id in filled.use_ids:
        wanted = Filter(USE_ENTITY.meta().columns["Id"], Comparison.ONE_OF, (use_id,))
        text, values, _ = statements.find(USE_ENTITY, (wanted,), whole=True)
        variants.append(tuple(values))
    asks = tuple(HttpRequest("GET", f"{USE_ENTITY.path()}/{use_id}") for use_id in filled.use_ids)
    return Scenario("get", "get by id", asks, Ceiling((text,), variants))


def _spend_requests(credits_: range) -> tuple[HttpRequest, ...]:
    return tuple(
        HttpRequest(
            "POST",
            USE_ENTITY.path(),
            json.dumps({"CoworkerBookingCreditId": i, "CreditUsed": 0.01}),
        )
        for i in credits_
    )


def _basket_requests(path: str, visits: Sequence[BookingCase]) -> tuple[HttpRequest, ...]:
    asks: list[HttpRequest] = []
    for visit in visits:
        source = {"Kind": "booking", "Id": visit.booking_id, "Amount": 0.01}
        body = {
            "CoworkerId": visit.coworker_id,
            "BusinessId": visit.business_id,
            "Sources": [source],
        }
        asks.append(HttpRequest("POST", f"/api/ledger/{path}", json.dumps(body)))
    return tuple(asks)


def _minimal_spend(dialect: Dialect) -> Callable[[range], Ceiling]:
    """The minimum of a spend: one conditional update and one row, without journal, proof and key."""
    table, credit = "coworker_booking_credit_use_history", "coworker_booking_credit"
    columns = "id, coworker_booking_credit_id, credit_used, unique_id, created_on, updated_on"
    take = (
        f"UPDATE {credit} SET remaining_credit = remaining_credit - {_AMOUNT_STEPS} "
        f"WHERE id = {dialect.placeholder(1)} AND remaining_credit >= {_AMOUNT_STEPS}"
    )
    if dialect.name == "postgresql":
        texts: tuple[str, ...] = (
            f"WITH drawn AS ({take} RETURNING id) INSERT INTO {table} ({columns}) "
            f"SELECT nextval('{table}_ids'), id, {_AMOUNT_STEPS}, gen_random_uuid()::text, "
            "now(), now() FROM drawn",
        )
    else:
        now = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
        texts = (
            f"UPDATE id_sequence SET last = last + 1 WHERE name = '{table}'",
            take,
            f"INSERT INTO {table} ({columns}) SELECT last, ?1, {_AMOUNT_STEPS}, "
            f"hex(randomblob(16)), {now}, {now} FROM id_sequence "
            f"WHERE name = '{table}' AND changes() = 1",
        )
    return lambda ids: Ceiling(texts, ids, writes=True)
