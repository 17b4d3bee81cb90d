"""The statement: the movements of the credit of a customer, a team or a single credit, with running balances."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Final

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.ledger.journal.reasons import REST_EXPIRY_REASON
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.pool_caps import period_start
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.result import (
    Cell,
    CellType,
    ReportColumn,
    ReportResult,
    ReportSection,
    label,
    to_decimal,
)
from creditdesk.reports.team_caps import NO_TEAM, TeamMembers
from creditdesk.reports.totals import FlowTotals, flow_totals
from creditdesk.reports.values import CreditMovement, Flow, ReportCredit, ReportEntry
from creditdesk.schema.fields import OPERATOR

Unit = tuple[CreditType, str]

FLOW_TITLES: Final = {
    Flow.GRANTED: "Granted",
    Flow.ROLLED_IN: "Rolled in",
    Flow.REVERSED: "Given back",
    Flow.ADJUSTED: "Adjusted",
    Flow.USED: "Used",
    Flow.ROLLED_OUT: "Rolled out",
    Flow.VOIDED: "Voided",
    Flow.EXPIRED: "Expired",
    Flow.REOPENED: "Reopened",
}
MOVEMENT_COLUMNS: Final = (
    ReportColumn("LocalDate", "Date", CellType.DATE, "In the time zone of the credit's location."),
    ReportColumn("What", "What", CellType.TEXT, "The kind of movement."),
    ReportColumn("Description", "Description", CellType.TEXT, "The reason that was given."),
    ReportColumn("Source", "For", CellType.TEXT, "What was paid, such as `booking 12`."),
    ReportColumn("Actor", "By", CellType.TEXT, "Who caused it."),
    ReportColumn("MemberId", "Member", CellType.ID, "The customer who used it, if that is not the owner."),
    ReportColumn("Kind", "Kind", CellType.TEXT, "money, time or printing."),
    ReportColumn("CreditId", "Credit", CellType.ID),
    ReportColumn("CreditName", "Credit name"),
    ReportColumn("Unit", "Unit", CellType.TEXT, "The currency, or what one use is."),
    ReportColumn("Amount", "Amount", CellType.AMOUNT, "The change of what is outstanding."),
    ReportColumn("Balance", "Balance", CellType.AMOUNT, "Outstanding after it, over the report's credits of the unit."),
    ReportColumn("EntryId", "Entry", CellType.ID, "The journal entry; none for an expiry, which follows from time."),
    ReportColumn("At", "Time (UTC)", CellType.INSTANT),
)
_SUMMARY_COLUMNS: Final = (
    ReportColumn("Kind", "Kind"),
    ReportColumn("Unit", "Unit"),
    ReportColumn("Opening", "Opening", CellType.AMOUNT),
    *(ReportColumn(flow.value.title().replace("_", ""), FLOW_TITLES[flow], CellType.AMOUNT) for flow in Flow),
    ReportColumn("Closing", "Closing", CellType.AMOUNT),
)
_AVAILABLE_COLUMNS: Final = (
    ReportColumn("Kind", "Kind"),
    ReportColumn("CreditId", "Credit", CellType.ID),
    ReportColumn("CreditName", "Credit name"),
    ReportColumn("Unit", "Unit"),
    ReportColumn("Outstanding", "Outstanding", CellType.AMOUNT),
    ReportColumn("Held", "Held", CellType.AMOUNT),
    ReportColumn("ValidFrom", "Valid from", CellType.INSTANT),
    ReportColumn("ExpireDate", "Expires", CellType.INSTANT),
)
_MEMBER_COLUMNS: Final = (
    ReportColumn("MemberId", "Member", CellType.ID),
    ReportColumn("Member", "Member name"),
    ReportColumn("Kind", "Kind"),
)
_CAP_COLUMNS: Final = (
    *_MEMBER_COLUMNS,
    ReportColumn("Unit", "Unit", CellType.TEXT, "The currency; blank for uses."),
    ReportColumn("Period", "Period"),
    ReportColumn(
        "Since", "Since", CellType.DATE, "The first day of the period, in the time zone of the team's location."
    ),
    ReportColumn("Cap", "Cap", CellType.AMOUNT),
    ReportColumn("Drawn", "Drawn and held", CellType.AMOUNT),
    ReportColumn("Left", "Left", CellType.AMOUNT, "Below zero where a posted use went over the cap."),
)
_OF_CREDIT: Final = {
    CreditType.MONEY: label("money credit {} of {}"),
    CreditType.TIME: label("time credit {} of {}"),
    CreditType.PRINTING: label("printing credit {} of {}"),
}


def statement(view: LedgerView, team: TeamMembers = NO_TEAM) -> ReportResult:
    """The movements of the view's credits in order of time, with the running balance of each unit."""
    totals = flow_totals(view)
    return ReportResult(
        name="statement",
        title="Statement",
        subtitle=_subject(view),
        columns=MOVEMENT_COLUMNS,
        rows=_movement_rows(view, totals),
        footer=report_footer(
            view, {f"{kind} {unit}": _number((kind, unit), t.variance) for (kind, unit), t in totals.items()}
        ),
        sections=(
            ReportSection("Summary", _SUMMARY_COLUMNS, tuple(_summary_row(unit, t) for unit, t in totals.items())),
            ReportSection("Can still be spent", _AVAILABLE_COLUMNS, tuple(_available_rows(view))),
            *_drawn_by_member(view, team),
            *_member_caps(view, team),
        ),
    )


