"""Bodies and queries of the ledger's paths: what each may name, and its plain values.

What is wrong is told all at once. Must not know what is done with the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, CreditTypeMapping
from creditdesk.ledger.loaders.sources import Buyer, ItemRequest
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.errors import FieldError, ValidationError, missing_field
from creditdesk.schema.fields import Boolean, Collection, DateTime, Field, Integer, Money, Text

MAX_SOURCES: Final = 100


@dataclass(frozen=True, slots=True)
class Param:
    """One value that a body or a query may name; `words` are all that a text may be, in any case,
    and `told` says to a reader of the API what the name leaves open.
    """

    name: str
    field: Field
    required: bool = False
    choices: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class ParamList:
    """A list of objects, each of these parts: at least one and at most MOST_SOURCES."""

    name: str
    params: tuple[Param, ...]
    required: ClassVar[bool] = True


_ID: Final = Integer(minimum=1)
COWORKER_ID: Final = Param("CoworkerId", _ID, required=True)
BUSINESS_ID: Final = Param(
    "BusinessId", _ID, description="The location of what has no record of its own."
)
SOURCE_KIND: Final = Param(
    "Kind", Text(), required=True, choices=tuple(sorted(each.value for each in SourceKind))
)
SOURCE_ID: Final = Param("Id", _ID, required=True)
SOURCE_AMOUNT: Final = Param(
    "Amount",
    Money(allow_negative=False),
    description="What is to be paid; what is open when left out.",
)
FROM_TIME: Final = Param("FromTime", DateTime())
TO_TIME: Final = Param("ToTime", DateTime(), description="Goes together with FromTime.")
UNITS: Final = Param("Units", Integer(minimum=1))
SOURCES: Final = ParamList(
    "Sources", (SOURCE_KIND, SOURCE_ID, SOURCE_AMOUNT, FROM_TIME, TO_TIME, UNITS)
)
BASKET: Final = (COWORKER_ID, BUSINESS_ID, SOURCES)
"""Whose basket it is, and what is in it."""

UNTIL: Final = Param("Until", DateTime(), description="When the hold lapses.")
CREDIT_KIND: Final = Param(
    "Kind",
    Text(),
    required=True,
    choices=tuple(each.value for each in AccountType),
    description="Time is said of printing credit as well.",
)
USE_IDS: Final = Param("Ids", Collection(of="Use"), required=True)
AMOUNT: Final = Param("Amount", Money(), description="Money, or whole uses.")
REASON: Final = Param("Reason", Text())
CREDIT_ID: Final = Param("Id", _ID, required=True)
EFFECTIVE_ON: Final = Param("EffectiveOn", DateTime())
DRY_RUN: Final = Param("DryRun", Boolean(), description="Only tell what is due.")
SINCE: Final = Param(
    "Since", DateTime(), description="What was never granted begins with the period of this day."
)
DAYS: Final = Param("Days", Integer(minimum=0), description="How far ahead Lapsing looks.")
AT: Final = Param("At", DateTime(), description="The balances of this instant.")
KNOWN_AT: Final = Param("AsKnownAt", DateTime(), description="As they were known at this instant.")


class Params:
    """Named values without case; `take` reads one, `settle` raises for all that were wrong."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        self._values = {key.lower(): value for key, value in values.items()}
        self._prefix = prefix
        self.errors: list[FieldError] = []

    def get(self, part: Param) -> Any:
        """The inner value, None when it was left out or wrong; one of `words` in lower case."""
        raw = self._values.get(part.name.lower())
        if raw is None or raw == "":
            if part.required:
                self.errors.append(missing_field(self._prefix + part.name))
            return None
        try:
            value = part.field.parse(raw)
        except ParseError as unreadable:
            self.add_error(part.name, str(unreadable), raw)
            return None
        if not part.choices:
            return value
        if value.lower() in part.choices:
            return value.lower()
        self.add_error(part.name, "must be one of " + ", ".join(part.choices), value)
        return None

    def get_list(self, items: ParamList) -> list[Params]:
        """A list of objects; wrong when it is empty, too long or of anything else."""
        name = items.name
        raw = self._values.get(name.lower())
        if not isinstance(raw, list) or not raw or not all(isinstance(x, Mapping) for x in raw):
            self.add_error(name, "must be a list of objects")
            return []
        if len(raw) > MAX_SOURCES:
            self.add_error(name, f"must name at most {MAX_SOURCES}")
            return []
        return [Params(each, f"{name}[{place}].") for place, each in enumerate(raw)]

    def add_error(self, name: str, sentence: str, attempted: Any = None) -> None:
        self.errors.append(FieldError(self._prefix + name, sentence, attempted))

    def raise_errors(self, *others: Params) -> None:
        """Raises Invalid with every error of this and the others."""
        errors = [*self.errors, *(error for other in others for error in other.errors)]
        if errors:
            raise ValidationError(*errors)


def parse_basket(params: Params) -> tuple[Buyer, list[ItemRequest]]:
    """The parts of BASKET. Raises Invalid."""
    customer, business = params.get(COWORKER_ID), params.get(BUSINESS_ID)
    items = params.get_list(SOURCES)
    asked = [_parse_item(item) for item in items]
    params.raise_errors(*items)
    return Buyer(customer, business), [each for each in asked if each is not None]


def _parse_item(params: Params) -> ItemRequest | None:
    kind, source_id = params.get(SOURCE_KIND), params.get(SOURCE_ID)
    amount, units = params.get(SOURCE_AMOUNT), params.get(UNITS)
    starts, ends = params.get(FROM_TIME), params.get(TO_TIME)
    if (starts is None) != (ends is None) or (starts and ends and ends <= starts):
        params.add_error("ToTime", "FromTime and ToTime go together, the later one last")
    if params.errors:
        return None
    return ItemRequest(SourceKind(kind), source_id, amount, starts, ends, units or 0)


def parse_credit_type(params: Params) -> CreditTypeMapping:
    """CREDIT_KIND: `money`, or `time` for time and printing credit. Raises Invalid at once."""
    kind = params.get(CREDIT_KIND)
    params.raise_errors()
    return MAPPINGS[AccountType(kind)]


def amount_param(side: CreditTypeMapping, *, required: bool = False) -> Param:
    """AMOUNT as it is read for this kind of credit: a decimal, or whole uses."""
    kind = Money() if side.account_type is AccountType.MONEY else Integer()
    return replace(AMOUNT, field=kind, required=required)
