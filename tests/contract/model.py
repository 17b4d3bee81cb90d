"""The naive model: the expected response of a list, in plain Python over the rows.

Derived from the contract and its settled conflicts; knows nothing of the program under test. Values
are text, int, Decimal, bool, aware datetime, tuples of ids, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeVar

from tests.contract.facts import (
    COMPUTED,
    CONTRACT,
    CORE,
    EntityFacts,
    FieldFact,
    FilterFact,
    referenced_entity,
)

T = TypeVar("T")
Row = Mapping[str, Any]
Choose = Callable[[Sequence[Any]], Any]
Predicate = Callable[[Any], bool]


@dataclass(frozen=True)
class FilterCase:
    """One filter as it is sent, and as a predicate on a row."""

    param: str
    text: str
    matches: Callable[[Row], bool]
    members: MemberRange | None = None


@dataclass(frozen=True)
class MemberRange:
    """A bound of a collection's members. All bounds of a field hold for one and the same member."""

    field: str
    holds: Predicate


class ContractModel:
    """All rows of all entities, and the values derived from them."""

    def __init__(self, rows: Mapping[str, Sequence[Row]]) -> None:
        self.rows = rows
        self.by_id = {name: {row["Id"]: row for row in all_} for name, all_ in rows.items()}

    def value(self, facts: EntityFacts, row: Row, field: FieldFact) -> Any:
        """The value a record shows for a field."""
        if field.is_write_only or field.is_delta_field:
            return None
        if field.name in COMPUTED:
            return False if field.name == "IsNew" else None
        path = (field.denormalised_from or "").split(".")
        if path == [""] or referenced_entity(path[0]) is None:
            return row[field.name]
        value, source = self.follow(row, path)
        if field.type == "string" and not isinstance(value, str) and value is not None:
            return _as_word(facts, source, value)
        return value

    def follow(self, row: Row, path: Sequence[str]) -> tuple[Any, tuple[EntityFacts, FieldFact]]:
        """The value at the end of a path of relations, and its field."""
        here: Row | None = row
        name = ""
        for step in path[:-1]:
            name = referenced_entity(step) or step
            key = here.get(f"{step}Id") if here else None
            here = self.by_id[name].get(key) if key else None
        facts = CONTRACT[name]
        field = facts.by_name[path[-1]]
        return (self.value(facts, here, field) if here else None), (facts, field)

    def select(
        self,
        facts: EntityFacts,
        filters: Sequence[FilterCase] = (),
        sort: str | None = None,
        *,
        descending: bool = False,
    ) -> list[Row]:
        """The rows that match every filter, in the requested order; ties by Id."""
        ranges = [each.members for each in filters if each.members]
        passing = [
            row
            for row in self.rows[facts.entity]
            if all(a.matches(row) for a in filters)
            and all(
                any(
                    all(other.holds(member) for other in ranges if other.field == each.field)
                    for member in row[each.field]
                )
                for each in ranges
            )
        ]
        field = facts.by_name[sort or facts.default_sort]

        def key(row: Row) -> tuple[Any, ...]:
            value = self.value(facts, row, field)
            if field.type == "object" or field.name in COMPUTED:
                value = None
            if isinstance(value, str):
                value = value.casefold()
            return (value is not None, value if value is not None else 0, row["Id"])

        return sorted(passing, key=key, reverse=descending)

    def filter_case(self, facts: EntityFacts, each: FilterFact, choose: Choose) -> FilterCase:
        """A case for one parameter: an existing value, one near it, null or notnull."""
        field = facts.by_name.get(each.field)
        if field is None:
            path = each.param.split("_")[1:]
            leaf = CONTRACT[referenced_entity(path[-2]) or ""].by_name[path[-1]]

            def read(row: Row) -> Any:
                return self.follow(row, path)[0]

            names: dict[str, int] = {}
        else:
            leaf = field

            def read(row: Row) -> Any:
                return self.value(facts, row, field)

            names = facts.enums.get(field.type.removeprefix("enum:"), {})
        here = [read(row) for row in self.rows[facts.entity]]
        text, holds = _value_and_predicate(leaf, each.kind, here, names, choose)
        if leaf.is_collection and each.kind in ("gte", "lte") and text.isdigit():
            bound = int(text)
            within: Predicate = bound.__le__ if each.kind == "gte" else bound.__ge__
            return FilterCase(each.param, text, lambda _: True, MemberRange(leaf.name, within))
        return FilterCase(each.param, text, lambda row: holds(read(row)))


