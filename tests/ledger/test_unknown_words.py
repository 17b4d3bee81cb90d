"""Words in stored rows that this version does not know: of a newer or older one, or written past the API."""

from __future__ import annotations

from typing import Any

import pytest

from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.storage.sqlite import SQLiteStore
from tests.ledger.test_renewals import add_contract
from tests.support.api_client import CREDITS, USES, ApiClient, charge_item, paid_parts, result_value

REPORTS = ("statement", "liability", "roll-forward", "ageing", "breakage", "utilisation", "activity", "exceptions")


async def execute(store: Any, *statements: str) -> None:
    """Runs statements past the API; `TRIGGERS OFF table` drops what keeps its rows from being updated."""
    is_sqlite = isinstance(store, SQLiteStore)
    for statement in statements:
        text = statement
        if statement.startswith("TRIGGERS OFF "):
            table = statement.removeprefix("TRIGGERS OFF ")
            text = f"DROP TRIGGER IF EXISTS {table}_no_update{'' if is_sqlite else f' ON {table}'}"
        if is_sqlite:
            store.connection.execute(text)
        else:
            async with store.pool.acquire() as connection:
                await connection.execute(text)


async def universal_credit(api: ApiClient, total: str) -> int:
    return await api.create_credit(total, IsUniversalCredit=True)


async def set_terms(api: ApiClient, command: str, credit: int, **terms: str) -> None:
    result_value(await api.run_command(CREDITS, command, [credit], Reason="agreed", **terms))


async def report(api: ApiClient, name: str) -> Any:
    response = await api.http.get(f"/api/reports/{name}", params={"CoworkerId": api.ledger.customer})
    assert response.status_code == 200, (name, response.text)
    return response.json()


async def test_credit_of_an_unknown_funding_is_used_after_free_credit(unverified_api: ApiClient) -> None:
    api = unverified_api
    other, free = await universal_credit(api, "10.00"), await universal_credit(api, "10.00")
    await set_terms(api, "SET_FUNDING", free, Funding="goodwill")
    await execute(api.ledger.store, f"UPDATE account_state SET funding = 'barter' WHERE credit_id = {other}")
    [charge] = await api.preview(charge_item(1, 12))
    assert paid_parts(charge) == [(f"money/{free}", "10.0000"), (f"money/{other}", "2.0000")]
    result_value(await api.spend(charge_item(1, 12)))
    assert (await api.get_balance(other))["Funding"] == "barter"
    for name in REPORTS:
        await report(api, name)
    await set_terms(api, "SET_PRIORITY", other, Priority="7")
    assert (await api.get_balance(other))["Funding"] == "barter"
    assert any("barter" in problem for problem in await api.verify_problems())


async def test_lines_with_an_unknown_cause_are_read_and_shown(unverified_api: ApiClient) -> None:
    api = unverified_api
    credit = await universal_credit(api, "10.00")
    result_value(await api.spend(charge_item(1, 4)))
    await execute(
        api.ledger.store,
        "TRIGGERS OFF journal_line",
        f"UPDATE journal_line SET cause = 'bartered' WHERE credit_kind = 'money' AND credit_id = {credit}",
    )
    for name in REPORTS:
        await report(api, name)
    assert {line["Cause"] for line in await api.list_journal_lines(credit)} == {"bartered"}
    at = {"At": api.timestamp(hours=1)}
    assert (await api.get_balance(credit, **at))["Remaining"] == "6.0000"
    [use] = await api.list_uses(credit)
    result_value(await api.run_command(USES, "REVERSE_USE", [use["Id"]], Reason="mistaken"))
    assert await api.remaining(credit) == 10
    assert await api.verify_problems() != []


async def test_a_line_of_an_unknown_kind_is_named_by_whatever_reads_it(unverified_api: ApiClient) -> None:
    api = unverified_api
    credit = await universal_credit(api, "10.00")
    [line] = await api.list_journal_lines(credit)
    await execute(
        api.ledger.store,
        "TRIGGERS OFF journal_line",
        f"UPDATE journal_line SET kind = 'barter' WHERE id = {line['Id']}",
    )
    message = f"JournalLine #{line['Id']} has a Kind that this version does not know: 'barter'"
    assert (await report(api, "statement"))["Message"] == message
    balance = await api.http.get(
        "/api/ledger/balances", params={"CoworkerId": api.ledger.customer, "At": api.timestamp(hours=1)}
    )
    assert (balance.status_code, balance.json()["Message"]) == (200, message)
    assert any("is no kind of entry" in problem for problem in await api.verify_problems())


@pytest.mark.parametrize("path", ["/api/ledger/renewals"])
async def test_a_benefit_of_an_unknown_period_is_named(unverified_api: ApiClient, path: str) -> None:
    api = unverified_api
    await add_contract(api.ledger)
    [benefit] = await api.ledger.find(TariffBookingCredit)
    await execute(
        api.ledger.store, f"UPDATE tariff_booking_credit SET service_renewal_time = 77 WHERE id = {benefit['Id']}"
    )
    expected = f"TariffBookingCredit #{benefit['Id']} has a ServiceRenewalTime that this version does not know: 77"
    assert (await api.http.get(path)).json()["Message"] == expected
    assert (await api.post(path)).json()["Message"] == expected
