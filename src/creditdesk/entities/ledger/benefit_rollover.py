"""Declares `BenefitRollover`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Money, Text


class BenefitRollover(Entity, area="ledger", plural="benefitrollovers", public=False, unique=(("Benefit",),)):
    """How much unused credit of a plan's benefit rolls over when it renews (rule 27).

    Without a record, nothing rolls over. `Benefit` is the benefit part of a grant's key, such as `money/3`.
    `Cap` is the maximum at one renewal, in ten-thousandths or whole uses; `Periods` is the number of
    renewals.
    """

    Benefit = Text(exact=True, nullable=False)
    Cap = Money(nullable=False)
    Periods = Integer(nullable=False)
