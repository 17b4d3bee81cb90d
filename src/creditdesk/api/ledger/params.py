"""The parameters of the ledger's paths, and their typed values."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, CreditTypeMapping
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.fields import Boolean, Collection, DateTime, Integer, Money
from creditdesk.schema.params import Param, ParamList, Params

_ID: Final = Integer(minimum=1)
COWORKER_ID: Final = Param("CoworkerId", _ID, required=True)
BUSINESS_ID: Final = Param("BusinessId", _ID, description="The location of what has no record of its own.")
SOURCE_KIND: Final = Param("Kind", required=True, choices=tuple(sorted(each.value for each in SourceKind)))
SOURCE_ID: Final = Param("Id", _ID, required=True)
SOURCE_AMOUNT: Final = Param(
    "Amount",
    Money(allow_negative=False),
    description="The amount to pay; when left out, the unpaid amount.",
)
FROM_TIME: Final = Param("FromTime", DateTime())
TO_TIME: Final = Param("ToTime", DateTime(), description="Goes together with FromTime.")
UNITS: Final = Param("Units", Integer(minimum=1))


def _check_times(item: Params) -> None:
    starts, ends = item[FROM_TIME], item[TO_TIME]
    if (starts is None) != (ends is None) or (starts and ends and ends <= starts):
        item.add_error(TO_TIME, "FromTime and ToTime go together, the later one last")


SOURCES: Final = ParamList(
    "Sources",
    (SOURCE_KIND, SOURCE_ID, SOURCE_AMOUNT, FROM_TIME, TO_TIME, UNITS),
    check=_check_times,
)
BASKET: Final = (COWORKER_ID, BUSINESS_ID, SOURCES)
"""Who pays, and for what."""

UNTIL: Final = Param("Until", DateTime(), description="When the hold expires.")
CREDIT_TYPE: Final = Param(
    "Kind",
    required=True,
    choices=tuple(each.value for each in AccountType),
    description="`time` stands for printing credit as well.",
)
USE_IDS: Final = Param("Ids", Collection(of="Use"), required=True)
AMOUNT: Final = Param("Amount", Money(), description="Money, or whole uses.")
REQUIRED_AMOUNT: Final = replace(AMOUNT, required=True)
REASON: Final = Param("Reason")
REQUIRED_REASON: Final = replace(REASON, required=True)
CREDIT_ID: Final = Param("Id", _ID, required=True)
EFFECTIVE_ON: Final = Param("EffectiveOn", DateTime())
DRY_RUN: Final = Param("DryRun", Boolean(), description="Only answer what would happen; write nothing.")
SINCE: Final = Param(
    "Since",
    DateTime(),
    description="Benefits that were never granted begin with the period of this day, at most ten years ago.",
)
DAYS: Final = Param(
    "Days",
    Integer(minimum=0),
    description="Credit that expires within so many days is shown as Lapsing; 30 when left out.",
)
AT: Final = Param("At", DateTime(), description="The balances of this instant.")
KNOWN_AT: Final = Param("AsKnownAt", DateTime(), description="As they were known at this instant.")


def parse_basket(params: Params) -> tuple[Buyer, list[ItemRequest]]:
    """The values of BASKET."""
    items = [
        ItemRequest(
            SourceKind(item[SOURCE_KIND]),
            item[SOURCE_ID],
            item[SOURCE_AMOUNT],
            item[FROM_TIME],
            item[TO_TIME],
            item[UNITS] or 0,
        )
        for item in params.items(SOURCES)
    ]
    return Buyer(params[COWORKER_ID], params[BUSINESS_ID]), items


def credit_mapping(params: Params) -> CreditTypeMapping:
    """The mapping that CREDIT_TYPE names: `money`, or `time` for time and printing credit."""
    return MAPPINGS[AccountType(params[CREDIT_TYPE])]


def check_amount(amount: Param, params: Params) -> None:
    """Adds an error where an amount of time credit is not a whole number of uses."""
    value = params[amount]
    is_time = params[CREDIT_TYPE] == AccountType.TIME.value
    if is_time and value is not None and value % 10**Money.places:
        params.add_error(amount, "must be a whole number")


def credit_amount(amount: Param, params: Params) -> Amount | None:
    """The amount in the unit of its credit: ten-thousandths of a currency unit, or uses."""
    value: Amount | None = params[amount]
    is_money = params[CREDIT_TYPE] == AccountType.MONEY.value
    return value if is_money or value is None else value // 10**Money.places
