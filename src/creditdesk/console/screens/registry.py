"""Every screen, in the order in which paths are matched."""

from __future__ import annotations

from typing import Final

from creditdesk.console.page import Screen
from creditdesk.console.screens.account import ACCOUNT_SCREENS
from creditdesk.console.screens.administration import ADMINISTRATION_SCREENS
from creditdesk.console.screens.api_reference import API_SCREENS
from creditdesk.console.screens.bulk import BULK_SCREENS
from creditdesk.console.screens.closings import CLOSING_SCREENS
from creditdesk.console.screens.commands import COMMAND_SCREENS
from creditdesk.console.screens.credits import CREDIT_SCREENS
from creditdesk.console.screens.customers import CUSTOMER_SCREENS
from creditdesk.console.screens.exceptions import EXCEPTION_SCREENS
from creditdesk.console.screens.grants import GRANT_SCREENS
from creditdesk.console.screens.imports import IMPORT_SCREENS
from creditdesk.console.screens.member_links import MEMBER_LINK_SCREENS
from creditdesk.console.screens.outstanding import OUTSTANDING_SCREENS
from creditdesk.console.screens.owed import OWED_SCREENS
from creditdesk.console.screens.preferences import PREFERENCE_SCREENS
from creditdesk.console.screens.record_lists import LIST_SCREENS
from creditdesk.console.screens.records import RECORD_SCREENS
from creditdesk.console.screens.reports import REPORT_SCREENS
from creditdesk.console.screens.roles import ROLE_SCREENS
from creditdesk.console.screens.search import SEARCH_SCREENS
from creditdesk.console.screens.spend import SPEND_SCREENS
from creditdesk.console.screens.today import TODAY_SCREENS
from creditdesk.console.screens.users import USER_SCREENS
from creditdesk.console.screens.views import VIEW_SCREENS
from creditdesk.console.screens.why import WHY_SCREENS

ALL_SCREENS: Final[tuple[Screen, ...]] = (
    *TODAY_SCREENS,
    *CUSTOMER_SCREENS,
    *GRANT_SCREENS,
    *BULK_SCREENS,
    *MEMBER_LINK_SCREENS,
    *CREDIT_SCREENS,
    *WHY_SCREENS,
    *SPEND_SCREENS,
    *EXCEPTION_SCREENS,
    *OUTSTANDING_SCREENS,
    *OWED_SCREENS,
    *REPORT_SCREENS,
    *CLOSING_SCREENS,
    *SEARCH_SCREENS,
    *PREFERENCE_SCREENS,
    *ACCOUNT_SCREENS,
    *ADMINISTRATION_SCREENS,
    *USER_SCREENS,
    *ROLE_SCREENS,
    *IMPORT_SCREENS,
    *API_SCREENS,
    *VIEW_SCREENS,
    *LIST_SCREENS,
    *RECORD_SCREENS,
    *COMMAND_SCREENS,
)
