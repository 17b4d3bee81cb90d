"""The naive model: what a list must answer, in plain Python over the rows alone.

Derived from the contract and its settled conflicts; knows nothing of the program under test. Values
are text, int, Decimal, bool, aware datetime, tuples of ids, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeVar

from tests.conformance.facts import COMPUTED, CONTRACT, CORE, Facts, FieldFact, FilterFact, led_to

T = TypeVar("T")
Row = Mapping[str, Any]
Choose = Callable[[Sequence[Any]], Any]
Holds = Callable[[Any], bool]


@dataclass(frozen=True)
class Asked:
    """One filter as it is sent, and the same filter as a test on a row."""

    param: str
    text: str
    holds: Callable[[Row], bool]


class Town:
    """All rows of all entities, and what can be read off them."""

    def __init__(self, rows: Mapping[str, Sequence[Row]]) -> None:
        self.rows = rows
        self.by_id = {name: {row["Id"]: row for row in all_} for name, all_ in rows.items()}

    def value(self, facts: Facts, row: Row, field: FieldFact) -> Any:
        """What a record shows for a field."""
        if field.is_sent_only or field.is_twin:
            return None
        if field.name in COMPUTED:
            return False if field.name == "IsNew" else None
        path = (field.denormalised_from or "").split(".")
        if path == [""] or led_to(path[0]) is None:
            return row[field.name]
        value, source = self.walk(row, path)
        if field.type == "string" and not isinstance(value, str) and value is not None:
            return _worded(facts, source, value)
        return value

    def walk(self, row: Row, path: Sequence[str]) -> tuple[Any, tuple[Facts, FieldFact]]:
        """The value at the end of a path of relations, and the field it comes from."""
        here: Row | None = row
        name = ""
        for step in path[:-1]:
            name = led_to(step) or step
            key = here.get(f"{step}Id") if here else None
            here = self.by_id[name].get(key) if key else None
        facts = CONTRACT[name]
        field = facts.by_name[path[-1]]
        return (self.value(facts, here, field) if here else None), (facts, field)

    def select(
        self,
        facts: Facts,
        asked: Sequence[Asked] = (),
        sort: str | None = None,
        *,
        descending: bool = False,
    ) -> list[Row]:
        """The rows that pass every filter, in the order asked for; ties go by Id."""
        passing = [row for row in self.rows[facts.entity] if all(a.holds(row) for a in asked)]
        field = facts.by_name[sort or facts.default_sort]

        def key(row: Row) -> tuple[Any, ...]:
            value = self.value(facts, row, field)
            if field.type == "object" or field.name in COMPUTED:
                value = None
            if isinstance(value, str):
                value = value.casefold()
            return (value is not None, value if value is not None else 0, row["Id"])

        return sorted(passing, key=key, reverse=descending)

    def ask(self, facts: Facts, each: FilterFact, choose: Choose) -> Asked:
        """A question put through one parameter: values that are there, near ones, and none."""
        field = facts.by_name.get(each.field)
        if field is None:
            path = each.param.split("_")[1:]
            leaf = CONTRACT[led_to(path[-2]) or ""].by_name[path[-1]]

            def read(row: Row) -> Any:
                return self.walk(row, path)[0]

            names: dict[str, int] = {}
        else:
            leaf = field

            def read(row: Row) -> Any:
                return self.value(facts, row, field)

            names = facts.enums.get(field.type.removeprefix("enum:"), {})
        here = [read(row) for row in self.rows[facts.entity]]
        text, holds = _question(leaf, each.kind, here, names, choose)
        return Asked(each.param, text, lambda row: holds(read(row)))


def envelope(total: int, page: int, size: int) -> dict[str, Any]:
    """Where a page lies among all that match."""
    pages = -(-total // size)
    there = max(0, min(size, total - (page - 1) * size))
    first = (page - 1) * size + 1 if there else 0
    return {
        "CurrentPageSize": size, "CurrentPage": page, "FirstItem": first,
        "HasNextPage": page < pages, "HasPreviousPage": page > 1 and pages > 0,
        "LastItem": first + there - 1 if there else 0, "PageNumber": page, "PageSize": size,
        "TotalItems": total, "TotalPages": pages,
    }  # fmt: skip


def sortable(facts: Facts) -> list[str]:
    """Fields whose order the contract alone settles: the label of a record is the program's."""
    return [f.name for f in facts.listed if f.name != "ToStringText" or facts.entity in CORE]


def _worded(facts: Facts, source: tuple[Facts, FieldFact], value: Any) -> str:
    """A number or truth that the record shows as a word."""
    if isinstance(value, bool):
        return str(value)
    owner, field = source
    members = owner.enums[field.type.removeprefix("enum:")]
    return next(name for name, number in members.items() if number == value)


