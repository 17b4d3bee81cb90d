"""Every documented filter, range, presence and sort of the main lists, and combinations of them.

Values are drawn by seed from the stored records: a common one, a rare one, and one that no record has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from urllib.parse import urlencode

from creditdesk.api.query_params import parse_list_query
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import CoworkerExtraServiceUseHistory
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.conversions import format_datetime, format_decimal
from creditdesk.schema.entity import Column, Entity, FilterParameter, Record
from creditdesk.schema.fields import Boolean, Collection, DateTime, Enum, Guid, Object, Scaled, Text
from creditdesk.schema.query import Comparison, Filter, ListQuery
from creditdesk.schema.repository import Store
from creditdesk.settings import ApiSettings

ENTITIES: Final[tuple[type[Entity], ...]] = (
    CoworkerBookingCreditUseHistory,
    CoworkerExtraServiceUseHistory,
    CoworkerBookingCredit,
    CoworkerExtraService,
    Booking,
)
SAMPLE_ROWS: Final = 2000
"""Records among which values are drawn."""

COMBINATIONS: Final = 60
"""Combinations of filters for each entity."""

_ABSENT_ID: Final = 2**40
_ABSENT_DATE: Final = datetime(2001, 1, 1, tzinfo=UTC)
_SETTINGS: Final = ApiSettings()


@dataclass(frozen=True, slots=True)
class ListQuestion:
    """A list query: what kind of question it is, and its query string."""

    kind: str
    text: str
    query: ListQuery


@dataclass(frozen=True, slots=True)
class _Values:
    """What a column holds: texts of a common and a rare value, of one that is absent, and of a low and a high one."""

    common: str
    rare: str
    absent: str
    low: str
    high: str


async def draw_questions(store: Store, entity: type[Entity], seed: int) -> list[ListQuestion]:
    """Every question about an entity, and COMBINATIONS of them; the same for one seed and database."""
    random = Random(f"{seed} {entity.__name__}")
    records = await _sample(store, entity, random)
    values = {name: found for name in _columns(entity) if (found := _values_of(_columns(entity)[name], records))}
    parameters = [each for each in _parameters(entity) if each.column.name in values]
    single = [*_single_filters(entity, parameters, values), *_sorts(entity)]
    return [*single, *_combinations(entity, parameters, values, random)]


async def _sample(store: Store, entity: type[Entity], random: Random) -> list[Record]:
    columns = _columns(entity)
    async with store.read_session() as session:
        count = await session.count(entity)
        newest = await session.find(entity, (), limit=1, columns=["Id"])
        first = newest[0]["Id"]
        ids = tuple(random.randrange(first, first + count) for _ in range(SAMPLE_ROWS))
        chosen = Filter(entity.meta().columns["Id"], Comparison.ONE_OF, ids)
        return await session.find(entity, (chosen,), columns=list(columns))


def _columns(entity: type[Entity]) -> Mapping[str, Column]:
    """The columns that filters reach and that some table holds."""
    meta = entity.meta()
    return {
        each.column.name: each.column
        for each in meta.filters.values()
        if not isinstance(each.column.field, Collection | Object)
    }


def _parameters(entity: type[Entity]) -> list[FilterParameter]:
    """The query parameters, one for each column and comparison."""
    found = {(each.column.name, each.variant): each for each in entity.meta().filters.values() if each.variant != "ids"}
    return [found[key] for key in sorted(found)]


def _values_of(column: Column, records: Sequence[Record]) -> _Values | None:
    held = Counter(record[column.name] for record in records if record[column.name] not in (None, ""))
    if not held:
        return None
    ranked = sorted(held, key=lambda value: (-held[value], str(value)))
    ordered = sorted(held)
    texts = [_text(column, value) for value in (ranked[0], ranked[-1], ordered[0], ordered[-1])]
    return _Values(texts[0], texts[1], _absent(column), texts[2], texts[3])


def _text(column: Column, value: Any) -> str:
    """A value as a query string has it."""
    field = column.field
    if isinstance(field, Scaled):
        return format_decimal(value, field.places)
    if isinstance(field, DateTime):
        return format_datetime(value)
    if isinstance(field, Boolean):
        return "true" if value else "false"
    if isinstance(field, Enum):
        return str(int(value))
    return str(value)


def _absent(column: Column) -> str:
    """A valid value that no record has; of a truth value or an enum, the one that is seldom there."""
    field = column.field
    if isinstance(field, Boolean):
        return "true"
    if isinstance(field, Enum):
        return str(int(list(field.of)[-1]))
    if isinstance(field, DateTime):
        return format_datetime(_ABSENT_DATE)
    if isinstance(field, Guid):
        return "00000000-0000-4000-8000-000000000000"
    if isinstance(field, Text):
        return "qqzzxx"
    return "123456789.01" if isinstance(field, Scaled) else str(_ABSENT_ID)


def _question(entity: type[Entity], kind: str, params: Mapping[str, Any]) -> ListQuestion:
    text = urlencode(params)
    return ListQuestion(kind, f"{entity.plural}?{text}", parse_list_query(entity, text.encode(), _SETTINGS).query)


def _single_filters(
    entity: type[Entity], parameters: Iterable[FilterParameter], values: Mapping[str, _Values]
) -> Iterator[ListQuestion]:
    for each in parameters:
        held = values[each.column.name]
        if each.variant == "equals":
            for kind, value in (("common", held.common), ("rare", held.rare), ("absent", held.absent)):
                yield _question(entity, f"{kind} value", {each.name: value})
            for presence in ("null", "notnull"):
                yield _question(entity, presence, {each.name: presence})
        elif each.variant in ("from", "to"):
            for kind, value in (
                (("wide", held.low), ("narrow", held.high))
                if each.variant == "from"
                else (
                    ("wide", held.high),
                    ("narrow", held.low),
                )
            ):
                yield _question(entity, f"{kind} range", {each.name: value})


def _sorts(entity: type[Entity]) -> Iterator[ListQuestion]:
    for name, column in _columns(entity).items():
        if column.visible and column.in_lists:
            for direction in (1, -1):
                yield _question(entity, "sort", {"orderBy": name, "dir": direction})


def _combinations(
    entity: type[Entity], parameters: Sequence[FilterParameter], values: Mapping[str, _Values], random: Random
) -> Iterator[ListQuestion]:
    """A value in a range of dates newest first; two values; a customer and a kind; a location and a value."""
    equal = [each for each in parameters if each.variant == "equals"]
    newest = {"orderBy": "CreatedOn", "dir": -1}
    customers = [each for each in equal if each.column.name.endswith("CoworkerId")]
    kinds = [each for each in equal if isinstance(each.column.field, Boolean | Enum)] or equal
    locations = [each for each in equal if each.column.name == entity.scope]
    created = values["CreatedOn"]

    def drawn(choices: Sequence[FilterParameter]) -> dict[str, str]:
        each = random.choice(choices)
        held = values[each.column.name]
        return {each.name: random.choice((held.common, held.common, held.rare, held.absent))}

    for number in range(COMBINATIONS):
        match number % 4:
            case 0:
                since = {f"from_{entity.__name__}_CreatedOn": created.common}
                yield _question(entity, "value, dates, newest first", {**drawn(equal), **since, **newest})
            case 1:
                yield _question(entity, "two values", {**drawn(equal), **drawn(equal)})
            case 2 if customers:
                yield _question(entity, "customer and kind", {**drawn(customers), **drawn(kinds), **newest})
            case _ if locations:
                yield _question(entity, "location and value", {**drawn(locations), **drawn(equal), **newest})
