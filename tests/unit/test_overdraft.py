"""The overdraft of printing credit is used last, and only for print jobs (rule 33)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from creditdesk.ledger.journal.invariants import (
    AccountBalances,
    InvariantViolation,
    check_invariants,
)
from creditdesk.ledger.rules.burn_down import Allocation, allocate
from creditdesk.ledger.rules.credit import (
    Credit,
    CreditLimits,
    CreditType,
    Customer,
    Rate,
    Source,
    SourceKind,
    TeamSharing,
)
from creditdesk.ledger.rules.units import ChargePeriod
from creditdesk.settings import LedgerSettings

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
EURO = 1_0000
MEMBER = Customer(7, teams=(TeamSharing(4, shares_extra_services=True),))


def printing(number: int, uses: int, overdraft: int = 0, **changes: Any) -> Credit:
    credit = Credit(
        CreditType.PRINTING, number, 7, 3, "EUR", uses, datetime(2026, 1, 1, tzinfo=UTC),
        limits=CreditLimits(), rate=Rate(9, ChargePeriod.USES), overdraft=overdraft,
    )  # fmt: skip
    return replace(credit, **changes)


def job(units: int, number: int = 1) -> Source:
    return Source(
        SourceKind.PRINT_JOB, number, 7, 3, "EUR", units * EURO // 100, print_units=units
    )  # fmt: skip


def printed(*jobs: Source, credits_: list[Credit]) -> Allocation:
    return allocate(jobs, credits_, MEMBER, LedgerSettings(), NOW)


def taken(allocation: Allocation) -> dict[str, int]:
    return {str(key): amount for key, amount in allocation.taken_by_credit().items()}


def test_print_job_uses_the_overdraft_up_to_its_limit() -> None:
    assert taken(printed(job(30), credits_=[printing(1, 10, 20)])) == {"printing/1": 30}
    assert taken(printed(job(31), credits_=[printing(1, 10, 20)])) == {}
    assert taken(printed(job(5), credits_=[printing(1, -15, 20)])) == {"printing/1": 5}
    assert taken(printed(job(6), credits_=[printing(1, -15, 20)])) == {}


def test_balances_are_used_before_any_overdraft() -> None:
    credits_ = [printing(1, 10, 50), printing(2, 100)]

    assert taken(printed(job(30), credits_=credits_)) == {"printing/1": 10, "printing/2": 20}
    assert taken(printed(job(120), credits_=credits_)) == {"printing/1": 20, "printing/2": 100}


def test_overdraft_is_last_over_several_jobs() -> None:
    credits_ = [printing(1, 10, 50), printing(2, 15)]

    found = printed(job(20, 1), job(20, 2), credits_=credits_)

    assert taken(found) == {"printing/1": 25, "printing/2": 15}
    assert found.exact


def test_part_includes_balance_and_overdraft() -> None:
    (part,) = printed(job(30), credits_=[printing(1, 10, 20)]).sources[0].parts

    assert (part.taken, part.covered, part.total_units) == (30, 30 * EURO // 100, 30)


def test_holds_may_use_the_overdraft() -> None:
    assert taken(printed(job(15), credits_=[printing(1, 10, 20, held=15)])) == {"printing/1": 15}
    assert taken(printed(job(16), credits_=[printing(1, 10, 20, held=15)])) == {}


def test_member_cap_includes_the_overdraft() -> None:
    shared = printing(1, 10, 50, customer_id=8, team_id=4, member_cap_left=20)

    assert taken(printed(job(20), credits_=[shared])) == {"printing/1": 20}
    assert taken(printed(job(21), credits_=[shared])) == {}


@pytest.mark.parametrize("kind", [CreditType.TIME, CreditType.MONEY])
def test_only_printing_credit_has_an_overdraft(kind: CreditType) -> None:
    credit = printing(1, 0, 50, kind=kind)

    assert (credit.unreserved, credit.available_without_overdraft, credit.available) == (0, 0, 0)


@given(st.integers(-20, 20), st.integers(0, 20), st.integers(0, 30), st.integers(0, 40))
def test_available_amount_includes_the_overdraft(remaining: int, held: int, overdraft: int, cap: int) -> None:
    for credit in (
        printing(1, remaining, overdraft, held=held),
        printing(1, remaining, overdraft, held=held, member_cap_left=cap),
    ):
        assert 0 <= credit.available_without_overdraft <= credit.available <= max(0, remaining - held + overdraft)
        assert credit.available_without_overdraft == min(credit.available, max(0, remaining - held))


def test_invariants_allow_the_overdraft_limit() -> None:
    check_invariants(AccountBalances(-5, 0, 10, 3, overdraft=5), "credit 1")
    check_invariants(AccountBalances(0, 5, 10, 3, overdraft=5), "credit 1")
    for wrong in (
        AccountBalances(-6, 0, 10, 3, overdraft=5),
        AccountBalances(0, 6, 10, 3, overdraft=5),
        AccountBalances(-1, 0, 10, 3),
        AccountBalances(11, 0, 10, 3, overdraft=5),
    ):
        with pytest.raises(InvariantViolation):
            check_invariants(wrong, "credit 1")
