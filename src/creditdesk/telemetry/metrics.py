"""The metrics of creditdesk, and how they are counted.

Labels take few values: routes, never paths; kinds of errors, never their texts; no users, customers or
credits. `docs/reference/metrics.md` lists all of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from creditdesk.telemetry.slots import ProcessSlots

SLOTS: Final = ProcessSlots()
"""The numbers of this process."""

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SECONDS_SUM: Final = len(SECONDS_BUCKETS) + 1
"""The position of the sum in the numbers of a histogram of seconds, after all buckets."""

SIZE_BUCKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class Metric:
    """A metric with its labels. One thread of a process counts."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = tuple(labels)
        self._places: dict[tuple[str, ...], int] = {}
        METRICS[name] = self

    @property
    def size(self) -> int:
        """The numbers of one series."""
        return 1

    def place(self, *labels: str) -> int:
        """The first place of a series, new or not; it holds until `count_in` is called."""
        place = self._places[labels] = SLOTS.place(self.name, labels, self.size)
        return place

    def forget_places(self) -> None:
        """Forgets the places of all series, because the numbers move to another file."""
        self._places.clear()


METRICS: Final[dict[str, Metric]] = {}
"""Every declared metric by its name."""


class Counter(Metric):
    """A number that only rises."""

    def count(self, *labels: str) -> None:
        place = self._places.get(labels)
        SLOTS.values[self.place(*labels) if place is None else place] += 1


class Gauge(Metric):
    """A number that rises and falls; 0 for a process that has ended."""

    def set(self, value: float, *labels: str) -> None:
        place = self._places.get(labels)
        SLOTS.values[self.place(*labels) if place is None else place] = value

    def add(self, value: float, *labels: str) -> None:
        place = self._places.get(labels)
        SLOTS.values[self.place(*labels) if place is None else place] += value


class Histogram(Metric):
    """Counts values by size: one number for each bucket, one for larger values, and their sum."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        super().__init__(name, meaning, labels)
        self.buckets = tuple(buckets)

    @property
    def size(self) -> int:
        return len(self.buckets) + 2

    def observe(self, value: float, *labels: str) -> None:
        place = self._places.get(labels)
        if place is None:
            place = self.place(*labels)
        values = SLOTS.values
        values[place + bisect_left(self.buckets, value)] += 1
        values[place + len(self.buckets) + 1] += value


def count_in(folder: Path | None) -> None:
    """Counts in files of this folder from now on, or in private memory again."""
    if folder is None:
        SLOTS.close()
    else:
        SLOTS.attach(folder)
    for metric in METRICS.values():
        metric.forget_places()
    for name, labels in SLOTS.known():
        # Resets what a former process left in the same place.
        if isinstance(gauge := METRICS.get(name), Gauge):
            gauge.set(0, *labels)


REQUESTS: Final = Counter(
    "creditdesk_http_requests", "Requests by route and HTTP status.", ("method", "route", "status")
)
REQUEST_SECONDS: Final = Histogram(
    "creditdesk_http_request_seconds",
    "Seconds from the start of a request to the end of its response.",
    ("method", "route"),
    SECONDS_BUCKETS,
)
REQUESTS_IN_PROGRESS: Final = Gauge("creditdesk_http_requests_in_progress", "Requests in progress.")
ERRORS: Final = Counter(
    "creditdesk_errors", "Requests that ended with an error, by its kind; a StateConflict has status 200.", ("kind",)
)
LOG_LINES_DROPPED: Final = Counter(
    "creditdesk_log_lines_dropped", "Lines of the request log that were dropped because their reader was too slow."
)
SIGN_INS: Final = Counter("creditdesk_sign_ins", "Sign-ins with a password, by result.", ("result",))
JOURNAL_ENTRIES: Final = Counter(
    "creditdesk_journal_entries",
    "Committed journal entries by type of credit and of entry: uses, holds, releases, grants, expiries, …",
    ("credit", "type"),
)
CREDITS_CONSIDERED: Final = Counter(
    "creditdesk_credits_considered",
    "Credits that committed spends considered, by the rule that decided on them (`used`, `expired`, …).",
    ("reason",),
)
REPLAYS: Final = Counter(
    "creditdesk_idempotent_replays", "Requests answered with the stored response of their idempotency key."
)
RETRIES: Final = Counter(
    "creditdesk_transaction_retries",
    "Requests that were retried, by cause: `conflict` lost a race, `deferred` found a credit locked, "
    "`alone` was in a batch that failed.",
    ("cause",),
)
BATCH_REQUESTS: Final = Histogram(
    "creditdesk_batch_size", "Requests that shared one transaction of the ledger.", (), SIZE_BUCKETS
)
BATCH_SECONDS: Final = Histogram(
    "creditdesk_batch_seconds", "Duration of one transaction of the ledger.", (), SECONDS_BUCKETS
)
BATCH_WAITING: Final = Gauge("creditdesk_batch_waiting", "Requests that wait for the next transaction of the ledger.")
DATABASE_WAIT_SECONDS: Final = Histogram(
    "creditdesk_database_wait_seconds",
    "Seconds that a request waited for a free connection to PostgreSQL, or to write to SQLite.",
    (),
    SECONDS_BUCKETS,
)
DATABASE_CONNECTS: Final = Counter("creditdesk_database_connects", "Connections opened to PostgreSQL.")
DATABASE_IN_USE: Final = Gauge("creditdesk_database_connections_in_use", "Connections to PostgreSQL in use.")
