"""Bodies and queries of the ledger's paths as plain values, or every field error at once.

Must not know what is done with the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from creditdesk.ledger.book.line import CreditKind
from creditdesk.ledger.book.records import SIDES, Side
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.spending.sources import Asked, Whose
from creditdesk.schema.kinds import DateTime, Field, Integer, Money, Text, Unreadable
from creditdesk.schema.refusals import FieldError, Invalid, required

MOST_SOURCES = 100
_ID: Final = Integer(least=1)
_UNITS: Final = Integer(least=1)
_WORD: Final = Text()
_INSTANT: Final = DateTime()
_AMOUNT: Final = Money(negative=False)
_KINDS: Final = frozenset(each.value for each in SourceKind)


class Given:
    """Named values without case; `take` reads one, `settle` raises for all that were wrong."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        self._values = {key.lower(): value for key, value in values.items()}
        self._prefix = prefix
        self.errors: list[FieldError] = []

    def take(self, name: str, kind: Field, *, needed: bool = False) -> Any:
        """The inner value, None when it was left out or wrong."""
        raw = self._values.get(name.lower())
        if raw is None or raw == "":
            if needed:
                self.errors.append(required(self._prefix + name))
            return None
        try:
            return kind.read(raw)
        except Unreadable as unreadable:
            self.errors.append(FieldError(self._prefix + name, str(unreadable), raw))
            return None

    def items(self, name: str) -> list[Given]:
        """A list of objects; wrong when it is empty, too long or of anything else."""
        raw = self._values.get(name.lower())
        if not isinstance(raw, list) or not raw or not all(isinstance(x, Mapping) for x in raw):
            self.errors.append(FieldError(name, "must be a list of objects", None))
            return []
        if len(raw) > MOST_SOURCES:
            self.errors.append(FieldError(name, f"must name at most {MOST_SOURCES}", None))
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
    """`CoworkerId`, `BusinessId` and `Sources`: whose basket it is, and what is in it."""
    customer = given.take("CoworkerId", _ID, needed=True)
    business = given.take("BusinessId", _ID)
    items = given.items("Sources")
    asked = [_asked(item) for item in items]
    given.settle(*items)
    return Whose(customer, business), [each for each in asked if each is not None]


def _asked(given: Given) -> Asked | None:
    kind = given.take("Kind", _WORD, needed=True)
    source_id = given.take("Id", _ID, needed=True)
    amount = given.take("Amount", _AMOUNT)
    starts, ends = given.take("FromTime", _INSTANT), given.take("ToTime", _INSTANT)
    units = given.take("Units", _UNITS)
    if kind is not None and kind.lower() not in _KINDS:
        given.wrong("Kind", "must be one of " + ", ".join(sorted(_KINDS)), kind)
    if (starts is None) != (ends is None) or (starts and ends and ends <= starts):
        given.wrong("ToTime", "FromTime and ToTime go together, the later one last")
    if given.errors:
        return None
    return Asked(SourceKind(kind.lower()), source_id, amount, starts, ends, units or 0)


def read_side(given: Given) -> Side:
    """`Kind`: `money`, or `time` for time and printing credit. Raises Invalid at once."""
    kind = given.take("Kind", Text(), needed=True)
    if kind is not None and kind.lower() not in {each.value for each in CreditKind}:
        given.wrong("Kind", "must be money or time", kind)
    given.settle()
    return SIDES[CreditKind(kind.lower())]


def amount_kind(side: Side) -> Field:
    """How an amount of this kind of credit is read: a decimal, or whole uses."""
    return Money() if side.kind is CreditKind.MONEY else Integer()
