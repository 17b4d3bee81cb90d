"""Several readers go on side by side, and each step of theirs is one exchange with the store."""

from collections.abc import Sequence

import pytest

from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.ledger.loaders.dataloader import at_once
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Filter
from creditdesk.schema.repository import Finding, Question


class Records:
    """Answers each question with its own entity and names; notes what was asked together."""

    def __init__(self) -> None:
        self.exchanges: list[list[str]] = []

    async def find(
        self, entity: type[Entity], filters: Sequence[Filter] = (), *, names: Sequence[str] = ()
    ) -> list[Record]:
        [found] = await self.find_all([Question(entity, filters, names)])
        return found

    async def find_all(self, questions: Sequence[Question]) -> list[list[Record]]:
        self.exchanges.append([f"{q.entity.__name__} {' '.join(q.names)}" for q in questions])
        return [[{"of": q.entity.__name__, "names": tuple(q.names)}] for q in questions]


async def one(finding: Finding) -> Record:
    [record] = await finding.find(Currency, names=("Code",))
    return record


async def two_in_turn(finding: Finding) -> list[Record]:
    first = await finding.find(Business, names=("Id",))
    return [*first, *await finding.find(Business, names=("Name",))]


async def nothing(_finding: Finding) -> str:
    return "nothing"


async def test_what_is_asked_at_the_same_step_travels_together() -> None:
    records = Records()

    currency, businesses, none = await at_once(records, one, two_in_turn, nothing)

    assert currency == {"of": "Currency", "names": ("Code",)}
    assert [business["names"] for business in businesses] == [("Id",), ("Name",)]
    assert none == "nothing"
    assert records.exchanges == [["Currency Code", "Business Id"], ["Business Name"]]


async def test_readers_within_readers_keep_step() -> None:
    records = Records()

    async def both(finding: Finding) -> tuple[Record, list[Record]]:
        return await at_once(finding, one, two_in_turn)

    (currency, _), _ = await at_once(records, both, two_in_turn)

    assert currency["of"] == "Currency"
    assert records.exchanges == [
        ["Currency Code", "Business Id", "Business Id"],
        ["Business Name", "Business Name"],
    ]


async def test_who_asks_nothing_costs_no_exchange() -> None:
    records = Records()

    assert await at_once(records, nothing, nothing) == ("nothing", "nothing")
    assert records.exchanges == []


async def test_what_one_reader_raises_ends_the_others() -> None:
    ended = []

    async def refused(finding: Finding) -> None:
        await finding.find(Currency)
        raise LookupError

    async def other(finding: Finding) -> None:
        try:
            await two_in_turn(finding)
        finally:
            ended.append("other")

    with pytest.raises(LookupError):
        await at_once(Records(), refused, other)
    assert ended == ["other"]
