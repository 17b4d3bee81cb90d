"""Fragments compose with the parameters that they name, which are numbered once complete."""

from __future__ import annotations

import pytest

from creditdesk.storage.dialects import Dialect, PostgreSQL, SQLite
from creditdesk.storage.fragments import Fragment, Parameter

NAME, AMOUNT = Parameter("name", 0, str.lower), Parameter("amount", 1)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [(SQLite(), "a = ?1 AND (b > ?2 OR c = ?1)"), (PostgreSQL(), "a = $1 AND (b > $2 OR c = $1)")],
    ids=["sqlite", "postgresql"],
)
def test_parameters_are_numbered_in_order_of_appearance(dialect: Dialect, text: str) -> None:
    fragment = Fragment.join(
        " AND ",
        (
            Fragment(f"a = {NAME}", (NAME,)),
            Fragment(f"(b > {AMOUNT} OR c = {NAME})", (AMOUNT, NAME)),
        ),
    )
    statement = fragment.numbered(dialect)
    assert statement.text == text
    assert statement.bind(("ABC", 5)).values == ["abc", 5]


def test_values_are_bound_in_the_order_of_the_text() -> None:
    fragment = Fragment(f"b > {AMOUNT}", (AMOUNT,)) + Fragment(f" AND a = {NAME}", (NAME,))
    bound = fragment.numbered(SQLite()).bind(("ABC", 5))
    assert (bound.text, bound.values) == ("b > ?1 AND a = ?2", [5, "abc"])


def test_parameters_that_the_text_does_not_name_are_not_bound() -> None:
    statement = Fragment("SELECT 1", (NAME, AMOUNT)).numbered(SQLite())
    assert statement.bind(("ABC", 5)).values == []


def test_a_cast_is_no_parameter() -> None:
    fragment = Fragment(f"id = ANY({AMOUNT}::bigint[]) AND x::text = 'a'", (AMOUNT,))
    assert fragment.numbered(PostgreSQL()).text == "id = ANY($1::bigint[]) AND x::text = 'a'"


def test_numbers_go_on_after_those_of_a_preceding_statement() -> None:
    statement = Fragment(f"a = {NAME}", (NAME,)).numbered(PostgreSQL(), first=4)
    assert statement.text == "a = $4"


def test_a_name_without_its_parameter_is_an_error() -> None:
    with pytest.raises(KeyError, match="name"):
        Fragment("a = :name").numbered(SQLite())
