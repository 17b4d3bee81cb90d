"""Text compares casefolded and sorts by code point, the same on both engines."""

from __future__ import annotations

import pytest

from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import Store
from tests.storage.storage_contract import (
    insert_rows,
    matching_positions,
    order_by,
    sorted_positions,
    where,
)

WORDS = [
    "Straße", "STRASSE", "İstanbul", "istanbul", "ΣΊΣΥΦΟΣ", "σίσυφος", "Ångström", "Zebra",
    "zebra", "ähre", "Äpfel", "apple", "Apple", "_under", "10", "9", "naïve", "日本", "😀", "ﬁn", "100%",
    "a_b", "a\\b", "quo'te", 'quo"te', "tab\tbed", " lead",
]  # fmt: skip


def holds(text: str) -> Filter:
    return where(Currency, "Name", Comparison.CONTAINS, text)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("strasse", ["Straße", "STRASSE"]),
        ("ß", ["Straße", "STRASSE"]),
        ("SS", ["Straße", "STRASSE"]),
        ("i̇stanbul", ["İstanbul"]),
        ("stanbul", ["İstanbul", "istanbul"]),
        ("Σ", ["ΣΊΣΥΦΟΣ", "σίσυφος"]),
        ("ς", ["ΣΊΣΥΦΟΣ", "σίσυφος"]),
        ("ÅNG", ["Ångström"]),
        ("ZEB", ["Zebra", "zebra"]),
        ("fi", ["ﬁn"]),
        ("日", ["日本"]),
        ("😀", ["😀"]),
        ("%", ["100%"]),
        ("_", ["_under", "a_b"]),
        ("\\", ["a\\b"]),
        ("'", ["quo'te"]),
        ('"', ['quo"te']),
        ("\t", ["tab\tbed"]),
        ("nothing like it", []),
    ],
)
async def test_contains_ignores_case(store: Store, part: str, words: list[str]) -> None:
    ids = await insert_rows(store, Currency, *({"Name": word} for word in WORDS))
    assert [WORDS[at] for at in await matching_positions(store, Currency, ids, holds(part))] == words


async def test_exact_text_ignores_case(store: Store) -> None:
    ids = await insert_rows(store, Currency, *({"Code": word} for word in WORDS))

    async def whole(text: str) -> list[str]:
        is_it = where(Currency, "Code", Comparison.EQUALS, text)
        return [WORDS[at] for at in await matching_positions(store, Currency, ids, is_it)]

    assert await whole("STRAßE") == ["Straße", "STRASSE"]
    assert await whole("zebra") == ["Zebra", "zebra"]
    assert await whole("zeb") == []


@pytest.mark.parametrize("descending", [False, True])
async def test_text_sorts_by_casefolded_code_points(store: Store, descending: bool) -> None:
    names = [*WORDS, None]
    ids = await insert_rows(store, Currency, *({"Name": name} for name in names))
    expected = sorted(
        range(len(names)),
        key=lambda at: (names[at] is not None, (names[at] or "").casefold(), at),
        reverse=descending,
    )
    order = order_by(Currency, "Name", descending=descending)
    assert await sorted_positions(store, Currency, ids, order) == expected


async def test_nulls_sort_first(store: Store) -> None:
    ids = await insert_rows(store, Currency, {"Name": "b"}, {"Name": None}, {"Name": "a"}, {"Name": None})
    assert await sorted_positions(store, Currency, ids, order_by(Currency, "Name")) == [1, 3, 2, 0]
    falling = order_by(Currency, "Name", descending=True)
    assert await sorted_positions(store, Currency, ids, falling) == [0, 2, 3, 1]
    assert await matching_positions(store, Currency, ids, where(Currency, "Name", Comparison.NULL)) == [1, 3]
    assert await matching_positions(store, Currency, ids, where(Currency, "Name", Comparison.NOT_NULL)) == [0, 2]


FIELDS = {
    "Data": [
        {"Name": "Größe", "Value": "Maß XL", "Type": "string"},
        {"Name": "Parking", "Value": True, "Type": "boolean"},
        {"Name": "Floor", "Value": 12, "Type": "integer"},
        {"Name": "Empty", "Value": None, "Type": "string"},
    ]
}


@pytest.mark.parametrize(
    ("name", "value", "holds_it"),
    [
        ("größe", "MASS", True),
        ("GRÖSSE", "ß x", True),
        ("größe", "12", False),
        ("parking", "TRUE", True),
        ("floor", "1", True),
        ("empty", "null", False),
        ("unheard of", "x", False),
    ],
)
async def test_custom_field_filter_matches_name_and_substring(
    store: Store, name: str, value: str, holds_it: bool
) -> None:
    ids = await insert_rows(store, Currency, {"CustomFields": FIELDS}, {}, {"CustomFields": {"Data": []}})
    column = Currency.meta().columns["CustomFields"]
    assert await matching_positions(store, Currency, ids, Filter(column, Comparison.CONTAINS, value, name)) == (
        [0] if holds_it else []
    )


async def test_custom_field_presence_is_a_filter(store: Store) -> None:
    ids = await insert_rows(store, Currency, {"CustomFields": FIELDS}, {}, {"CustomFields": {"Data": []}})
    column = Currency.meta().columns["CustomFields"]

    async def places(test: Comparison, name: str) -> list[int]:
        return await matching_positions(store, Currency, ids, Filter(column, test, None, name))

    assert await places(Comparison.NOT_NULL, "FLOOR") == [0]
    assert await places(Comparison.NULL, "FLOOR") == [1, 2]
    assert await places(Comparison.NOT_NULL, "Empty") == []
    async with store.write_session() as unit:
        await unit.update(Currency, [(ids[0], {"CustomFields": None})])
    assert await places(Comparison.NOT_NULL, "FLOOR") == []
