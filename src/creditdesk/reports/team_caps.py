"""Loads what each member of a team may still draw of the team's credit, for its statement (rule 16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.loaders.credits import load_credits
from creditdesk.ledger.loaders.payers import Payers, load_payers
from creditdesk.ledger.loaders.pool_caps import PoolMember, load_caps
from creditdesk.ledger.loaders.rows import TypedRow, find_by_id
from creditdesk.ledger.rules.credit import Credit
from creditdesk.ledger.rules.pool_caps import MemberCap
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.rows import CustomerRow
from creditdesk.schema.repository import ReadSession


class _TeamRow(TypedRow, frozen=True, gc=False):
    entity = Team

    paying_member_id: int | None
    team_members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TeamMembers:
    """The names of a team's members, and the current caps on what each may draw of its credit."""

    names: Mapping[int, str] = field(default_factory=dict)
    caps: Sequence[tuple[int, MemberCap]] = ()


NO_TEAM = TeamMembers()


async def load_team_members(session: ReadSession, view: LedgerView) -> TeamMembers:
    """The members of the report's team; none if it is not about a team.

    Caps are the current ones, so a report of the past has none.
    """
    request = view.request
    if request.team is None:
        return NO_TEAM
    [team] = (await find_by_id(session, _TeamRow, [request.team])).values()
    rows = await find_by_id(session, CustomerRow, team.team_members)
    names = {member: row.full_name or "" for member, row in rows.items()}
    if request.ends is not None or request.as_known_at is not None or team.paying_member_id is None:
        return TeamMembers(names)
    payers = await load_payers(session, names, request.now)
    payer = team.paying_member_id
    credits_ = (await load_credits(session, {payer}, request.now, skip_states=False))[payer]
    members = [_pool_member(payers[member], credits_, view) for member in sorted(payers) if member != payer]
    loaded = await load_caps(session, members)
    caps = [
        (member.id, cap)
        for member, of_member in zip(members, loaded, strict=True)
        for cap in of_member
        if cap.pool.team_id == team.id
    ]
    return TeamMembers(names, caps)


def _pool_member(payers: Payers, credits_: Sequence[Credit], view: LedgerView) -> PoolMember:
    shared = tuple(structs.replace(credit, team_id=payers.team_by_payer.get(credit.customer_id)) for credit in credits_)
    return PoolMember(payers, shared, view.request.now)
