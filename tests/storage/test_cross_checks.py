"""Questions that compare every record with others, on both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.schema.cross_checks import Counterpart, Newest, Pairing
from creditdesk.schema.entity import Entity
from creditdesk.schema.grouped_sums import InstantsPassed, Lookup
from creditdesk.schema.query import Filter, where
from creditdesk.schema.repository import Store
from creditdesk.storage.codecs import to_microseconds
from tests.storage.storage_contract import insert_rows, with_ids

NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def add_states(store: Store, *rows: dict[str, Any]) -> list[int]:
    base = {"CreditKind": "money", "CreditId": 1, "Digest": ""}
    return await insert_rows(store, AccountState, *(base | row for row in rows))


async def add_grants(store: Store, *rows: dict[str, Any]) -> Filter:
    base = {"Benefit": "money/1", "CreditKind": "money", "CreditId": 1, "ContractId": 1, "PeriodStart": NOW}
    stamp = to_microseconds(datetime.now(UTC))
    keyed = ({"Key": f"{stamp}/{number}"} | base | row for number, row in enumerate(rows))
    return with_ids(BenefitGrant, await insert_rows(store, BenefitGrant, *keyed))


def newest_grant(ours: Filter, value: str) -> Newest:
    return Newest(
        BenefitGrant, (ours, *where(BenefitGrant, Benefit="money/1")), "ContractId", ("PeriodStart", "Id"), value
    )


async def test_find_unequal_compares_with_the_newest_value(store: Store) -> None:
    equal, differs, without, unknown = await add_states(
        store, {"PricePaid": 3}, {"PricePaid": 3}, {"PricePaid": 0}, {"PricePaid": None}
    )
    hour = timedelta(hours=1)
    ours = await add_grants(
        store,
        {"ContractId": equal, "CreditId": 6, "PeriodStart": NOW},
        {"ContractId": equal, "CreditId": 9, "PeriodStart": NOW - hour},
        {"ContractId": equal, "CreditId": 9, "PeriodStart": NOW + hour, "Benefit": "time/1"},
        {"ContractId": differs, "CreditId": 6, "PeriodStart": NOW - hour},
        {"ContractId": differs, "CreditId": 7, "PeriodStart": NOW},
        {"ContractId": unknown, "CreditId": 7},
    )
    states = with_ids(AccountState, [equal, differs, without, unknown])
    async with store.read_session() as session:
        newest = newest_grant(ours, "CreditId")
        for of_most in (False, True):
            found = await session.find_unequal(AccountState, "PricePaid", newest, (states,), scale=2, of_most=of_most)
            assert found == [differs]


async def test_find_unmatched_pairs_every_column(store: Store) -> None:
    matched, later, other = await add_states(
        store, {"ExpirySwept": NOW}, {"ExpirySwept": NOW + timedelta(days=1)}, {"ExpirySwept": NOW}
    )
    ours = await add_grants(
        store, {"ContractId": 2 * matched + 1}, {"ContractId": 2 * later + 1}, {"ContractId": 2 * other}
    )
    pairings = (Pairing("ContractId", "Id", 2, 1), Pairing("PeriodStart", "ExpirySwept"))
    states = (with_ids(AccountState, [matched, later, other]),)
    async with store.read_session() as session:
        counterpart = Counterpart(BenefitGrant, pairings, (ours,))
        assert await session.find_unmatched(AccountState, counterpart, states) == [later, other]
        assert await session.find_unmatched(AccountState, counterpart, states, limit=1) == [later]
        none = Counterpart(BenefitGrant, pairings, (ours, *where(BenefitGrant, Benefit="time/1")))
        assert await session.find_unmatched(AccountState, none, states) == [matched, later, other]


async def test_find_repeated_returns_every_record_of_a_group(store: Store) -> None:
    rows = ((1, "A"), (1, "a"), (2, "A"), (2, None), (2, None))
    ids = await add_states(store, *({"CreditId": number, "SourceDocument": text} for number, text in rows))
    entity: type[Entity] = AccountState
    async with store.read_session() as session:
        found = await session.find_repeated(entity, ("CreditId", "SourceDocument"), (with_ids(entity, ids),))
    assert found == ids[:2], "texts are compared without case, and nulls are not equal"


async def test_values_before_an_instant_follow_the_keys(store: Store) -> None:
    hour = timedelta(hours=1)
    ours = await add_grants(
        store,
        {"ContractId": 41, "CreditId": 5, "PeriodStart": NOW},
        {"ContractId": 41, "CreditId": 6, "PeriodStart": NOW + hour},
        {"ContractId": 42, "CreditId": 7, "PeriodStart": NOW},
    )
    later = NOW + timedelta(microseconds=1)
    keys = [(42, later), (41, NOW), (41, later), (43, later), (41, NOW + 2 * hour), (42, later)]
    async with store.read_session() as session:
        assert await session.values_before(newest_grant(ours, "CreditId"), keys) == [7, 0, 5, 0, 6, 7]
        assert await session.values_before(newest_grant(ours, "CreditId"), []) == []


async def test_find_grouped_collects_the_values_of_each_group(store: Store) -> None:
    later = NOW + timedelta(hours=1)
    ours = await add_grants(
        store, {"ContractId": 41}, {"ContractId": 42}, {"ContractId": 43, "PeriodStart": later}, {"Benefit": "time/1"}
    )
    async with store.read_session() as session:
        filters = (ours, *where(BenefitGrant, Benefit="money/1"))
        found = await session.find_grouped(BenefitGrant, "PeriodStart", "ContractId", filters)
        assert {start: sorted(ids) for start, ids in found.items()} == {NOW: [41, 42], later: [43]}
        assert await session.find_grouped(BenefitGrant, "PeriodStart", "ContractId", where(BenefitGrant, Id=0)) == {}


async def test_sum_grouped_adds_up_by_columns_lookups_and_times(store: Store) -> None:
    hour = timedelta(hours=1)
    first, second, third, other = await add_states(
        store,
        {"PricePaid": 5, "Funding": "paid", "ExpirySwept": NOW},
        {"PricePaid": 7, "Funding": "paid", "ExpirySwept": NOW - hour},
        {"PricePaid": 11, "Funding": "plan", "ExpirySwept": NOW + timedelta(microseconds=1)},
        {"PricePaid": 13, "Funding": "plan", "ExpirySwept": None},
    )
    await add_grants(
        store,
        {"CreditId": 2 * first + 1, "Benefit": "seen", "ContractId": 41},
        {"CreditId": 2 * third + 1, "Benefit": "seen", "ContractId": 43},
    )
    states = (with_ids(AccountState, [first, second, third, other]),)
    async with store.read_session() as session:
        by_funding = await session.sum_grouped(AccountState, ["PricePaid", "CreditId"], ["Funding"], states)
        assert sorted(by_funding) == [(("paid",), (12, 2), 2), (("plan",), (24, 2), 2)]
        benefit = Lookup(BenefitGrant, Pairing("CreditId", "Id", 2, 1), "Benefit")
        looked_up = await session.sum_grouped(AccountState, ["PricePaid"], [benefit], states)
        assert sorted(looked_up, key=repr) == [(("seen",), (16,), 2), ((None,), (20,), 2)]
        contract = replace(benefit, value="ContractId")
        added = await session.sum_grouped(AccountState, [contract, "PricePaid"], [benefit, "Funding"], states)
        assert sorted(added, key=repr) == [
            (("seen", "paid"), (41, 5), 1), (("seen", "plan"), (43, 11), 1),
            ((None, "paid"), (0, 7), 1), ((None, "plan"), (0, 13), 1),
        ]  # fmt: skip
        passed = InstantsPassed("ExpirySwept", (NOW - 2 * hour, NOW, NOW + hour))
        timed = await session.sum_grouped(AccountState, ["PricePaid"], ["Funding", passed], states)
        assert sorted(timed, key=repr) == [
            (("paid", 1), (12,), 2), (("plan", 2), (11,), 1), (("plan", None), (13,), 1),
        ]  # fmt: skip
        assert await session.sum_grouped(AccountState, ["PricePaid"], ["Funding"], where(AccountState, Id=0)) == []
