"""Today: what the credit comes to, what needs somebody, and the latest changes by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from creditdesk.console.api_client import RecordPage
from creditdesk.console.journal_table import credits_of, journal_rows
from creditdesk.console.links import list_path
from creditdesk.console.list_query import ListAddress
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.administration import JOBS_PATH
from creditdesk.console.screens.customers import allowed
from creditdesk.console.screens.record_lists import with_location
from creditdesk.console.translations import mark
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.roles import READ_ROLE, REPORTS_ROLE
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Entity

SOON_DAYS: Final = 7
_LATEST_LINES: Final = 10
_SMALLEST_AMOUNT: Final = "0.0001"


@dataclass(frozen=True, slots=True)
class Count:
    """How many records a list has, and its address."""

    title: str
    total: int
    path: str
    note: str = ""
    needs_attention: bool = False


async def _today(page: ConsolePage) -> Response:
    counts, lines, jobs = await asyncio.gather(_counts(page), _latest_changes(page), _failed_jobs(page))
    names = await credits_of(page, {(line["CreditKind"], line["CreditId"]) for line in lines})
    return page.render(
        "today.html",
        figures=[count for count in counts if not count.needs_attention],
        tasks=[count for count in (*counts, jobs) if count.needs_attention and count.total],
        may_renew=page.has_role(READ_ROLE),
        may_report=page.has_role(REPORTS_ROLE),
        lines=await journal_rows(page, lines, names),
        journal_path=f"{list_path(JournalLine)}?orderby=RecordedOn&dir=descending",
    )  # fmt: skip


async def _counts(page: ConsolePage) -> list[Count]:
    now = page.now.replace(microsecond=0)
    local = now.astimezone(page.format.zone)
    month = local.replace(day=1, hour=0, minute=0, second=0)
    day = local.replace(hour=0, minute=0, second=0)
    left = {"from_CoworkerBookingCredit_RemainingCredit": _SMALLEST_AMOUNT}
    soon = {"from_CoworkerBookingCredit_ExpireDate": _utc(now),
            "to_CoworkerBookingCredit_ExpireDate": _utc(now + timedelta(days=SOON_DAYS))}  # fmt: skip
    uses = {"JournalLine_Kind": "use"}
    wanted = (
        (mark("Uses today"), JournalLine, uses | {"from_JournalLine_RecordedOn": _utc(day)}, "", False),
        (mark("Uses this month"), JournalLine, uses | {"from_JournalLine_RecordedOn": _utc(month)}, "", False),
        (mark("Credits expire in 7 days"), CoworkerBookingCredit, left | soon | {"orderby": "ExpireDate"},
         mark("with something left"), False),
        (mark("Bookings to come"), Booking, {"from_Booking_FromTime": _utc(now), "orderby": "FromTime"}, "", False),
        (mark("Uses outside their window"), JournalLine, {"JournalLine_Override": "true"},
         mark("posted as an override (rule 8)"), True),
        (mark("Past bookings not charged"), Booking,
         {"Booking_Invoiced": "false", "Booking_Tentative": "false", "to_Booking_ToTime": _utc(now),
          "from_Booking_ToTime": _utc(now - timedelta(days=31)), "orderby": "FromTime"},
         mark("of the last 31 days"), True),
    )  # fmt: skip
    found = await asyncio.gather(*(_count(page, *each) for each in wanted))
    return [count for count in found if count is not None]


async def _count(
    page: ConsolePage, title: str, entity: type[Entity], query: Mapping[str, str], note: str, needs_attention: bool
) -> Count | None:
    """The exact total of a list; None where the user may not see it."""
    if not page.may(entity, "list"):
        return None
    address = ListAddress(entity, tuple(query.items()))
    listed = await page.client.find(entity.path(), [*with_location(page, address), ("size", "1")])
    return Count(title, listed.total, f"{list_path(entity)}?{urlencode(query)}", note, needs_attention)


async def _failed_jobs(page: ConsolePage) -> Count:
    """The scheduled jobs whose last run failed; none for a user that does not administer them."""
    found = await page.client.get("/api/admin/jobs") if page.principal.unrestricted else {"Jobs": []}
    failed = sum(job["Succeeded"] is False for job in found["Jobs"])
    return Count(mark("Scheduled jobs that failed"), failed, JOBS_PATH, mark("in their last run"), True)


async def _due_count(page: ConsolePage) -> Response:
    """How many renewals are due; counted when the page is there already, as it reads every contract."""
    due = await page.client.get("/api/ledger/renewals", {"size": "1"})
    return page.render("renewals_count.html", total=due["TotalItems"])


async def _latest_changes(page: ConsolePage) -> list[dict[str, Any]]:
    """The latest lines that people made by hand: adjustments and voids, else the latest of all."""
    if not page.has_role(READ_ROLE):
        return []
    address = ListAddress(JournalLine, (("orderby", "RecordedOn"), ("dir", "descending"), ("size", str(_LATEST_LINES))))
    listed = await allowed(page.client.find(JournalLine.path(), with_location(page, address)), RecordPage([], 0))
    return listed.records


async def _renewals(page: ConsolePage) -> Response:
    """What is due; a run grants it, once."""
    due = await page.client.get("/api/ledger/renewals", {"size": "200"})
    return page.render("renewals.html", due=due["Records"], total=due["TotalItems"])


async def _run_renewals(page: ConsolePage) -> Response:
    form = await page.form()
    answer = await page.client.post("/api/ledger/renewals", {}, str(form.get("key", "")) or None)
    return page.redirect("/console/", notice=str(answer["Message"]))


def _utc(value: datetime) -> str:
    return format_datetime(value.astimezone(UTC))


TODAY_SCREENS: Final = (
    Screen("/console/", _today),
    Screen("/console/renewals", _renewals),
    Screen("/console/renewals/count", _due_count),
    Screen("/console/renewals", _run_renewals, ("POST",)),
)
