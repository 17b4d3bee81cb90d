"""Every step in order, and which schemas this program serves."""

from __future__ import annotations

from typing import Final

from creditdesk.storage.migrations import (
    audit_retention,
    booking_numbers,
    cache_revision,
    contract_states,
    counter_columns,
    credit_funding,
    credit_grants,
    daily_totals,
    field_defaults,
    hold_decisions,
    import_batches,
    initial,
    internal_tables,
    job_requests,
    job_results,
    journal_facts,
    link_requests,
    logins,
    member_sessions,
    period_locks,
    printing_overdraft,
    replaced_indexes,
    report_tables,
    row_counters,
    saved_report_terms,
    saved_views,
    text_indexes,
)
from creditdesk.storage.migrations.step import Migration, StepKind

MIGRATIONS: Final[tuple[Migration, ...]] = (
    *initial.MIGRATIONS,
    *printing_overdraft.MIGRATIONS,
    *row_counters.MIGRATIONS,
    *internal_tables.MIGRATIONS,
    *field_defaults.MIGRATIONS,
    *counter_columns.MIGRATIONS,
    *cache_revision.MIGRATIONS,
    *logins.MIGRATIONS,
    *journal_facts.MIGRATIONS,
    *credit_funding.MIGRATIONS,
    *period_locks.MIGRATIONS,
    *text_indexes.MIGRATIONS,
    *hold_decisions.MIGRATIONS,
    *contract_states.MIGRATIONS,
    *report_tables.MIGRATIONS,
    *credit_grants.MIGRATIONS,
    *booking_numbers.MIGRATIONS,
    *report_tables.LATER_MIGRATIONS,
    *job_results.MIGRATIONS,
    *member_sessions.MIGRATIONS,
    *daily_totals.MIGRATIONS,
    *job_requests.MIGRATIONS,
    *saved_views.MIGRATIONS,
    *link_requests.MIGRATIONS,
    *saved_report_terms.MIGRATIONS,
    *audit_retention.MIGRATIONS,
    *import_batches.MIGRATIONS,
    *replaced_indexes.MIGRATIONS,
)
"""Every step in order."""

LATEST_VERSION: Final = MIGRATIONS[-1].number
"""The newest schema that this program knows."""

OLDEST_VERSION: Final = max(each.number for each in MIGRATIONS if each.kind is StepKind.EXPAND)
"""The oldest schema that this program serves: contract steps that follow its last expand step may be pending."""
