"""Every page of a signed-in member, in the order in which paths are matched."""

from __future__ import annotations

from typing import Final

from creditdesk.console.member.appearance import APPEARANCE_SCREENS
from creditdesk.console.member.history import HISTORY_SCREENS
from creditdesk.console.member.overview import OVERVIEW_SCREENS
from creditdesk.console.member.page import MemberScreen
from creditdesk.console.member.password import PASSWORD_SCREENS
from creditdesk.console.member.statement import STATEMENT_SCREENS

MEMBER_SCREENS: Final[tuple[MemberScreen, ...]] = (
    *OVERVIEW_SCREENS,
    *HISTORY_SCREENS,
    *STATEMENT_SCREENS,
    *PASSWORD_SCREENS,
    *APPEARANCE_SCREENS,
)
