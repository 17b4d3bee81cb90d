"""Plan benefits: which periods are due, and granting each of them once (rule 27).

The rest of the previous grant expires on its own date, unless it rolls over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.reasons import RENEWAL_REASON
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.benefits import (
    PlanBenefit,
    find_lacking_grants,
    load_granted_periods,
    load_plan_benefits,
    load_rollovers,
)
from creditdesk.ledger.loaders.contracts import (
    ContractRow,
    load_begun_contracts,
    lock_contracts,
)
from creditdesk.ledger.loaders.locations import (
    DEFAULT_CLOCK,
    LocationClock,
    load_location_clocks,
)
from creditdesk.ledger.operations.benefit_grants import GrantKey, grant_benefit
from creditdesk.ledger.operations.corrections import NewCredit
from creditdesk.ledger.operations.rollover import RenewedGrant, lock_granted_credits, roll_over
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.funding import Funding, FundingKind
from creditdesk.ledger.rules.renewal import RenewalPeriod, periods_due, renewal_key, renewal_period
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import RequestContext

MAX_GRANTS: Final = 1_000
"""The most grants of one transaction; the next run grants the rest."""
OLDEST_SINCE: Final = timedelta(days=3660)
"""How far back a first grant may begin: ten years. An earlier date is a typing error."""


@dataclass(frozen=True, slots=True)
class DueRenewal:
    """One period of one benefit of one contract that has not been granted."""

    contract: ContractRow
    benefit: PlanBenefit
    period: RenewalPeriod
    clock: LocationClock

    @property
    def key(self) -> str:
        return renewal_key(str(self.contract.id), self.benefit.name, self.period)

    @property
    def amount(self) -> Amount:
        """What the period grants, in the credit's smallest unit."""
        return self.benefit.amount * self.contract.benefit_quantity


async def find_due_renewals(
    session: ReadSession,
    context: RequestContext,
    now: datetime,
    *,
    since: date | None = None,
    contract_ids: Collection[int] | None = None,
) -> list[DueRenewal]:
    """What is due at `now` on contracts that the principal may see, oldest period first.

    A benefit that was granted before catches up period by period. One that was never granted begins with the period
    of today or of `since`: contracts taken over from another system get no past grants. Raises ValidationError for a
    `since` more than ten years ago.
    """
    if since is not None and since < (now - OLDEST_SINCE).date():
        raise invalid_field("Since", "must not be more than ten years ago", since.isoformat())
    contracts = [
        contract
        for contract in await load_begun_contracts(session, now, contract_ids)
        if context.principal.sees_record(contract.issued_by_id, contract.coworker_id)
    ]
    if not contracts:
        return []
    clocks = await load_location_clocks(session, {c.issued_by_id for c in contracts})
    benefits = await load_plan_benefits(session, {c.tariff_id for c in contracts})
    if contract_ids is None:
        lacking = await find_lacking_grants(session, _current_periods(contracts, benefits, clocks, now))
        contracts = [contract for contract in contracts if contract.id in lacking]
    last_granted = await _load_last_granted(session, [c.id for c in contracts])
    due: list[DueRenewal] = []
    for contract in contracts:
        if own := benefits.get(contract.tariff_id):
            clock = clocks.get(contract.issued_by_id, DEFAULT_CLOCK)
            due += _due_of_contract(contract, own, clock, local_date(now, clock.zone), last_granted, since)
    return sorted(due, key=lambda each: (each.period.starts, each.contract.id, each.benefit.name))


