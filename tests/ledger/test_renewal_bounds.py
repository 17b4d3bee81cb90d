"""Renewals with dates at the edges of the calendar, and with more due than one transaction grants (rule 27)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditdesk.api.ledger import renewals as endpoint
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.ledger.jobs import run_benefit_renewals
from creditdesk.ledger.loaders.contracts import load_begun_contracts
from creditdesk.ledger.operations import renewals
from creditdesk.ledger.rules.renewal import ServiceRenewalTime
from creditdesk.schema.repository import Finder
from creditdesk.storage.session import BaseWriteSession
from tests.support.api_client import ApiClient, result_value
from tests.support.ledger_builder import money

RENEWALS = "/api/ledger/renewals"
YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)


async def add_contract(api: ApiClient, starts: datetime, renewal: ServiceRenewalTime = ServiceRenewalTime.DAY) -> int:
    """A contract on a plan with one benefit."""
    plan = await api.create_tariff()
    await api.ledger.add(
        TariffBookingCredit, Name="Rooms", TariffId=plan, Credit=money("30.00"), ServiceRenewalTime=renewal.value,
        CaneBeUsedForBookings=True,
    )  # fmt: skip
    return await api.ledger.add(
        CoworkerContract, IssuedById=api.ledger.business, CoworkerId=api.ledger.customer, TariffId=plan,
        StartDate=starts, BillingDay=31, Quantity=1, Active=True,
    )  # fmt: skip


async def renew(api: ApiClient, **values: Any) -> list[dict[str, Any]]:
    return list(result_value(await api.post(RENEWALS, values)))


def advance(api: ApiClient, days: int) -> None:
    api.clock.advance(days=days)
    api.ledger.now = api.clock()


def days_ago(api: ApiClient, days: int) -> datetime:
    return (api.clock() - timedelta(days=days)).replace(microsecond=0)


async def test_a_contract_of_the_year_1_is_granted_the_period_of_today(api: ApiClient) -> None:
    contracts = [await add_contract(api, YEAR_1, renewal) for renewal in ServiceRenewalTime]
    assert len((await api.get(RENEWALS))["Records"]) == len(contracts)
    granted = await renew(api)
    assert sorted(each["CoworkerContractId"] for each in granted) == contracts
    for each in granted:
        assert each["ValidFrom"] <= api.timestamp() < each["ExpireDate"]
    assert await renew(api) == []


async def test_no_renewals_of_more_than_ten_years_ago(api: ApiClient) -> None:
    await add_contract(api, YEAR_1)
    for since in ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", api.timestamp(days=-3662)):
        for dry_run in (True, False):
            response = await api.post(RENEWALS, {"Since": since, "DryRun": dry_run})
            assert response.status_code == 400
            [error] = response.json()["Errors"]
            assert (error["PropertyName"], error["Message"]) == ("Since", "must not be more than ten years ago")
    assert len((await api.get(RENEWALS))["Records"]) == 1


async def test_benefits_that_begin_in_the_year_9999_are_not_due(api: ApiClient) -> None:
    await add_contract(api, YEAR_1)
    assert await renew(api, Since="9999-12-31T23:59:59Z") == []
    assert len(await renew(api)) == 1
    advance(api, days=2)
    assert len(await renew(api, Since="9999-12-31T23:59:59Z")) == 2


async def test_a_contract_that_starts_later_than_it_did_renews_from_its_new_start(api: ApiClient) -> None:
    contract = await add_contract(api, days_ago(api, 3))
    assert len(await renew(api, Since=api.timestamp(days=-3))) == 4
    advance(api, days=5)
    async with api.ledger.store.write_session() as session:
        await session.update(CoworkerContract, [(contract, {"StartDate": days_ago(api, 1)})])
    granted = await renew(api)
    assert [each["ValidFrom"][:10] for each in granted] == [api.timestamp(days=-1)[:10], api.timestamp()[:10]]


async def test_one_request_grants_the_oldest_periods_up_to_its_bound(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "MAX_GRANTS", 4)
    await add_contract(api, YEAR_1)
    first = await api.post(RENEWALS, {"Since": api.timestamp(days=-5)})
    assert first.json()["Message"] == "4 renewals were granted. More may be due: run it again."
    second = await api.post(RENEWALS)
    assert second.json()["Message"] == "2 renewals were granted."
    starts = [each["ValidFrom"][:10] for answer in (first, second) for each in result_value(answer)]
    assert starts == [api.timestamp(days=-days)[:10] for days in (5, 4, 3, 2, 1, 0)]


async def test_a_run_reads_in_its_transaction_only_the_contracts_that_it_renews(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are looked through before it, so that no write waits for that."""
    renewed: list[Collection[int] | None] = []

    async def recorded(finder: Finder, now: datetime, contract_ids: Collection[int] | None = None) -> Any:
        if isinstance(finder, BaseWriteSession):
            renewed.append(contract_ids)
        return await load_begun_contracts(finder, now, contract_ids)

    monkeypatch.setattr(renewals, "load_begun_contracts", recorded)
    monkeypatch.setattr(endpoint, "MAX_GRANTS", 2)
    contracts = [await add_contract(api, YEAR_1) for _ in range(3)]
    await api.post(RENEWALS, {"DryRun": True})
    assert renewed == []
    assert (await api.post(RENEWALS)).json()["Message"] == "2 renewals were granted. More may be due: run it again."
    assert renewed == [set(contracts[:2])]


async def test_what_is_due_is_listed_in_pages_and_a_dry_run_as_one_run_grants_it(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "MAX_GRANTS", 2)
    contracts = [await add_contract(api, YEAR_1) for _ in range(5)]
    pages = [await api.get(RENEWALS, page=page, size=2) for page in (1, 2, 3, 4)]
    assert [each["CoworkerContractId"] for page in pages for each in page["Records"]] == contracts
    assert [(page["TotalItems"], page["HasNextPage"]) for page in pages] == [
        (5, True),
        (5, True),
        (5, False),
        (5, False),
    ]
    assert (await api.get(RENEWALS, size=50))["PageSize"] == 2
    for query in ("page=0", "size=x"):
        assert (await api.http.get(f"{RENEWALS}?{query}")).status_code == 400
    dry = (await api.post(RENEWALS, {"DryRun": True})).json()
    assert dry["Message"] == "5 renewals are due. One run grants the first 2."
    assert [each["CoworkerContractId"] for each in dry["Value"]] == contracts[:2]
    assert [each["CoworkerContractId"] for each in await renew(api)] == contracts[:2]


async def test_the_job_works_off_one_contract_in_several_transactions(api: ApiClient) -> None:
    ledger = api.ledger
    ledger.now = api.clock()
    await add_contract(api, YEAR_1)
    await add_contract(api, YEAR_1)
    since = (ledger.now - timedelta(days=6)).date()
    jobs = run_benefit_renewals(ledger.store, ledger.request_context(), ledger.context, since=since, batch=3)
    assert [len(batch) async for batch in jobs] == [3, 3, 1, 3, 3, 1]
    credits_ = await ledger.find(CoworkerBookingCredit)
    assert len({(credit["CoworkerContractUniqueId"], credit["ValidFrom"]) for credit in credits_}) == 14
