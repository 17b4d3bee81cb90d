"""Every documented filter, sort and page returns exactly what the naive model does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.contract.contract_client import SEED, ContractClient, entity_id
from tests.contract.facts import CONTRACT, CORE, EntityFacts
from tests.contract.model import FilterCase, expected_envelope, sortable_fields

SIZES = ("1000", "10", "3", "25")
RISING = ("1", "0", "ascending", "Ascending", "")
FALLING = ("-1", "descending", "Descending")
ENTITIES = pytest.mark.parametrize("facts", CONTRACT.values(), ids=entity_id)


async def assert_matches_model(
    api: ContractClient,
    facts: EntityFacts,
    cases: Sequence[FilterCase],
    sort: str,
    direction: str,
    page: int = 1,
    size: str = "1000",
) -> None:
    """Sends one query and compares page, total and envelope with the model."""
    params = {each.param: each.text for each in cases}
    params |= {"orderBy": sort, "dir": direction, "page": str(page), "size": size}
    descending = direction in FALLING
    response = await api.get(facts.path, **params)
    rows = api.model.select(facts, cases, sort, descending=descending)
    first = (page - 1) * int(size)
    wanted = [row["Id"] for row in rows[first : first + int(size)]]
    assert [record["Id"] for record in response.pop("Records")] == wanted, params
    assert response == {
        **expected_envelope(len(rows), page, int(size)),
        "CurrentOrderField": sort,
        "CurrentSortDirection": -1 if descending else 1,
    }, params


@ENTITIES
async def test_every_filter_and_every_sort(api: ContractClient, facts: EntityFacts, database: str) -> None:
    """Each parameter once, each sort in both directions, combined at random per engine."""
    random = Random(f"{SEED} {facts.entity} {database.partition(':')[0]}")
    sorts = [(name, way) for name in sortable_fields(facts) for way in (RISING, FALLING)]
    random.shuffle(sorts)
    filters = facts.filters * (2 if facts.entity in CORE else 1)
    turn = cycle(sorts)
    for each in filters:
        sort, ways = next(turn)
        cases = api.model.filter_case(facts, each, random.choice)
        page, size = random.choice((1, 1, 2)), random.choice(SIZES)
        await assert_matches_model(api, facts, [cases], sort, random.choice(ways), page, size)
    for sort, ways in sorts[len(filters) :]:
        await assert_matches_model(api, facts, [], sort, random.choice(ways), random.choice((1, 2)), "10")


@ENTITIES
async def test_pages_neither_repeat_nor_lose_a_row(api: ContractClient, facts: EntityFacts) -> None:
    random = Random(f"{SEED} pages {facts.entity}")
    names = random.sample(sortable_fields(facts), 1)
    for name in [facts.default_sort, *names]:
        way = random.choice((*RISING, *FALLING))
        rows = api.model.select(facts, sort=name, descending=way in FALLING)
        seen: list[int] = []
        for page in range(1, 8):
            response = await api.get(facts.path, orderBy=name, dir=way, page=str(page), size="7")
            seen += [record["Id"] for record in response["Records"]]
        assert seen == [row["Id"] for row in rows]


@ENTITIES
async def test_the_default_order(api: ContractClient, facts: EntityFacts) -> None:
    wanted = [row["Id"] for row in api.model.select(facts)][:25]
    for params in ({}, {"orderBy": "NoSuchField"}, {"page": "0", "size": "0"}, {"PageSize": "3"}):
        response = await api.get(facts.path, **params)
        assert [record["Id"] for record in response["Records"]] == wanted
        assert response["CurrentOrderField"] == facts.default_sort


def example_settings(examples: int) -> settings:
    """That many generated examples, the same on each run."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


async def assert_combination_matches(api: ContractClient, facts: EntityFacts, data: st.DataObject) -> None:
    """Several filters at once, in any case, with any sort, direction, page and size."""

    def choose(among: Sequence[Any]) -> Any:
        return data.draw(st.sampled_from(among))

    filters = data.draw(st.lists(st.sampled_from(facts.filters), max_size=4, unique_by=lambda f: f.param.lower()))
    cases = [api.model.filter_case(facts, each, choose) for each in filters]
    recase = choose((str, str.lower, str.upper))
    cases = [replace(each, param=recase(each.param)) for each in cases]
    sort = choose(sortable_fields(facts))
    page, size = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 45))
    await assert_matches_model(api, facts, cases, sort, choose(RISING + FALLING), page, str(size))


@pytest.mark.parametrize("facts", [CONTRACT[name] for name in CORE], ids=entity_id)
@example_settings(25)
@given(data=st.data())
async def test_combinations_on_the_core(api: ContractClient, facts: EntityFacts, data: st.DataObject) -> None:
    await assert_combination_matches(api, facts, data)


@pytest.mark.parametrize("facts", [f for f in CONTRACT.values() if f.entity not in CORE], ids=entity_id)
@example_settings(5)
@given(data=st.data())
async def test_combinations(api: ContractClient, facts: EntityFacts, data: st.DataObject) -> None:
    await assert_combination_matches(api, facts, data)


@pytest.mark.deep
@ENTITIES
@example_settings(500)
@given(data=st.data())
async def test_many_combinations(api: ContractClient, facts: EntityFacts, data: st.DataObject) -> None:
    await assert_combination_matches(api, facts, data)
