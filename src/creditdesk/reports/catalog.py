"""Every report by name, and the one function that computes one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from creditdesk.reports.activity import activity
from creditdesk.reports.ageing import ageing, expiry_band
from creditdesk.reports.ageing_view import load_ageing_view
from creditdesk.reports.breakage import breakage
from creditdesk.reports.breakage_view import load_breakage_view
from creditdesk.reports.exception_loader import load_exception_facts, load_exceptions_view
from creditdesk.reports.exceptions import exceptions
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.liability import liability
from creditdesk.reports.liability_view import load_liability_view
from creditdesk.reports.loader import load_view
from creditdesk.reports.movement_list import movement_list
from creditdesk.reports.recorded_acts import load_recorded_acts
from creditdesk.reports.request import GROUPS, ReportRequest
from creditdesk.reports.result import ReportResult
from creditdesk.reports.roll_forward import roll_forward
from creditdesk.reports.statement import statement
from creditdesk.reports.team_caps import load_team_members
from creditdesk.reports.totals_view import load_totals_view
from creditdesk.reports.utilisation import utilisation
from creditdesk.schema.repository import ReadSession


@dataclass(frozen=True, slots=True)
class ReportKind:
    """A report: what it answers, and how it is computed.

    `of_period` is false for a report of one instant. For the values of `group_by` the stored totals of groups of
    credits are enough. `load` loads the view where that is not the default one.
    """

    description: str
    compute: Callable[[ReadSession, LedgerView], Awaitable[ReportResult]]
    of_period: bool = True
    group_by: frozenset[str] = frozenset()
    load: Callable[[ReadSession, ReportRequest], Awaitable[LedgerView]] | None = None

    async def load_view(self, session: ReadSession, request: ReportRequest) -> LedgerView:
        """The view that the report is computed from."""
        if self.load is not None:
            return await self.load(session, request)
        return await load_view(session, request)


def _from_view(
    compute: Callable[[LedgerView], ReportResult],
) -> Callable[[ReadSession, LedgerView], Awaitable[ReportResult]]:
    """Adapts a computation that needs only the view."""

    async def run(_session: ReadSession, view: LedgerView) -> ReportResult:
        return compute(view)

    return run


async def _exceptions(session: ReadSession, view: LedgerView) -> ReportResult:
    return exceptions(view, await load_exception_facts(session, view))


async def _activity(session: ReadSession, view: LedgerView) -> ReportResult:
    return activity(view, await load_recorded_acts(session, view))


async def _statement(session: ReadSession, view: LedgerView) -> ReportResult:
    return statement(view, await load_team_members(session, view))


REPORTS: Final[Mapping[str, ReportKind]] = MappingProxyType(
    {
        "statement": ReportKind("What moved the credit of a customer, a team or a credit", _statement),
        "liability": ReportKind(
            "What is owed to members at an instant",
            _from_view(liability),
            of_period=False,
            group_by=frozenset({"kind", "funding"}),
            load=load_liability_view,
        ),
        "roll-forward": ReportKind(
            "How what is owed moved from opening to closing", _from_view(roll_forward), group_by=frozenset(GROUPS)
        ),
        "ageing": ReportKind(
            "When what is owed will expire", _from_view(ageing), of_period=False, load=load_ageing_view
        ),
        "breakage": ReportKind(
            "What will probably never be used: an estimate",
            _from_view(breakage),
            of_period=False,
            load=load_breakage_view,
        ),
        "exceptions": ReportKind(
            "What looks wrong, and who has accepted it", _exceptions, of_period=False, load=load_exceptions_view
        ),
        "utilisation": ReportKind("How much credit was used, and how much expired", _from_view(utilisation)),
        "activity": ReportKind("Who did what to credit, and beside it", _activity),
        "movements": ReportKind("The movements that a figure of another report adds up", _from_view(movement_list)),
    }
)


async def run_report(session: ReadSession, request: ReportRequest) -> ReportResult:
    """Computes the report that the request names, from one snapshot.

    Raises ValidationError for a parameter that names nothing the caller may see.
    """
    kind = REPORTS[request.name]
    wanted = request if kind.of_period else request.since_beginning()
    if wanted.is_of_groups and wanted.by in kind.group_by:
        return await kind.compute(session, await load_totals_view(session, wanted, only_end=not kind.of_period))
    view = await kind.load_view(session, wanted)
    if wanted.expires is not None:
        histories = [each for each in view.histories if expiry_band(view, each.credit) == wanted.expires]
        view = replace(view, histories=histories)
    return await kind.compute(session, view)
