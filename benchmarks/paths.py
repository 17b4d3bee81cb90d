"""What is measured: each path as requests for the server and as statements for its ceiling."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.filling import CANDIDATES, Filled, Visit
from benchmarks.load import Ask
from creditdesk.api.query_params import read_question
from creditdesk.api.settings import WireSettings
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.query import Filter, Test
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import Joins
from creditdesk.storage.queries import Statements

USE: Final = CoworkerBookingCreditUseHistory
_NAME: Final = USE.__name__
_AMOUNT_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The statements of one transaction and what they are asked with: rows of values, or a range
    of ids for a single parameter."""

    texts: tuple[str, ...]
    variants: Sequence[tuple[Any, ...]] | range
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """One path through the server, with the best the engine itself could do for it, if there is
    anything like it."""

    name: str
    title: str
    asks: tuple[Ask, ...]
    ceiling: Ceiling | None
    keyed: bool = False


class Plain(Statements):
    """What anyone would write: a page joined to what it lends, beside a count of the rows."""

    def raw(self, column: Column, joins: Joins) -> str:
        return super().raw(replace(column, copied=False), joins)

    def compared(self, column: Column, joins: Joins) -> str:
        return super().compared(replace(column, copied=False), joins)

    def packed(self, columns: Sequence[str]) -> str:
        return ", ".join(columns)

    def _total(self, _entity: type[Entity], _filters: Sequence[Filter]) -> str | None:
        return None


def ways(filled: Filled, dialect: Dialect) -> Iterator[Way]:
    """Every path, those that read first."""
    statements = Plain(dialect)
    yield _list_way(
        statements, "list", "list of 25: two filters, a range, a sort",
        [_of_customer(filled, *customer) for customer in filled.customers],
    )  # fmt: skip
    yield _list_way(
        statements, "credit", "list of one credit's uses",
        [{f"{_NAME}_CoworkerBookingCredit": credit} for credit in filled.credits],
    )  # fmt: skip
    later_half = {
        f"from_{_NAME}_CreatedOn": _wire(filled.since),
        f"to_{_NAME}_CreatedOn": _wire(filled.until),
        "orderBy": "CreatedOn", "dir": -1,
    }  # fmt: skip
    yield _list_way(
        statements, "all", f"list of 25 of the later half of all {filled.uses:,} uses, sorted",
        [later_half],
    )  # fmt: skip
    middle = filled.uses // 4 // 25
    yield _list_way(
        statements, "deep", f"the same, from page {middle:,} on",
        [later_half | {"page": page} for page in range(middle, middle + 4)],
    )  # fmt: skip
    yield _get_way(statements, filled)
    tills, others = filled.tills, filled.ceiling_tills
    hot, other_hot = tills[:1], others[:1]
    draw = _draw(dialect)
    yield Way("spend", f"spend on {len(tills):,} credits", _spends(tills), draw(others))
    yield Way("hot", "spend on one hot credit", _spends(hot), draw(other_hot))
    yield Way("keyed", f"spend on {len(tills):,} credits, each with an idempotency key",
               _spends(tills), draw(others), keyed=True)  # fmt: skip
    of_five = f"of a booking over {CANDIDATES} candidates"
    yield Way("preview", f"preview {of_five}", _visits("previews", filled.visits), None)
    yield Way("booking", f"spend {of_five}", _visits("spends", filled.visits), draw(others))


def _of_customer(filled: Filled, coworker: int, business: int) -> dict[str, Any]:
    return {
        f"{_NAME}_CoworkerBookingCredit_Coworker_Id": coworker,
        f"{_NAME}_CoworkerBookingCredit_Business_Id": business,
        f"from_{_NAME}_CreatedOn": _wire(filled.since),
        "orderBy": "CreatedOn",
        "dir": -1,
    }


def _wire(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _list_way(statements: Plain, name: str, title: str, questions: Sequence[dict[str, Any]]) -> Way:
    asks: list[Ask] = []
    variants: list[tuple[Any, ...]] = []
    texts: set[str] = set()
    for question in questions:
        query = urlencode(question)
        asks.append(Ask("GET", f"{USE.path()}?{query}"))
        asked = read_question(USE, query.encode(), WireSettings()).listing
        offset = (asked.page - 1) * asked.size
        text, values, _ = statements.page(asked, offset, asked.size)
        texts.add(text)
        variants.append(tuple(values))
    [text] = texts
    ceiling = Ceiling((text,), variants)
    return Way(name, title, tuple(asks), ceiling)


def _get_way(statements: Plain, filled: Filled) -> Way:
    variants: list[tuple[Any, ...]] = []
    text = ""
    for use_id in filled.use_ids:
        wanted = Filter(USE.shape().columns["Id"], Test.ONE_OF, (use_id,))
        text, values, _ = statements.find(
            USE, (wanted,), None, limited=False, after=False, whole=True
        )
        variants.append(tuple(values))
    asks = tuple(Ask("GET", f"{USE.path()}/{use_id}") for use_id in filled.use_ids)
    return Way("get", "get by id", asks, Ceiling((text,), variants))


def _spends(credits_: range) -> tuple[Ask, ...]:
    return tuple(
        Ask("POST", USE.path(), json.dumps({"CoworkerBookingCreditId": i, "CreditUsed": 0.01}))
        for i in credits_
    )


def _visits(path: str, visits: Sequence[Visit]) -> tuple[Ask, ...]:
    asks: list[Ask] = []
    for visit in visits:
        source = {"Kind": "booking", "Id": visit.booking, "Amount": 0.01}
        body = {"CoworkerId": visit.coworker, "BusinessId": visit.business, "Sources": [source]}
        asks.append(Ask("POST", f"/api/ledger/{path}", json.dumps(body)))
    return tuple(asks)


def _draw(dialect: Dialect) -> Callable[[range], Ceiling]:
    """The least a spend can be: one guarded update and one row, no journal, no proof, no key."""
    table, credit = "coworker_booking_credit_use_history", "coworker_booking_credit"
    columns = "id, coworker_booking_credit_id, credit_used, unique_id, created_on, updated_on"
    take = (
        f"UPDATE {credit} SET remaining_credit = remaining_credit - {_AMOUNT_STEPS} "
        f"WHERE id = {dialect.mark(1)} AND remaining_credit >= {_AMOUNT_STEPS}"
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