async def run_renewals(
    session: WriteSession,
    context: RequestContext,
    ledger: LedgerContext,
    contract_ids: Collection[int],
    *,
    since: date | None = None,
    limit: int = MAX_GRANTS,
) -> list[tuple[DueRenewal, int]]:
    """Grants what is due on these contracts, at most `limit` of the oldest periods.

    Returns the grants with the new credits' ids. Each period is granted once, however many runs are concurrent.
    """
    now = ledger.clock()
    # A concurrent run waits here, then finds the keys of these grants.
    await lock_contracts(session, contract_ids)
    due_now = await find_due_renewals(session, context, now, since=since, contract_ids=contract_ids)
    found = due_now[:limit]
    rollovers = await load_rollovers(session, {due.benefit.name: due.benefit.mapping for due in found})
    await lock_granted_credits(session, contract_ids, rollovers, ledger)
    granted = []
    for due in found:
        renewed = RenewedGrant(due.benefit.mapping, _grant_key(due), _new_credit(due))
        credit_id = await grant_benefit(
            session,
            renewed.mapping,
            renewed.credit,
            renewed.key,
            context,
            ledger,
            cause=Cause.RENEWED,
            reason=RENEWAL_REASON.format(due.key),
        )
        granted.append((due, credit_id))
        if rollover := rollovers.get(due.benefit.name):
            await roll_over(session, renewed, rollover, context, ledger)
    return granted


def _due_of_contract(
    contract: ContractRow,
    benefits: Sequence[PlanBenefit],
    clock: LocationClock,
    today: date,
    last_granted: Mapping[tuple[int, str], datetime],
    since: date | None,
) -> Iterator[DueRenewal]:
    """The periods to grant. Periods skipped by a pause are not granted later (rule 27)."""
    term, zone = contract.term, clock.zone
    started, pause = local_date(term.starts, zone), term.pause
    ended = local_date(term.ends, zone) if term.ends else None
    for benefit in benefits:
        last = last_granted.get((contract.id, benefit.name))
        periods = periods_due(
            benefit.renewal,
            started,
            today,
            billing_day=contract.billing_day or None,
            first_day=since or today,
            last_granted=local_date(last, zone) if last else None,
            ended=ended,
        )
        for period in periods:
            if pause is None or not pause.covers_day(period.starts, zone):
                yield DueRenewal(contract, benefit, period, clock)


def _current_periods(
    contracts: Sequence[ContractRow],
    benefits: Mapping[int, Sequence[PlanBenefit]],
    clocks: Mapping[int, LocationClock],
    now: datetime,
) -> dict[str, dict[datetime, list[int]]]:
    """The contracts, by each benefit's name and the start of its current period.

    Nothing is due on a contract that was granted these: the next periods begin later.
    """
    found: dict[str, dict[datetime, list[int]]] = defaultdict(lambda: defaultdict(list))
    same_periods: dict[tuple[int, int, datetime, int | None], list[list[int]]] = {}
    for contract in contracts:
        terms = (contract.tariff_id, contract.issued_by_id, contract.starts, contract.billing_day)
        members = same_periods.get(terms)
        if members is None:
            zone = clocks.get(contract.issued_by_id, DEFAULT_CLOCK).zone
            started = local_date(contract.starts, zone)
            today = max(local_date(now, zone), started)
            members = same_periods[terms] = []
            for benefit in benefits.get(contract.tariff_id, ()):
                period = renewal_period(benefit.renewal, today, started, contract.billing_day or None)
                members.append(found[benefit.name][period.valid_from(zone)])
        for each in members:
            each.append(contract.id)
    return found


async def _load_last_granted(session: ReadSession, contract_ids: Sequence[int]) -> dict[tuple[int, str], datetime]:
    """The start of the last period granted, by contract and benefit name."""
    last: dict[tuple[int, str], datetime] = {}
    for contract_id, benefit, starts in await load_granted_periods(session, contract_ids):
        known = last.get((contract_id, benefit))
        if known is None or known < starts:
            last[contract_id, benefit] = starts
    return last


def _grant_key(due: DueRenewal) -> GrantKey:
    starts = due.period.valid_from(due.clock.zone)
    return GrantKey(due.key, due.contract.id, due.benefit.name, starts)


def _new_credit(due: DueRenewal) -> NewCredit:
    values = {
        "CoworkerId": due.contract.coworker_id,
        "BusinessId": due.contract.issued_by_id,
        "CoworkerContractUniqueId": due.contract.unique_id,
        "ValidFrom": due.period.valid_from(due.clock.zone),
        "ExpireDate": due.period.expires(due.clock.zone),
    }
    funding = Funding(FundingKind.PLAN, None, f"contract/{due.contract.id}")
    return NewCredit(due.amount, {**values, **due.benefit.credit_values}, funding=funding)
