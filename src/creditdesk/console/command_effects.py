"""Previews what a command changes in a record: the values before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from creditdesk.console.translations import mark
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import CoworkerExtraServiceUseHistory
from creditdesk.schema.entity import Entity

_FIELDS: Final = {
    CoworkerBookingCredit.__name__: ("RemainingCredit", "TotalCredit"),
    CoworkerExtraService.__name__: ("RemainingUses", "TotalUses"),
}


_USES: Final = {
    CoworkerBookingCreditUseHistory.__name__: "CoworkerBookingCreditRemainingCredit",
    CoworkerExtraServiceUseHistory.__name__: "CoworkerExtraServiceRemainingUses",
}
"""The field of a use with the remaining amount of its credit."""


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One amount before and after; `problem` says why the command will be refused.

    `kind` is money or time if it differs from that of the command's record.
    """

    title: str
    before: Decimal
    after: Decimal
    problem: str = ""
    kind: str = ""


def command_effects(
    entity: type[Entity], command: str, record: Mapping[str, Any], parameters: Mapping[str, str]
) -> list[ValueChange]:
    """The amounts that a command changes; none if only the ledger can tell."""
    effect = _EFFECTS.get(command)
    if effect is None or entity.__name__ not in (*_FIELDS, *_USES):
        return []
    return effect(entity, record, parameters)


def _adjustment(entity: type[Entity], record: Mapping[str, Any], parameters: Mapping[str, str]) -> list[ValueChange]:
    """Remaining changes by the amount; if it exceeds the total, the total grows by the excess (rule 2)."""
    amount = entered_number(parameters.get("Amount"))
    if amount is None:
        return []
    remaining, total = _amounts(entity, record)
    after = remaining + amount
    problem = mark("The credit has less than that.") if after < 0 else ""
    changes = [ValueChange(mark("Remaining"), remaining, after, problem)]
    if after > total:
        changes.append(ValueChange(mark("Granted"), total, after))
    return changes


def _voiding(entity: type[Entity], record: Mapping[str, Any], _parameters: Mapping[str, str]) -> list[ValueChange]:
    """Removes what is left; what was used stays (rule 29)."""
    remaining, _ = _amounts(entity, record)
    return [ValueChange(mark("Remaining"), remaining, Decimal(0))]


def _reversal(entity: type[Entity], record: Mapping[str, Any], parameters: Mapping[str, str]) -> list[ValueChange]:
    """Returns the amount to the credit, by default the whole use (rule 30)."""
    remaining = entered_number(record.get(_USES[entity.__name__]))
    used = entered_number(record.get("CreditUsed"))
    if remaining is None or used is None:
        return []
    amount = entered_number(parameters.get("Amount")) or used
    problem = mark("The use was smaller than that.") if amount > used else ""
    return [ValueChange(mark("Remaining"), remaining, remaining + amount, problem)]


def _amounts(entity: type[Entity], record: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    remaining, total = _FIELDS[entity.__name__]
    return Decimal(str(record[remaining])), Decimal(str(record[total]))


def entered_number(value: object) -> Decimal | None:
    """The number in a value; None if it is empty or not a number."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 19 else None


_EFFECTS: Final[dict[str, Callable[[type[Entity], Mapping[str, Any], Mapping[str, str]], list[ValueChange]]]] = {
    "ADJUST_CREDIT": _adjustment,
    "VOID_CREDIT": _voiding,
    "REVERSE_USE": _reversal,
}
