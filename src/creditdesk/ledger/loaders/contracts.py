"""Contracts: the plans that customers are on."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.ledger.loaders.rows import Flag, UniqueRow, find_rows
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.repository import Finder, WriteSession


class ContractRow(UniqueRow, frozen=True, gc=False):
    """A customer's contract on a plan, and the dates its periods follow from."""

    entity = CoworkerContract

    coworker_id: int | None
    issued_by_id: int
    tariff_id: int
    active: Flag
    cancelled: Flag
    start_date: datetime | None
    cancellation_date: datetime | None
    billing_day: int | None


class PricedContract(ContractRow, frozen=True, gc=False):
    """A contract with its price, or that of its plan."""

    price: Amount | None
    tariff_price: Amount | None
    tariff_currency_code: str | None


async def lock_contracts(session: WriteSession, contract_ids: Collection[int]) -> None:
    """Locks contracts in id order, so that each is renewed by one session at a time."""
    await session.lock(CoworkerContract, sorted(contract_ids), ("Id",))


async def load_active_contracts(finder: Finder, contract_ids: Collection[int] | None = None) -> list[ContractRow]:
    """The active contracts by Id; only those of `contract_ids`, where given."""
    named = {} if contract_ids is None else {"Id": tuple(contract_ids)}
    return await find_rows(finder, ContractRow, Active=True, **named)


async def load_main_contracts(finder: Finder, customer_id: int) -> list[ContractRow]:
    """The active main contracts of a customer, by Id."""
    return await find_rows(finder, ContractRow, CoworkerId=customer_id, Active=True, MainContract=True)
