"""Logs and metrics of a server and its workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from creditdesk.cli.database_metrics import DatabaseMetrics
from creditdesk.cli.output import CliError, echo
from creditdesk.settings import LogSettings, Settings
from creditdesk.telemetry.exposition import serve_metrics
from creditdesk.telemetry.metrics import count_in
from creditdesk.telemetry.request_log import RequestLog

FOLDER_VARIABLE: Final = "_CREDITDESK_METRICS_FOLDER"
"""Names the folder in which workers count. The underscore sets it apart from settings."""


@contextmanager
def served_metrics(url: str, settings: Settings) -> Iterator[None]:
    """Serves `/metrics` during the block, where the settings name a port; workers started in it are counted."""
    os.environ.pop(FOLDER_VARIABLE, None)
    host, port = settings.metrics.host, settings.metrics.port
    if not port:
        yield
        return
    with TemporaryDirectory(prefix="creditdesk-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        count_for_server()
        database = DatabaseMetrics(url)
        try:
            stop = serve_metrics(host, port, Path(folder), database.families)
        except OSError as error:
            raise CliError(f"/metrics cannot listen on port {port} of {host}: {error.strerror}.") from None
        database.start()
        echo(f"Metrics: http://{host}:{port}/metrics")
        try:
            yield
        finally:
            stop()
            database.stop()
            count_in(None)


def count_for_server() -> None:
    """Counts where the server reads, if it serves metrics."""
    if folder := os.environ.get(FOLDER_VARIABLE):
        count_in(Path(folder))


def logs_as_text(settings: LogSettings) -> bool:
    return settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())


def open_request_log(settings: LogSettings) -> RequestLog | None:
    """The request log on standard error, unless it is switched off."""
    if not settings.requests:
        return None
    return RequestLog(sys.stderr.fileno(), as_text=logs_as_text(settings))
