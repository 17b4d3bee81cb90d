"""Logs and metrics of a server and its workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from creditdesk.cli.companions import companion
from creditdesk.cli.database_metrics import DatabaseMetrics
from creditdesk.cli.output import CliError, echo
from creditdesk.cli.ports import free_port
from creditdesk.settings import LogSettings, MetricsSettings, Settings
from creditdesk.telemetry.exposition import serve_metrics
from creditdesk.telemetry.metrics import count_in
from creditdesk.telemetry.request_log import RequestLog
from creditdesk.telemetry.request_record import RequestRecord

FOLDER_VARIABLE: Final = "_CREDITDESK_METRICS_FOLDER"
"""Names the folder in which the processes of a server count. The underscore sets it apart from settings."""


@contextmanager
def served_metrics(url: str, settings: MetricsSettings) -> Iterator[None]:
    """Serves `/metrics` during the block if the settings name a port; counts the processes started in the block.

    Raises CliError if the port is in use.
    """
    os.environ.pop(FOLDER_VARIABLE, None)
    if not settings.port:
        yield
        return
    free_port(settings.host, settings.port, option="metrics.port")
    with TemporaryDirectory(prefix="creditdesk-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        with companion("metrics", run_metrics, url, settings.host, settings.port, folder):
            echo(f"Metrics: http://{settings.host}:{settings.port}/metrics")
            yield


def run_metrics(url: str, host: str, port: int, folder: str) -> None:
    """Serves `/metrics` until the process ends."""
    database = DatabaseMetrics(url)
    database.start()
    serve_metrics(host, port, Path(folder), database.families).join()


def count_for_server() -> None:
    """Makes this process count for the server's metrics, if it serves any."""
    if folder := os.environ.get(FOLDER_VARIABLE):
        count_in(Path(folder))


def logs_as_text(settings: LogSettings) -> bool:
    return settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())


class _ClosableListener(Protocol):
    def __call__(self, method: str, record: RequestRecord, seconds: float) -> None: ...

    def close(self) -> None: ...


def _open_tracer(endpoint: str) -> _ClosableListener:
    try:
        from creditdesk.telemetry.tracing import open_tracer  # noqa: PLC0415 - its packages are an extra
    except ImportError:
        raise CliError("Traces need more packages. Run: pip install 'creditdesk[otel]'") from None
    return open_tracer(endpoint)


class RequestListeners:
    """The listeners of a worker's requests: the log on standard error and the tracer, as the settings say.

    Raises CliError if the settings ask for traces and the extra `otel` is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._open: list[_ClosableListener] = []
        if settings.log.requests:
            self._open.append(RequestLog(sys.stderr.fileno(), as_text=logs_as_text(settings.log)))
        if settings.traces.endpoint:
            self._open.append(_open_tracer(settings.traces.endpoint))

    def __call__(self, method: str, record: RequestRecord, seconds: float) -> None:
        for each in self._open:
            each(method, record, seconds)

    def close(self) -> None:
        """Writes and sends pending data."""
        for each in self._open:
            each.close()
