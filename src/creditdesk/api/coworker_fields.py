"""The computed fields of customers: their teams, contracts and plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from creditdesk.auth.scope import scope_filters
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.schema.computation import ColumnValues
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal, RequestContext

_CONTRACT_COLUMNS: Final = ("Id", "CoworkerId", "Active", "Cancelled", "MainContract", "TariffName", "NextTariffId")


async def coworker_fields(
    session: ReadSession,
    shown: ColumnValues,
    context: RequestContext,
    *,
    in_list: bool,  # noqa: ARG001 - the signature of Computation
) -> ColumnValues:
    """Teams and contracts of customers, and the plan of the main contract. Implements `Computation`.

    A customer without an active contract keeps the plan that it was created with. Leaves out teams and contracts of
    locations that the caller does not see.
    """
    ids = tuple(shown["Id"])
    columns = Coworker.meta().columns
    teams = await session.find(Coworker, [Filter(columns["Id"], Comparison.ONE_OF, ids)], columns=("Id", "Teams"))
    principal = context.principal
    names = await _names(session, Team, {team for record in teams for team in record["Teams"]}, principal)
    team_ids = {record["Id"]: [team for team in record["Teams"] if team in names] for record in teams}
    contracts = await _contracts_by_customer(session, ids, principal)
    plans = await _names(session, Tariff, {plan for plan in shown["TariffId"] if plan}, principal)
    main = [_main_contract(contracts.get(i, ())) for i in ids]
    return {
        "TeamIds": [team_ids.get(i, []) for i in ids],
        "TeamName": [next((names.get(team) for team in team_ids.get(i, ())), None) for i in ids],
        "CoworkerContractIds": [[contract["Id"] for contract in contracts.get(i, ())] for i in ids],
        "TariffName": [
            contract["TariffName"] if contract else plans.get(plan or 0)
            for contract, plan in zip(main, shown["TariffId"], strict=True)
        ],
        "NextTariffId": [contract["NextTariffId"] if contract else None for contract in main],
    }


async def _names(
    session: ReadSession, entity: type[Entity], ids: set[int], principal: Principal
) -> dict[int, str | None]:
    if not ids:
        return {}
    chosen = Filter(entity.meta().columns["Id"], Comparison.ONE_OF, tuple(ids))
    found = await session.find(entity, [chosen, *scope_filters(principal, entity)], columns=("Id", "Name"))
    return {record["Id"]: record["Name"] for record in found}


async def _contracts_by_customer(
    session: ReadSession, ids: Sequence[int], principal: Principal
) -> dict[int, list[Record]]:
    """The contracts of each customer that has any, by Id."""
    chosen = Filter(CoworkerContract.meta().columns["CoworkerId"], Comparison.ONE_OF, tuple(ids))
    found: dict[int, list[Record]] = {}
    filters = [chosen, *scope_filters(principal, CoworkerContract)]
    for contract in await session.find(CoworkerContract, filters, columns=_CONTRACT_COLUMNS):
        found.setdefault(contract["CoworkerId"], []).append(contract)
    return found


def _main_contract(contracts: Sequence[Record]) -> Record | None:
    """The active main contract, else the first active one."""
    active = [contract for contract in contracts if contract["Active"] and not contract["Cancelled"]]
    return next((contract for contract in active if contract["MainContract"]), active[0] if active else None)
