"""The totals that a report about locations adds up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from creditdesk.reports.credit_totals import NO_TOTALS, GroupKey, Totals
from creditdesk.reports.values import BEGINNING, Cut, ReportCredit


@dataclass(frozen=True, slots=True)
class PeriodTotals:
    """The totals of every location of a report at the cuts that it needs.

    `credits` has, for each group, a credit that stands for all of it. `first_date` is the local date of the
    first entry, where the report begins with it.
    """

    first_date: date | None
    credits: Mapping[GroupKey, ReportCredit]
    at: Mapping[int, Mapping[Cut, Mapping[GroupKey, Totals]]]

    def totals(self, key: GroupKey, cut: Cut) -> Totals:
        """The totals of a group at a cut of its location; nothing before the beginning."""
        if cut.entries_before == BEGINNING:
            return NO_TOTALS
        return self.at[key.business_id][cut].get(key, NO_TOTALS)
