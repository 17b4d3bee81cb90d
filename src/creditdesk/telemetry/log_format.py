"""Formats log records of the program and its libraries: one JSON object per line, with the id of the request."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.json import Encoder

from creditdesk.telemetry.request_record import current_request

_encode: Final = Encoder().encode


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; the trace of an error is one string in it."""

    def format(self, record: logging.LogRecord) -> str:
        request = current_request.get()
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "event": "log",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request is not None:
            line["id"] = request.request_id.decode()
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def log_configuration(*, as_text: bool) -> dict[str, Any]:
    """A configuration for `logging.config`: warnings and errors of everything, to standard error."""
    formatters = {
        "text": {"format": "[%(levelname)s] %(message)s"},
        "json": {"()": JsonFormatter},
    }
    handler = {
        "class": "logging.StreamHandler",
        "stream": "ext://sys.stderr",
        "formatter": "text" if as_text else "json",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {"errors": handler},
        "loggers": {"_granian": {"handlers": ["errors"], "level": "WARNING", "propagate": False}},
        "root": {"handlers": ["errors"], "level": "WARNING"},
    }