def view_movements(view: LedgerView) -> list[CreditMovement]:
    """Every movement of the view in its period, ordered by time, then by credit and entry."""
    found: list[CreditMovement] = []
    for history in view.histories:
        start = view.starts(history.credit, view.request.starts)
        end = view.ends(history.credit, view.request.ends)
        found += view.movements(history, start, end)
    found.sort(key=lambda each: (each.at, each.credit.account, each.entry.sequence if each.entry else 0))
    return found


def movement_row(view: LedgerView, movement: CreditMovement, balance: int | None) -> tuple[Cell, ...]:
    """The cells of MOVEMENT_COLUMNS."""
    credit, entry = movement.credit, movement.entry
    instant = from_epoch_microseconds(movement.at)
    zone = view.locations[credit.business_id].zone
    return (
        instant.astimezone(zone).date(),
        FLOW_TITLES[movement.flow],
        (entry.reason if entry else REST_EXPIRY_REASON) or credit.description,
        source_text(entry) if entry else "",
        _actor(view, entry) if entry else "",
        entry.member_id if entry else None,
        credit.credit_type.value,
        credit.id,
        credit.description,
        credit.unit,
        credit_number(credit, movement.amount),
        None if balance is None else credit_number(credit, balance),
        entry.id if entry else None,
        instant,
    )


def _actor(view: LedgerView, entry: ReportEntry) -> str:
    return OPERATOR if view.request.principal.is_member else entry.actor


def source_text(entry: ReportEntry) -> str:
    """What an entry paid for, such as `event attendance 12`; empty if it names nothing."""
    return f"{entry.source_kind.replace('_', ' ')} {entry.source_id}" if entry.source_kind else ""


def credit_number(credit: ReportCredit, amount: int) -> Decimal:
    """An amount of a credit as an exact number."""
    return to_decimal(amount, credit.unit, is_money=credit.is_money)


def _movement_rows(view: LedgerView, totals: dict[Unit, FlowTotals]) -> tuple[tuple[Cell, ...], ...]:
    balances: dict[Unit, int] = {unit: each.opening for unit, each in totals.items()}
    rows = []
    for movement in view_movements(view):
        unit = (movement.credit.credit_type, movement.credit.unit)
        balances[unit] += movement.amount
        rows.append(movement_row(view, movement, balances[unit]))
    return tuple(rows)


def _summary_row(unit: Unit, totals: FlowTotals) -> tuple[Cell, ...]:
    amounts = (totals.opening, *(totals.flows[flow] for flow in Flow), totals.closing)
    return (unit[0].value, unit[1], *(_number(unit, amount) for amount in amounts))


def _number(unit: Unit, amount: int) -> Decimal:
    return to_decimal(amount, unit[1], is_money=unit[0] is CreditType.MONEY)


def _available_rows(view: LedgerView) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for history in view.histories:
        credit = history.credit
        position = view.position(history, view.ends(credit, view.request.ends))
        if position.outstanding > 0:
            rows.append(
                (
                    credit.credit_type.value,
                    credit.id,
                    credit.description,
                    credit.unit,
                    credit_number(credit, position.outstanding),
                    credit_number(credit, position.held),
                    None if credit.valid_from is None else from_epoch_microseconds(credit.valid_from),
                    None if credit.expires is None else from_epoch_microseconds(credit.expires),
                )
            )
    return rows


def _drawn_by_member(view: LedgerView, team: TeamMembers) -> tuple[ReportSection, ...]:
    """For a team: what each member used of its credit, less what was given back."""
    if view.request.team is None:
        return ()
    drawn: dict[tuple[int, Unit], int] = defaultdict(int)
    for movement in view_movements(view):
        if movement.flow in (Flow.USED, Flow.REVERSED) and movement.entry is not None:
            member = movement.entry.member_id or movement.credit.customer_id or 0
            drawn[member, (movement.credit.credit_type, movement.credit.unit)] -= movement.amount
    columns = (
        *_MEMBER_COLUMNS,
        ReportColumn("Unit", "Unit"),
        ReportColumn("Drawn", "Drawn", CellType.AMOUNT),
    )
    rows = tuple(
        (member, team.names.get(member, ""), unit[0].value, unit[1], _number(unit, amount))
        for (member, unit), amount in sorted(drawn.items())
    )
    return (ReportSection("Drawn by member", columns, rows),)


def _member_caps(view: LedgerView, team: TeamMembers) -> tuple[ReportSection, ...]:
    """What each member may still draw in the current period of the cap."""
    now = view.request.now
    rows: list[tuple[Cell, ...]] = []
    for member, cap in team.caps:
        unit = (cap.pool.kind, cap.pool.currency.upper())
        left = cap.remaining(now)
        since = period_start(cap.period, now, cap.zone).astimezone(cap.zone).date()
        amounts = (_number(unit, amount) for amount in (cap.limit, cap.limit - left, left))
        rows.append((member, team.names.get(member, ""), *map(str, unit), cap.period.name.lower(), since, *amounts))
    return (ReportSection("Caps of members", _CAP_COLUMNS, tuple(rows)),) if rows else ()


def _subject(view: LedgerView) -> str:
    request = view.request
    if request.account is not None and view.histories:
        credit = view.histories[0].credit
        return _OF_CREDIT[credit.credit_type].format(credit.id, credit.customer_name or label("nobody"))
    if request.team is not None:
        return label(f"Shared credit of team {request.team}")
    if request.customer is not None:
        names = {history.credit.customer_name for history in view.histories} - {""}
        return min(names) if names else label(f"Customer {request.customer}")
    return ", ".join(each.name for each in view.report_locations())
