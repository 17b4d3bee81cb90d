"""The footer of a report: the data behind it, and whether its closing amounts match the stored ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from hashlib import sha256

from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.periods import Moment
from creditdesk.reports.result import ReportFooter, label
from creditdesk.reports.values import ReportEntry
from creditdesk.schema.conversions import format_datetime


def report_footer(view: LedgerView, variance: Mapping[str, Decimal], notes: Iterable[str] = ()) -> ReportFooter:
    """The footer of a report over the credits of a view. `variance` is by unit."""
    request = view.request
    newest = _newest_entries(view) if view.journal is None else []
    return ReportFooter(
        period=describe_period(request.starts, request.ends),
        locations=view.report_locations(),
        known_as_of=view.known_as_of,
        # Sequences count from 1.
        entries=view.journal.entries if view.journal else sum(entry.sequence for entry in newest),
        heads_digest=view.journal.digest if view.journal else _heads_digest(newest),
        checkpoint=view.checkpoint.number if view.checkpoint else None,
        checkpoint_root=view.checkpoint.root if view.checkpoint else "",
        variance=tuple(sorted(variance.items())),
        notes=(*view.notes, *notes),
    )


def describe_period(starts: Moment | None, ends: Moment | None) -> str:
    """The period as text, such as `2026-10-01 to 2026-10-31`: local dates if dates were given, else instants in UTC."""
    first = label("the beginning") if starts is None else _format_moment(starts)
    last = label("now") if ends is None else _format_moment(ends)
    return label(f"{first} to {last}")


def _format_moment(moment: Moment) -> str:
    return format_datetime(moment) if isinstance(moment, datetime) else moment.isoformat()


def _newest_entries(view: LedgerView) -> list[ReportEntry]:
    """Each credit's newest entry by the end of the report, in order of the credits."""
    found = (history.newest(view.ends(history.credit, view.request.ends).entries_before) for history in view.histories)
    return [entry for entry in found if entry is not None]


def _heads_digest(entries: Iterable[ReportEntry]) -> str:
    """SHA-256 over one line `kind/id/sequence/digest` for each entry."""
    digest = sha256()
    for entry in entries:
        kind, credit_id = entry.account
        digest.update(f"{kind.value}/{credit_id}/{entry.sequence}/{entry.digest}\n".encode())
    return digest.hexdigest()
