"""Reversal of a use: how much comes back, and whether it is re-issued (rule 30)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from creditdesk.ledger.rules.credit import CreditKey, CreditType
from creditdesk.ledger.rules.reversal import (
    ReturnPlan,
    ReversalExceedsUse,
    ReversibleUse,
    plan_return,
    reversal_amount,
)

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
MONEY = CreditKey(CreditType.MONEY, 1)
TIME = CreditKey(CreditType.TIME, 2)
USE = ReversibleUse(id=9, credit=MONEY, taken=100)


@pytest.mark.parametrize(
    ("reversed_", "requested", "amount"),
    [(0, None, 100), (30, None, 70), (100, None, 0), (30, 70, 70), (30, 1, 1), (100, 0, 0)],
)
def test_rule_30_reversal_is_limited_to_the_unreversed_amount(
    reversed_: int, requested: int | None, amount: int
) -> None:
    assert reversal_amount(replace(USE, reversed=reversed_), requested) == amount


@pytest.mark.parametrize(("reversed_", "requested"), [(0, 101), (30, 71), (100, 1)])
def test_rule_30_larger_reversal_is_rejected(reversed_: int, requested: int) -> None:
    with pytest.raises(ReversalExceedsUse, match=f"exceeds the 0.0{100 - reversed_:03} of use #9"):
        reversal_amount(replace(USE, reversed=reversed_), requested)


def test_rule_30_negative_reversal_is_rejected() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        reversal_amount(USE, -1)


def test_rule_30_return_keeps_credit_and_expiry() -> None:
    tomorrow = NOW + timedelta(days=1)

    assert plan_return(MONEY, tomorrow, 5, NOW) == ReturnPlan(MONEY, 5, False, tomorrow)
    assert plan_return(MONEY, tomorrow, 5, NOW, 7) == ReturnPlan(MONEY, 5, False, tomorrow)
    assert plan_return(MONEY, None, 5, NOW, 7) == ReturnPlan(MONEY, 5, False, None)


def test_rule_30_return_to_expired_credit_is_reissued_only_with_grace() -> None:
    assert plan_return(MONEY, NOW, 5, NOW) == ReturnPlan(MONEY, 5, False, NOW)
    assert plan_return(MONEY, NOW, 5, NOW, 1) == ReturnPlan(MONEY, 5, True, NOW + timedelta(days=1))
    assert plan_return(MONEY, NOW, 1, NOW, 14) == ReturnPlan(MONEY, 1, True, NOW + timedelta(days=14))
    assert plan_return(MONEY, NOW, 0, NOW, 14) == ReturnPlan(MONEY, 0, False, NOW)
    assert plan_return(MONEY, NOW, 5, NOW, -1) == ReturnPlan(MONEY, 5, False, NOW)