def expected_envelope(total: int, page: int, size: int) -> dict[str, Any]:
    """The position of a page among all matches."""
    pages = -(-total // size)
    there = max(0, min(size, total - (page - 1) * size))
    first = (page - 1) * size + 1 if there else 0
    return {
        "CurrentPageSize": size, "CurrentPage": page, "FirstItem": first,
        "HasNextPage": page < pages, "HasPreviousPage": page > 1 and pages > 0,
        "LastItem": first + there - 1 if there else 0, "PageNumber": page, "PageSize": size,
        "TotalItems": total, "TotalPages": pages,
    }  # fmt: skip


def sortable_fields(facts: EntityFacts) -> list[str]:
    """Fields whose order the contract defines; the label of a record is not one of them."""
    return [f.name for f in facts.list_fields if f.name != "ToStringText" or facts.entity in CORE]


def _as_word(facts: EntityFacts, source: tuple[EntityFacts, FieldFact], value: Any) -> str:
    """A number or a boolean that the record shows as text."""
    if isinstance(value, bool):
        return str(value)
    owner, field = source
    members = owner.enums[field.type.removeprefix("enum:")]
    return next(name for name, number in members.items() if number == value)


def _value_and_predicate(
    field: FieldFact, kind: str, here: list[Any], names: dict[str, int], choose: Choose
) -> tuple[str, Predicate]:
    there = [value for value in here if value not in (None, ())]
    choice = choose(("value", "value", "value", "other", "null", "notnull"))
    if choice == "null":
        return choose(("null", "NULL")), lambda v: v in (None, ())
    if choice == "notnull":
        return choose(("notnull", "NotNull")), lambda v: v not in (None, ())
    value = choose(there) if there and choice == "value" else _absent_value(field, names, choose)
    if kind == "in":
        ids = sorted({value, choose(here), 999_999_999})
        return f"[{','.join(map(str, ids))}]", lambda v: v in ids
    if field.is_collection:
        one = choose(value) if isinstance(value, tuple) else value
        return str(one), lambda v: one in v
    if isinstance(value, datetime):
        return _datetime_predicate(kind, value, choose)
    if kind in ("gte", "lte"):
        text = _number_text(value, choose)
        if kind == "gte":
            return text, lambda v: v is not None and v >= value
        return text, lambda v: v is not None and v <= value
    if isinstance(value, bool):
        word = choose(("true", "True", "1") if value else ("false", "FALSE", "0"))
        return word, lambda v: v is value
    if isinstance(value, str):
        return _text_predicate(field, value, choose)
    if names:
        word = next(name for name, number in names.items() if number == value)
        return choose((str(value), word, word.upper())), lambda v: v == value
    return _number_text(value, choose), lambda v: v == value


def _absent_value(field: FieldFact, names: dict[str, int], choose: Choose) -> Any:
    """A value of the field's type that may be in no row."""
    if names:
        return choose(list(names.values()))
    match field.type:
        case "string":
            if field.name in _WORD_VALUES:
                return choose(_WORD_VALUES[field.name])
            return choose(("zzz", "ß", "É", "0", "%", "_", "a"))
        case "datetime":
            return choose((datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), datetime.min.replace(tzinfo=UTC)))
        case "number":
            return choose((Decimal("0.0001"), Decimal(7), Decimal("-0.5")))
        case "boolean":
            return choose((True, False))
    return choose((1, 3, 40, 999_999_999))


_WORD_VALUES = {
    "CoworkerCoworkerType": ("Individual", "Company"),
    "PayingMemberCoworkerType": ("Individual", "Company"),
    "CoworkerRegularPaymentProvider": ("Stripe", "Cash"),
    "ExtraServiceChargePeriod": ("Minutes", "Uses"),
    "ExtraServiceIsBookingCredit": ("True", "False"),
    "ExtraServiceIsPrintingCredit": ("True", "False"),
    "CoworkerInvoicePaid": ("True", "False"),
    "CoworkerInvoiceCreditNote": ("True", "False"),
}
"""Fields that show a number or a boolean as text: their filters match the whole text."""


def _text_predicate(field: FieldFact, value: str, choose: Choose) -> tuple[str, Predicate]:
    recase = choose((str, str.upper, str.lower))
    if field.is_exact_text or (field.name in _WORD_VALUES and field.denormalised_from):
        text = recase(value)
        return text, lambda v: v is not None and v.casefold() == text.casefold()
    start = choose(range(len(value) or 1))
    length = choose((1, 2, 3, 50))
    text = recase(value[start : start + length])
    if not text.strip() or text.strip().lower() in ("null", "notnull"):
        text = "e"
    return text, lambda v: v is not None and text.casefold() in v.casefold()


_DATETIME_FORMATS: Sequence[tuple[str, timedelta]] = (
    ("%Y-%m-%d", timedelta(days=1)),
    ("%Y-%m-%dT%H:%M", timedelta(minutes=1)),
    ("%Y-%m-%d %H:%M", timedelta(minutes=1)),
    ("%Y-%m-%dT%H:%M:%S", timedelta(seconds=1)),
    ("%Y-%m-%dT%H:%M:%S.%f", timedelta(microseconds=1)),
)
_ZONES: Sequence[tuple[str, timedelta]] = (
    ("", timedelta(0)), ("Z", timedelta(0)), ("+00:00", timedelta(0)),
    ("+02:00", timedelta(hours=2)), ("-05:30", -timedelta(hours=5, minutes=30)),
)  # fmt: skip


def _datetime_predicate(kind: str, value: datetime, choose: Choose) -> tuple[str, Predicate]:
    form, span = choose(_DATETIME_FORMATS)
    suffix, offset = choose(_ZONES) if span < timedelta(days=1) else ("", timedelta(0))
    if not 2 < value.year < 9998:
        suffix, offset = "", timedelta(0)
    local = value.astimezone(timezone(offset))
    text = local.strftime(form)
    if local.year < 1000:
        text = f"{local.year:04d}-" + text.split("-", 1)[1]
    bound = datetime.strptime(text, form).replace(tzinfo=timezone(offset))
    if kind == "gte":
        return text + suffix, lambda v: v is not None and v >= bound
    if kind == "lte":
        return text + suffix, lambda v: v is not None and v <= bound
    return text + suffix, lambda v: v is not None and bound <= v and v - bound < span


def _number_text(value: Any, choose: Choose) -> str:
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    form: str = choose((text, f"{text}00" if "." in text else f"{text}.00", f" {text}"))
    return form
