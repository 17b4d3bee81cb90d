"""What a changed booking keeps of credits that are outside their window now (rule 25)."""

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
    """The credits, with what each paid for the source before whatever its window now (rule 25).

    Outside its window a credit pays that much again and no more.
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
