"""A span for each request, sent to a collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from creditdesk.telemetry.request_record import RequestRecord
from creditdesk.telemetry.tracing import open_tracer

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Collector(HTTPServer):
    """Keeps the spans that it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def record(status: int, trace_parent: str | None) -> RequestRecord:
    made = RequestRecord(b"17", trace_parent)
    made.route, made.status, made.batch = "/api/ledger/spends", status, 3
    return made


def test_spans_reach_the_collector_in_the_trace_of_the_client(collector: Collector) -> None:
    tracer = open_tracer(f"http://127.0.0.1:{collector.server_port}/v1/traces")
    tracer("POST", record(200, f"00-{TRACE}-{PARENT}-01"), 0.25)
    tracer("POST", record(503, None), 0.5)
    tracer("POST", record(200, f"00-{TRACE}-{PARENT}-00"), 0.5)
    tracer.close()
    joined, failed = collector.spans
    assert (joined.name, joined.trace_id.hex(), joined.parent_span_id.hex()) == (
        "POST /api/ledger/spends",
        TRACE,
        PARENT,
    )
    assert joined.end_time_unix_nano - joined.start_time_unix_nano == 250_000_000
    values = {each.key: each.value for each in joined.attributes}
    assert values["http.response.status_code"].int_value == 200
    assert values["creditdesk.batch_size"].int_value == 3
    assert failed.trace_id.hex() != TRACE
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
