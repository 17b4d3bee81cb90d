"""Concurrent loaders share one exchange with the store for each step."""

from collections.abc import Sequence

import pytest

from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Filter
from creditdesk.schema.repository import Finder, FindQuery


class Records:
    """Answers each query with its entity and columns, and records which queries came together."""

    def __init__(self) -> None:
        self.exchanges: list[list[str]] = []

    async def find(
        self, entity: type[Entity], filters: Sequence[Filter] = (), *, columns: Sequence[str] = ()
    ) -> list[Record]:
        [found] = await self.find_many([FindQuery(entity, filters, columns)])
        return found

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        self.exchanges.append([f"{q.entity.__name__} {' '.join(q.columns)}" for q in queries])
        return [[{"of": q.entity.__name__, "names": tuple(q.columns)}] for q in queries]


async def one(finding: Finder) -> Record:
    [record] = await finding.find(Currency, columns=("Code",))
    return record


async def two_in_turn(finding: Finder) -> list[Record]:
    first = await finding.find(Business, columns=("Id",))
    return [*first, *await finding.find(Business, columns=("Name",))]


async def nothing(_finding: Finder) -> str:
    return "nothing"


async def test_queries_of_one_step_share_an_exchange() -> None:
    records = Records()

    currency, businesses, none = await gather_loads(records, one, two_in_turn, nothing)

    assert currency == {"of": "Currency", "names": ("Code",)}
    assert [business["names"] for business in businesses] == [("Id",), ("Name",)]
    assert none == "nothing"
    assert records.exchanges == [["Currency Code", "Business Id"], ["Business Name"]]


async def test_nested_loaders_share_exchanges() -> None:
    records = Records()

    async def both(finding: Finder) -> tuple[Record, list[Record]]:
        return await gather_loads(finding, one, two_in_turn)

    (currency, _), _ = await gather_loads(records, both, two_in_turn)

    assert currency["of"] == "Currency"
    assert records.exchanges == [
        ["Currency Code", "Business Id", "Business Id"],
        ["Business Name", "Business Name"],
    ]


async def test_loader_without_query_needs_no_exchange() -> None:
    records = Records()

    assert await gather_loads(records, nothing, nothing) == ("nothing", "nothing")
    assert records.exchanges == []


async def test_error_of_one_loader_cancels_the_others() -> None:
    ended = []

    async def refused(finding: Finder) -> None:
        await finding.find(Currency)
        raise LookupError

    async def other(finding: Finder) -> None:
        try:
            await two_in_turn(finding)
        finally:
            ended.append("other")

    with pytest.raises(LookupError):
        await gather_loads(Records(), refused, other)
    assert ended == ["other"]
