"""What a grant was given for (rule 35) and why it was written (rule 36), on both engines."""

from __future__ import annotations

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.rules.funding import Funding, FundingKind
from tests.ledger.test_product_benefits import add_product, add_sale
from tests.ledger.test_renewals import add_contract, run_due_renewals
from tests.support.ledger_builder import LedgerBuilder, money


async def test_rule_36_benefits_name_where_they_come_from(ledger: LedgerBuilder) -> None:
    await add_contract(ledger)
    await run_due_renewals(ledger)
    await add_sale(ledger, await add_product(ledger), Activated=True)
    renewed, bought = [credit["Id"] for credit in await ledger.find(CoworkerBookingCredit)]
    for credit, cause in ((renewed, "renewed"), (bought, "purchased")):
        assert [line["Cause"] for line in await ledger.journal_lines("money", credit)] == [cause]


async def funding_of(ledger: LedgerBuilder) -> list[tuple[str, str, int | None, str | None]]:
    return [
        (state["CreditKind"], state["Funding"], state["PricePaid"], state["SourceDocument"])
        for state in await ledger.find(AccountState)
    ]


async def test_rule_35_benefits_of_plans_and_products_say_how_they_were_funded(ledger: LedgerBuilder) -> None:
    contract = await add_contract(ledger)
    await run_due_renewals(ledger)
    product = await add_product(ledger)
    bought = await add_sale(ledger, product, Activated=True, Price=money("90.00"))
    free = await add_sale(ledger, product, Activated=True, Price=0)
    unpriced = await add_sale(ledger, product, Activated=True)
    found = await funding_of(ledger)
    assert [each for each in found if each[0] == "money"] == [
        ("money", "plan", None, f"contract/{contract}"),
        ("money", "paid", None, f"sale/{bought}"),
        ("money", "goodwill", None, f"sale/{free}"),
        ("money", "unknown", None, f"sale/{unpriced}"),
    ]
    assert {kind for _, kind, _, _ in found} == {"plan", "paid", "goodwill", "unknown"}


def test_rule_35_a_part_of_a_grant_has_its_part_of_the_price() -> None:
    bought = Funding(FundingKind.PAID, 100_0000, "sale/1")
    assert bought.part(1, 3) == Funding(FundingKind.PAID, 33_3333, "sale/1")
    assert Funding(FundingKind.PLAN).part(1, 3) == Funding(FundingKind.PLAN)
    assert bought.part(5, 0) == bought
