"""The reason codes of allocation documents in plain words, each with the rule that it follows."""

from __future__ import annotations

from typing import Final

from creditdesk.console.translations import mark

REASON_TEXTS: Final = {
    "used": mark("pays"),
    "tentative": mark("the booking is tentative (rule 15)"),
    "credit_declined": mark("the booking declines credit (rule 15)"),
    "booking_charge": mark("it is a booking charge, not credit (rule 5)"),
    "no_grant": mark("no grant explains it until it is adopted (rule 38)"),
    "not_shared": mark("the team does not share it (rule 16)"),
    "other_location": mark("it belongs to another location (rule 17)"),
    "other_currency": mark("it has another currency (rule 17)"),
    "expired": mark("it has expired by then (rule 12)"),
    "not_yet_valid": mark("it is not valid yet (rule 12)"),
    "wrong_plan": mark("it is for customers of other plans (rule 14)"),
    "wrong_rate": mark("its rate does not cover this (rule 15)"),
    "not_for_bookings": mark("it is not for bookings (rule 13)"),
    "not_for_events": mark("it is not for events (rule 13)"),
    "wrong_resource_type": mark("it is for other kinds of rooms (rule 13)"),
    "wrong_event_category": mark("it is for other kinds of events (rule 13)"),
    "not_universal": mark("it pays only for bookings or events (rule 13)"),
    "not_listed": mark("it pays only for listed items (rule 13)"),
    "empty": mark("nothing is left of it"),
    "member_cap": mark("the member's cap is reached (rule 16)"),
    "less_than_a_step": mark("less than one step is left (rule 21)"),
    "print_needs_whole": mark("a print job is paid whole or not at all (rule 21)"),
    "used_elsewhere": mark("it pays for another item here"),
    "not_needed": mark("not needed"),
}


def reason_text(code: str) -> str:
    """The words of a code, still to be translated; an unknown code is shown as it is."""
    return REASON_TEXTS.get(code, code)
