"""Lets a changed booking keep payments of credits that are no longer valid (rule 25)."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Credit, CreditKey, Source
from creditdesk.ledger.rules.eligibility import in_validity_window
from creditdesk.settings import LedgerSettings


def with_kept_payments(
    credits_: Iterable[Credit],
    source: Source,
    kept: Mapping[CreditKey, Amount],
    settings: LedgerSettings,
    now: datetime,
) -> tuple[Credit, ...]:
    """The credits, each able to pay again what it paid for the source before, even if it is no longer valid (rule 25).

    A credit that is no longer valid can pay no more than that.
    """
    return tuple(
        replace(
            credit,
            valid_from=None,
            expires=None,
            remaining=min(credit.remaining, credit.held + kept[credit.key]),
        )
        if credit.key in kept and not in_validity_window(credit, source, settings, now)
        else credit
        for credit in credits_
    )
