"""An application that answers the same bytes to every request, on the server that creditdesk runs on."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.server import free_port, running_process
from creditdesk.cli.serve import http_server
from creditdesk.settings import Settings

_ANSWER_VARIABLE: Final = "BENCHMARK_ANSWER"
_OF_THE_SERVER: Final = ("date", "server", "connection")
"""Headers that the server adds by itself."""


@contextmanager
def running_empty_application(answer: HTTPResponse, body: bytes, workers: int, folder: Path) -> Iterator[int]:
    """Runs it during the block, over the same server with as many workers; its port."""
    kept = {
        "status": answer.status,
        "headers": [pair for pair in answer.getheaders() if pair[0].lower() not in _OF_THE_SERVER],
        "body": base64.b64encode(body).decode(),
    }
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.empty_application", str(port), str(workers)]
    environment = {_ANSWER_VARIABLE: json.dumps(kept)}
    with running_process(command, port, folder / "empty.log", ready="/", environment=environment):
        yield port


def application() -> ASGIApp:
    """What each worker runs."""
    kept = json.loads(os.environ[_ANSWER_VARIABLE])
    headers = [(name.lower().encode(), value.encode()) for name, value in kept["headers"]]
    start = {"type": "http.response.start", "status": kept["status"], "headers": headers}
    end = {"type": "http.response.body", "body": base64.b64decode(kept["body"])}

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send(start)
            await send(end)

    return answer


def main() -> int:
    port, workers = (int(word) for word in sys.argv[1:])
    http_server("benchmarks.empty_application:application", "127.0.0.1", port, workers, Settings()).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
