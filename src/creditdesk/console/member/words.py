"""Texts for members: what happened to their credit, and why a credit did not pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from creditdesk.console.translations import mark

PLAIN_REASONS: Final = {
    "tentative": mark("The booking is not confirmed yet."),
    "credit_declined": mark("The booking is set not to use credit."),
    "booking_charge": mark("It is the charge of a booking, not credit."),
    "no_grant": mark("Your space has to check it first."),
    "not_shared": mark("Your team does not share it."),
    "other_location": mark("It is for another location."),
    "other_currency": mark("It is in another currency."),
    "expired": mark("It expires before then."),
    "not_yet_valid": mark("It is not valid yet at that time."),
    "wrong_plan": mark("It is for customers of other plans."),
    "wrong_rate": mark("It is for other kinds of rooms or uses."),
    "not_for_bookings": mark("It is not for bookings."),
    "not_for_events": mark("It is not for events."),
    "wrong_resource_type": mark("It is for other kinds of rooms."),
    "wrong_event_category": mark("It is for other kinds of events."),
    "not_universal": mark("It pays only for bookings or events."),
    "not_listed": mark("It is for certain items, and this is not one of them."),
    "empty": mark("Nothing was left of it."),
    "member_cap": mark("You had reached the limit that your team set."),
    "less_than_a_step": mark("Too little was left for one interval of time."),
    "print_needs_whole": mark("Not enough was left to pay the whole print job."),
    "used_elsewhere": mark("It paid for something else that you bought at the same time."),
    "not_needed": mark("It was not needed: other credit paid everything before it."),
}
"""The reason codes of decisions, for the member (rules 12 to 21)."""
UNIT_WORDS: Final = {
    "minute": mark("minutes"),
    "day": mark("days"),
    "week": mark("weeks"),
    "month": mark("months"),
    "use": mark("uses"),
    "four_week_month": mark("months of four weeks"),
    "four-week month": mark("months of four weeks"),
    "print": mark("prints"),
}
"""The plural of what one use of a credit is, by the singular names of pools and reports."""
_PERIOD_WORDS: Final = ("minute", "day", "week", "month", "use", "four_week_month")
FLOW_WORDS: Final = (
    mark("Granted"), mark("Rolled in"), mark("Given back"), mark("Adjusted"), mark("Used"), mark("Rolled out"),
    mark("Voided"), mark("Expired"), mark("Reopened"),
)  # fmt: skip
"""The kinds of movements of a statement, as the report names them."""
OF_TEAM: Final = mark("paid with credit of your team")
BY_TEAM_MEMBER: Final = mark("used by a member of your team")


def unit_words(unit: str) -> str:
    """The words for a unit such as `minutes` or `print`, still to be translated; a currency stays as it is."""
    return UNIT_WORDS.get(unit) or UNIT_WORDS.get(unit.removesuffix("s"), unit)


def period_words(record: Mapping[str, Any]) -> str:
    """The words for what a time or printing credit counts, still to be translated; empty where it is not known."""
    if record.get("ExtraServiceIsPrintingCredit"):
        return UNIT_WORDS["print"]
    number = record.get("ChargePeriod") or 0
    return UNIT_WORDS[_PERIOD_WORDS[number - 1]] if 0 < number <= len(_PERIOD_WORDS) else ""


def plain_reason(code: str) -> str:
    """The sentence for a reason code, still to be translated; an unknown code is shown as it is."""
    return PLAIN_REASONS.get(code, code)
