"""The first page: outstanding amounts, open tasks, and the latest manual changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from creditdesk.console.api_client import RecordPage
from creditdesk.console.journal_table import journal_rows
from creditdesk.console.links import list_path
from creditdesk.console.list_query import ListAddress
from creditdesk.console.page import ConsolePage, Screen
from creditdesk.console.screens.administration import JOBS_PATH
from creditdesk.console.screens.customers import allowed
from creditdesk.console.screens.record_lists import with_location
from creditdesk.console.translations import mark
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.roles import READ_ROLE, REPORTS_ROLE
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Entity

SOON_DAYS: Final = 7
LOOK_BACK_DAYS: Final = 31
_LATEST_LINES: Final = 10
_SMALLEST_AMOUNT: Final = "0.0001"


@dataclass(frozen=True, slots=True)
class CountedList:
    """A list whose total says something about today; `total` is None until it is counted."""

    title: str
    entity: type[Entity]
    query: Mapping[str, str]
    note: str = ""
    total: int | None = None

    @property
    def path(self) -> str:
        return f"{list_path(self.entity)}?{urlencode(self.query)}"


@dataclass(frozen=True, slots=True)
class Task:
    """An open task and its page; `total` is None until it is counted."""

    title: str
    path: str
    note: str
    total: int | None


async def _today(page: ConsolePage) -> Response:
    """The page without its totals, which are loaded later: over a large ledger they take a while."""
    lines = await _latest_changes(page)
    return page.render(
        "today.html",
        figures=_may_list(page, _figures(page)),
        tasks=[Task(each.title, each.path, each.note, None) for each in _may_list(page, _neglected(page))],
        is_counted=False,
        may_renew=page.has_role(READ_ROLE),
        may_report=page.has_role(REPORTS_ROLE),
        lines=await journal_rows(page, lines),
        journal_path=f"{list_path(JournalLine)}?orderby=RecordedOn&dir=descending",
    )


async def _counted_figures(page: ConsolePage) -> Response:
    return page.render("today_figures.html", figures=await _count(page, _figures(page)))


async def _counted_tasks(page: ConsolePage) -> Response:
    """The open tasks, without those whose total is 0."""
    counted, jobs = await asyncio.gather(_count(page, _neglected(page)), _failed_jobs(page))
    tasks = [*(Task(each.title, each.path, each.note, each.total) for each in counted), jobs]
    return page.render(
        "today_tasks.html",
        tasks=[task for task in tasks if task.total],
        is_counted=True,
        may_renew=page.has_role(READ_ROLE),
        may_report=page.has_role(REPORTS_ROLE),
    )


def _figures(page: ConsolePage) -> tuple[CountedList, ...]:
    now = page.now.replace(microsecond=0)
    local = now.astimezone(page.format.zone)
    month = local.replace(day=1, hour=0, minute=0, second=0)
    day = local.replace(hour=0, minute=0, second=0)
    left = {"from_CoworkerBookingCredit_RemainingCredit": _SMALLEST_AMOUNT}
    soon = {"from_CoworkerBookingCredit_ExpireDate": _utc(now),
            "to_CoworkerBookingCredit_ExpireDate": _utc(now + timedelta(days=SOON_DAYS))}  # fmt: skip

    # Row counters hold the totals of a use history, whatever its size. A count of the journal would read every
    # line of the day, and a run that expires credit may write a line for each customer.
    def uses(title: str, since: datetime) -> CountedList:
        query = {
            "from_CoworkerBookingCreditUseHistory_CreatedOn": _utc(since),
            "orderby": "CreatedOn",
            "dir": "descending",
        }
        return CountedList(title, CoworkerBookingCreditUseHistory, query, mark("of money credit"))

    return (
        uses(mark("Uses today"), day),
        uses(mark("Uses this month"), month),
        CountedList(mark("Credits expire in 7 days"), CoworkerBookingCredit, left | soon | {"orderby": "ExpireDate"},
                    mark("with something left")),
        CountedList(mark("Bookings to come"), Booking, {"from_Booking_FromTime": _utc(now), "orderby": "FromTime"}),
    )  # fmt: skip


def _neglected(page: ConsolePage) -> tuple[CountedList, ...]:
    """Neglected records of the last month, which an index finds by date."""
    now = page.now.replace(microsecond=0)
    since = _utc(now - timedelta(days=LOOK_BACK_DAYS))
    overrides = {"JournalLine_Override": "true", "from_JournalLine_RecordedOn": since}
    not_charged = {"Booking_Invoiced": "false", "Booking_Tentative": "false", "from_Booking_FromTime": since,
                   "to_Booking_FromTime": _utc(now), "to_Booking_ToTime": _utc(now), "orderby": "FromTime"}  # fmt: skip
    note = mark("of the last 31 days")
    return (
        CountedList(mark("Uses outside their window"), JournalLine, overrides, note),
        CountedList(mark("Past bookings not charged"), Booking, not_charged, note),
    )


def _may_list(page: ConsolePage, lists: Iterable[CountedList]) -> list[CountedList]:
    return [each for each in lists if page.may(each.entity, "list")]


async def _count(page: ConsolePage, lists: Iterable[CountedList]) -> list[CountedList]:
    """The lists that the user may see, with their exact totals."""

    async def count(each: CountedList) -> CountedList:
        address = ListAddress(each.entity, tuple(each.query.items()))
        listed = await page.client.find(each.entity.path(), [*with_location(page, address), ("size", "1")])
        return replace(each, total=listed.total)

    return list(await asyncio.gather(*map(count, _may_list(page, lists))))


async def _failed_jobs(page: ConsolePage) -> Task:
    """The scheduled jobs whose last run failed; none for a user that does not administer them."""
    found = await page.client.get("/api/admin/jobs") if page.principal.unrestricted else {"Jobs": []}
    failed = sum(job["Succeeded"] is False for job in found["Jobs"])
    return Task(mark("Scheduled jobs that failed"), JOBS_PATH, mark("in their last run"), failed)


async def _due_count(page: ConsolePage) -> Response:
    """The number of due renewals; loaded after the page, because it reads every contract."""
    due = await page.client.get("/api/ledger/renewals", {"size": "1"})
    return page.render("task_count.html", total=due["TotalItems"])


async def _latest_changes(page: ConsolePage) -> list[dict[str, Any]]:
    """The latest manual lines: adjustments and voids, else the latest lines of all."""
    if not page.has_role(READ_ROLE):
        return []
    address = ListAddress(JournalLine, (("orderby", "RecordedOn"), ("dir", "descending"), ("size", str(_LATEST_LINES))))
    listed = await allowed(page.client.find(JournalLine.path(), with_location(page, address)), RecordPage([], 0))
    return listed.records


async def _renewals(page: ConsolePage) -> Response:
    """The due renewals, and a button that grants them."""
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
    Screen("/console/today/figures", _counted_figures),
    Screen("/console/today/tasks", _counted_tasks),
    Screen("/console/renewals", _renewals),
    Screen("/console/renewals/count", _due_count),
    Screen("/console/renewals", _run_renewals, ("POST",)),
)
