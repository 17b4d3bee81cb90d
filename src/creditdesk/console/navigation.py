"""The entries of the menu, each shown to users with its role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from creditdesk.console.links import list_path
from creditdesk.console.translations import mark
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE, REPORTS_ROLE, SPEND_ROLE
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.user import User


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """One entry; `role` None shows it to everybody. Pages under `also` belong to it as well."""

    title: str
    path: str
    icon: str
    role: str | None = None
    also: str = ""


MENU: Final = (
    MenuEntry(mark("Today"), "/console/", "today"),
    MenuEntry(mark("Customers"), "/console/customers", "customers", Coworker.roles["list"], list_path(Coworker)),
    MenuEntry(
        mark("Credits"),
        "/console/credits",
        "credits",
        CoworkerBookingCredit.roles["list"],
        list_path(CoworkerBookingCredit),
    ),
    MenuEntry(mark("Spend desk"), "/console/spend", "spend", SPEND_ROLE),
    MenuEntry(mark("Bulk changes"), "/console/bulk", "bulk", CORRECT_ROLE),
    MenuEntry(mark("Reports"), "/console/reports", "reports", REPORTS_ROLE, "/console/closings"),
    MenuEntry(mark("Exceptions"), "/console/exceptions", "exceptions", REPORTS_ROLE),
    MenuEntry(mark("Journal"), "/console/journal", "journal", READ_ROLE, list_path(JournalLine)),
    MenuEntry(mark("Administration"), "/console/admin", "settings", User.roles["list"]),
    MenuEntry(mark("All records"), "/console/records", "records"),
    MenuEntry("API", "/console/api", "api"),
)


def menu_of(has_role: Callable[[str], bool], path: str) -> list[tuple[MenuEntry, bool]]:
    """The entries for a user, each with whether the page at `path` belongs to it: the longest match wins."""
    shown = [entry for entry in MENU if entry.role is None or has_role(entry.role)]
    lengths = {entry: _matched_length(entry, path) for entry in shown}
    current = max(shown, key=lambda entry: lengths[entry])
    return [(entry, entry is current and lengths[entry] > 0) for entry in shown]


def _matched_length(entry: MenuEntry, path: str) -> int:
    """The length of the path's part that belongs to the entry; 0 if none does."""
    if entry.path == "/console/":
        return len(path) if path == entry.path else 0
    prefixes = [prefix for prefix in (entry.path, entry.also) if prefix]
    return max((len(prefix) for prefix in prefixes if path == prefix or path.startswith(f"{prefix}/")), default=0)
