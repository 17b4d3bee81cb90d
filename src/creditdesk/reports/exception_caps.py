"""Finds posted uses that went over a member's cap on the credit that its team shares (rule 16).

A spend never does. A posted use is not capped, as only its amount is checked (rule 8).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.ledger.journal.entry import epoch_microseconds, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, LocationClock, load_location_clocks
from creditdesk.ledger.loaders.payers import Payers, load_payers
from creditdesk.ledger.loaders.pool_caps import CREDIT_TYPES
from creditdesk.ledger.loaders.rows import TypedRow, find_by_id, find_rows
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.pool_caps import CapPeriod, period_start
from creditdesk.reports.exception_rules import ExceptionCode, LedgerException
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.open_uses import open_uses
from creditdesk.reports.result import label
from creditdesk.reports.rows import CustomerRow
from creditdesk.reports.statement import credit_number
from creditdesk.reports.values import ReportCredit, ReportEntry
from creditdesk.schema.repository import ReadSession


class _CapRow(TypedRow, frozen=True, gc=False):
    entity = PoolCap

    team_id: int
    team_name: str | None
    team_business_id: int | None
    credit_kind: int
    period: CapPeriod
    amount: Amount
    updated_on: datetime


@dataclass(frozen=True, slots=True)
class _Draw:
    """The part of a member's use of another customer's credit that was not reversed."""

    credit: ReportCredit
    entry: ReportEntry
    left: Amount
    team_id: int


async def find_exceeded_caps(session: ReadSession, view: LedgerView) -> list[LedgerException]:
    """The uses that exceeded a cap as it stands; a cap that was set later does not apply to a use."""
    shared = [
        (history.credit, entry, left)
        for history, entry, left in open_uses(view)
        if entry.member_id is not None and entry.member_id != history.credit.customer_id
    ]
    members = {entry.member_id or 0 for _, entry, _ in shared}
    payers = await load_payers(session, members, view.request.now) if members else {}
    draws = [
        _Draw(credit, entry, left, team_id)
        for credit, entry, left in shared
        if (team_id := _team_of(payers.get(entry.member_id or 0), credit)) is not None
    ]
    if not draws:
        return []
    draws.sort(key=lambda draw: (draw.entry.recorded, draw.entry.id))
    caps = await find_rows(session, _CapRow, TeamId={draw.team_id for draw in draws})
    clocks = await load_location_clocks(session, {cap.team_business_id for cap in caps})
    names = await find_by_id(session, CustomerRow, members)
    return [found for cap in caps for found in _over(cap, draws, clocks, names)]


def _team_of(payers: Payers | None, credit: ReportCredit) -> int | None:
    """The team that shares a credit with a member."""
    if payers is None or credit.customer_id is None:
        return None
    team = payers.owner.team(payers.team_by_payer.get(credit.customer_id, 0))
    return team.id if team is not None and team.shares(credit.credit_type) else None


def _over(
    cap: _CapRow, draws: Sequence[_Draw], clocks: Mapping[int, LocationClock], names: Mapping[int, CustomerRow]
) -> Iterator[LedgerException]:
    """The draws of each member and period, from the first that exceeds the cap."""
    zone = clocks.get(cap.team_business_id or 0, DEFAULT_CLOCK).zone
    set_on = epoch_microseconds(cap.updated_on)
    drawn: dict[tuple[int, str, datetime], Amount] = defaultdict(int)
    for draw in draws:
        credit, entry = draw.credit, draw.entry
        if (draw.team_id, credit.credit_type) != (cap.team_id, CREDIT_TYPES[cap.credit_kind]):
            continue
        starts = period_start(cap.period, from_epoch_microseconds(entry.recorded), zone)
        member, unit = entry.member_id or 0, credit.unit if credit.is_money else ""
        drawn[member, unit, starts] += draw.left
        limit = cap.amount // MAPPINGS[credit.account_type].scale
        over = min(draw.left, drawn[member, unit, starts] - limit)
        if over <= 0 or entry.recorded < set_on:
            continue
        name = names[member].full_name if member in names else None
        total = credit_number(credit, drawn[member, unit, starts])
        period, day = cap.period.name.lower(), starts.astimezone(zone).date()
        yield LedgerException(
            ExceptionCode.CAP_EXCEEDED,
            credit.business_id,
            f"{credit.account_type}/{credit.id}/{entry.sequence}/{cap.id}",
            f"{name or label(f'Customer {member}')} drew {total} in the {period} from {day}, and "
            f"{cap.team_name or label(f'team {cap.team_id}')} allows {credit_number(credit, limit)}",
            credit,
            credit.customer_id,
            over,
            entry.recorded,
        )
