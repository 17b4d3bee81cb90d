"""The entries of the menu, each shown to users with its role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from creditdesk.console.translations import mark
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.roles import READ_ROLE


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """One entry; `role` None shows it to everybody."""

    title: str
    path: str
    icon: str
    role: str | None = None


MENU: Final = (
    MenuEntry(mark("Today"), "/console/", "today"),
    MenuEntry(mark("Journal"), f"/console/records/{JournalLine.area}/{JournalLine.plural}", "journal", READ_ROLE),
    MenuEntry(mark("All records"), "/console/records", "records"),
)


def menu_of(has_role: Callable[[str], bool], path: str) -> list[tuple[MenuEntry, bool]]:
    """The entries for a user, each with whether the page at `path` belongs to it: the longest one wins."""
    shown = [entry for entry in MENU if entry.role is None or has_role(entry.role)]
    matching = [e for e in shown if path == e.path or (e.path != "/console/" and path.startswith(f"{e.path}/"))]
    current = max(matching, key=lambda entry: len(entry.path), default=None)
    return [(entry, entry is current) for entry in shown]