def _question(
    field: FieldFact, kind: str, here: list[Any], names: dict[str, int], choose: Choose
) -> tuple[str, Holds]:
    there = [value for value in here if value not in (None, ())]
    way = choose(("value", "value", "value", "other", "null", "notnull"))
    if way == "null":
        return choose(("null", "NULL")), lambda v: v in (None, ())
    if way == "notnull":
        return choose(("notnull", "NotNull")), lambda v: v not in (None, ())
    value = choose(there) if there and way == "value" else _other(field, names, choose)
    if kind == "in":
        ids = sorted({value, choose(here), 999_999_999})
        return f"[{','.join(map(str, ids))}]", lambda v: v in ids
    if field.is_collection:
        one = choose(value) if isinstance(value, tuple) else value
        return str(one), lambda v: one in v
    if isinstance(value, datetime):
        return _instant_question(kind, value, choose)
    if kind in ("gte", "lte"):
        text = _number_text(value, choose)
        if kind == "gte":
            return text, lambda v: v is not None and v >= value
        return text, lambda v: v is not None and v <= value
    if isinstance(value, bool):
        word = choose(("true", "True", "1") if value else ("false", "FALSE", "0"))
        return word, lambda v: v is value
    if isinstance(value, str):
        return _text_question(field, value, choose)
    if names:
        word = next(name for name, number in names.items() if number == value)
        return choose((str(value), word, word.upper())), lambda v: v == value
    return _number_text(value, choose), lambda v: v == value


def _other(field: FieldFact, names: dict[str, int], choose: Choose) -> Any:
    """A value of the field's type that may well be in no row."""
    if names:
        return choose(list(names.values()))
    match field.type:
        case "string":
            if field.name in _WORDED:
                return choose(_WORDED[field.name])
            return choose(("zzz", "ß", "É", "0", "%", "_", "a"))
        case "datetime":
            return choose(
                (datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), datetime.min.replace(tzinfo=UTC))
            )
        case "number":
            return choose((Decimal("0.0001"), Decimal(7), Decimal("-0.5")))
        case "boolean":
            return choose((True, False))
    return choose((1, 3, 40, 999_999_999))


_WORDED = {
    "CoworkerCoworkerType": ("Individual", "Company"),
    "PayingMemberCoworkerType": ("Individual", "Company"),
    "CoworkerRegularPaymentProvider": ("Stripe", "Cash"),
    "ExtraServiceChargePeriod": ("Minutes", "Uses"),
    "ExtraServiceIsBookingCredit": ("True", "False"),
    "ExtraServiceIsPrintingCredit": ("True", "False"),
    "CoworkerInvoicePaid": ("True", "False"),
    "CoworkerInvoiceCreditNote": ("True", "False"),
}
"""Texts that show a number or a truth as a word: a filter takes the word, whole."""


def _text_question(field: FieldFact, value: str, choose: Choose) -> tuple[str, Holds]:
    recase = choose((str, str.upper, str.lower))
    if field.is_whole_text or field.name in _WORDED and field.denormalised_from:
        text = recase(value)
        return text, lambda v: v is not None and v.casefold() == text.casefold()
    start = choose(range(len(value) or 1))
    length = choose((1, 2, 3, 50))
    text = recase(value[start : start + length])
    if not text.strip() or text.strip().lower() in ("null", "notnull"):
        text = "e"
    return text, lambda v: v is not None and text.casefold() in v.casefold()


_FORMS: Sequence[tuple[str, timedelta]] = (
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


def _instant_question(kind: str, value: datetime, choose: Choose) -> tuple[str, Holds]:
    form, span = choose(_FORMS)
    suffix, offset = choose(_ZONES) if span < timedelta(days=1) else ("", timedelta(0))
    if not 2 < value.year < 9998:
        suffix, offset = "", timedelta(0)
    local = value.astimezone(timezone(offset))
    words = local.strftime(form)
    if local.year < 1000:
        words = f"{local.year:04d}-" + words.split("-", 1)[1]
    told = datetime.strptime(words, form).replace(tzinfo=timezone(offset))
    if kind == "gte":
        return words + suffix, lambda v: v is not None and v >= told
    if kind == "lte":
        return words + suffix, lambda v: v is not None and v <= told
    return words + suffix, lambda v: v is not None and told <= v and v - told < span


def _number_text(value: Any, choose: Choose) -> str:
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return choose((text, f"{text}00" if "." in text else f"{text}.00", f" {text}"))
