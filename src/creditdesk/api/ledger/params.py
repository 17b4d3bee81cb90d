"""Bodies and queries of the ledger's paths: what each may name, and its plain values.

What is wrong is told all at once. Must not know what is done with the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from creditdesk.ledger.journal.entry import CreditKind
from creditdesk.ledger.journal.mapping import SIDES, Side
from creditdesk.ledger.loaders.sources import Asked, Whose
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.errors import FieldError, Invalid, required
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Field,
    Integer,
    Money,
    Text,
    Unreadable,
)

MOST_SOURCES: Final = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One value that a body or a query may name; `words` are all that a text may be, in any case,
    and `told` says to a reader of the API what the name leaves open.
    """

    name: str
    kind: Field
    needed: bool = False
    words: tuple[str, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """A list of objects, each of these parts: at least one and at most MOST_SOURCES."""

    name: str
    parts: tuple[Part, ...]
    needed: ClassVar[bool] = True


_ID: Final = Integer(least=1)
CUSTOMER: Final = Part("CoworkerId", _ID, needed=True)
BUSINESS: Final = Part("BusinessId", _ID, told="The location of what has no record of its own.")
SOURCE_KIND: Final = Part(
    "Kind", Text(), needed=True, words=tuple(sorted(each.value for each in SourceKind))
)
SOURCE_ID: Final = Part("Id", _ID, needed=True)
SOURCE_AMOUNT: Final = Part(
    "Amount", Money(negative=False), told="What is to be paid; what is open when left out."
)
FROM_TIME: Final = Part("FromTime", DateTime())
TO_TIME: Final = Part("ToTime", DateTime(), told="Goes together with FromTime.")
UNITS: Final = Part("Units", Integer(least=1))
SOURCES: Final = Items(
    "Sources", (SOURCE_KIND, SOURCE_ID, SOURCE_AMOUNT, FROM_TIME, TO_TIME, UNITS)
)
BASKET: Final = (CUSTOMER, BUSINESS, SOURCES)
"""Whose basket it is, and what is in it."""

UNTIL: Final = Part("Until", DateTime(), told="When the hold lapses.")
CREDIT_KIND: Final = Part(
    "Kind",
    Text(),
    needed=True,
    words=tuple(each.value for each in CreditKind),
    told="Time is said of printing credit as well.",
)
USE_IDS: Final = Part("Ids", Collection(of="Use"), needed=True)
AMOUNT: Final = Part("Amount", Money(), told="Money, or whole uses.")
REASON: Final = Part("Reason", Text())
CREDIT_ID: Final = Part("Id", _ID, needed=True)
EFFECTIVE_ON: Final = Part("EffectiveOn", DateTime())
DRY_RUN: Final = Part("DryRun", Boolean(), told="Only tell what is due.")
SINCE: Final = Part(
    "Since", DateTime(), told="What was never granted begins with the period of this day."
)
DAYS: Final = Part("Days", Integer(least=0), told="How far ahead Lapsing looks.")
AT: Final = Part("At", DateTime(), told="The balances of this instant.")
KNOWN_AT: Final = Part("AsKnownAt", DateTime(), told="As they were known at this instant.")


class Given:
    """Named values without case; `take` reads one, `settle` raises for all that were wrong."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        self._values = {key.lower(): value for key, value in values.items()}
        self._prefix = prefix
        self.errors: list[FieldError] = []

    def take(self, part: Part) -> Any:
        """The inner value, None when it was left out or wrong; one of `words` in lower case."""
        raw = self._values.get(part.name.lower())
        if raw is None or raw == "":
            if part.needed:
                self.errors.append(required(self._prefix + part.name))
            return None
        try:
            value = part.kind.read(raw)
        except Unreadable as unreadable:
            self.wrong(part.name, str(unreadable), raw)
            return None
        if not part.words:
            return value
        if value.lower() in part.words:
            return value.lower()
        self.wrong(part.name, "must be one of " + ", ".join(part.words), value)
        return None

    def items(self, items: Items) -> list[Given]:
        """A list of objects; wrong when it is empty, too long or of anything else."""
        name = items.name
        raw = self._values.get(name.lower())
        if not isinstance(raw, list) or not raw or not all(isinstance(x, Mapping) for x in raw):
            self.wrong(name, "must be a list of objects")
            return []
        if len(raw) > MOST_SOURCES:
            self.wrong(name, f"must name at most {MOST_SOURCES}")
            return []
        return [Given(each, f"{name}[{place}].") for place, each in enumerate(raw)]

    def wrong(self, name: str, sentence: str, attempted: Any = None) -> None:
        self.errors.append(FieldError(self._prefix + name, sentence, attempted))

    def settle(self, *others: Given) -> None:
        """Raises Invalid with every error of this and the others."""
        errors = [*self.errors, *(error for other in others for error in other.errors)]
        if errors:
            raise Invalid(*errors)


def read_basket_body(given: Given) -> tuple[Whose, list[Asked]]:
    """The parts of BASKET. Raises Invalid."""
    customer, business = given.take(CUSTOMER), given.take(BUSINESS)
    items = given.items(SOURCES)
    asked = [_asked(item) for item in items]
    given.settle(*items)
    return Whose(customer, business), [each for each in asked if each is not None]


def _asked(given: Given) -> Asked | None:
    kind, source_id = given.take(SOURCE_KIND), given.take(SOURCE_ID)
    amount, units = given.take(SOURCE_AMOUNT), given.take(UNITS)
    starts, ends = given.take(FROM_TIME), given.take(TO_TIME)
    if (starts is None) != (ends is None) or (starts and ends and ends <= starts):
        given.wrong("ToTime", "FromTime and ToTime go together, the later one last")
    if given.errors:
        return None
    return Asked(SourceKind(kind), source_id, amount, starts, ends, units or 0)


def read_side(given: Given) -> Side:
    """CREDIT_KIND: `money`, or `time` for time and printing credit. Raises Invalid at once."""
    kind = given.take(CREDIT_KIND)
    given.settle()
    return SIDES[CreditKind(kind)]


def amount_of(side: Side, *, needed: bool = False) -> Part:
    """AMOUNT as it is read for this kind of credit: a decimal, or whole uses."""
    kind = Money() if side.kind is CreditKind.MONEY else Integer()
    return replace(AMOUNT, kind=kind, needed=needed)
