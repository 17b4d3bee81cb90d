"""Declares `BenefitRollOver`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Money, Text


class BenefitRollover(
    Entity, area="ledger", plural="benefitrollovers", public=False, unique=(("Benefit",),)
):
    """That what is left of a plan's benefit lives on when it renews (rule 27); without it, none.

    `Benefit` is as a grant's key names it, such as `money/3`. `Cap` is the most that lives on at
    one renewal, with four decimals, uses are whole; `Periods` for how many renewals it does.
    """

    Benefit = Text(exact=True, nullable=False)
    Cap = Money(nullable=False)
    Periods = Integer(nullable=False)
