"""Declared parameters: every error in declared order, names without case, defaults."""

from __future__ import annotations

from decimal import Decimal

import pytest

from creditdesk.schema.errors import ValidationError
from creditdesk.schema.fields import Boolean, Integer, Money
from creditdesk.schema.params import Param, ParamList, Params

ID = Param("Id", Integer(minimum=1), required=True)
AMOUNT = Param("Amount", Money())
COLOUR = Param("Colour", choices=("blue", "red"))
DRY_RUN = Param("DryRun", Boolean())
SIZE = Param("Size", Integer())


def _check_size(item: Params) -> None:
    if item[SIZE] == 13:
        item.add_error(SIZE, "must not be 13")


ITEMS = ParamList("Items", (COLOUR, SIZE), max_items=3, check=_check_size)


def errors_of(params: Params) -> list[tuple[str, str, object]]:
    with pytest.raises(ValidationError) as raised:
        params.raise_errors()
    return [(e.PropertyName, e.Message, e.AttemptedValue) for e in raised.value.errors]


def test_values_are_parsed_and_names_match_in_any_case() -> None:
    params = Params((ID, AMOUNT, COLOUR), {"ID": "7", "amount": "1.25", "colour": "RED", "x": 1})
    params.raise_errors()
    assert (params[ID], params[AMOUNT], params[COLOUR]) == (7, 12_500, "red")


@pytest.mark.parametrize("blank", [{}, {"DryRun": None, "Amount": None}, {"DryRun": ""}])
def test_missing_values_have_the_default_of_their_field(blank: dict[str, object]) -> None:
    params = Params((AMOUNT, DRY_RUN), blank)
    params.raise_errors()
    assert params[AMOUNT] is None
    assert not params[DRY_RUN]


def test_all_errors_are_reported_in_declared_order() -> None:
    sent = {
        "Colour": "green",
        "Items": [{"Size": 13}, {"Size": "x", "Colour": "pink"}, {}],
        "Amount": "1.23456",
    }
    assert errors_of(Params((AMOUNT, ID, ITEMS, COLOUR), sent)) == [
        ("Amount", "must have at most 4 decimal places", "1.23456"),
        ("Id", "is a required field", None),
        ("Items[0].Size", "must not be 13", 13),
        ("Items[1].Colour", "must be one of blue, red", "pink"),
        ("Items[1].Size", "must be a whole number", "x"),
        ("Colour", "must be one of blue, red", "green"),
    ]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (None, "must be a list of objects"),
        ([], "must be a list of objects"),
        ([{}, 1], "must be a list of objects"),
        ([{}] * 4, "must name at most 3"),
    ],
)
def test_a_list_has_one_to_its_maximum_of_objects(sent: object, message: str) -> None:
    assert errors_of(Params((ITEMS,), {"Items": sent})) == [("Items", message, None)]


@pytest.mark.parametrize("amount", ["1.0000000000000000000000000000000001", "99999999999999.99999999999999999"])
def test_no_digit_of_an_amount_is_rounded_away(amount: str) -> None:
    assert errors_of(Params((AMOUNT,), {"Amount": Decimal(amount)})) == [
        ("Amount", "must have at most 4 decimal places", Decimal(amount))
    ]
    assert Params((AMOUNT,), {"Amount": Decimal("1." + "0" * 39)})[AMOUNT] == 10_000
