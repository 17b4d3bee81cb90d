"""Traces by OpenTelemetry: a span for each request, sent to a collector by OTLP over HTTP (extra `otel`)."""

from __future__ import annotations

from time import time_ns
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from creditdesk.telemetry.request_record import RequestRecord

EXPORT_SECONDS: Final = 5
"""How long the collector may take for a batch of spans, in seconds; a thread waits for it."""


class RequestTracer:
    """Creates a span for each finished request.

    The span belongs to the trace of the client's `traceparent` and follows its sampling decision. Attributes have the
    names of OpenTelemetry's conventions; none is a path, a user name or an amount.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("creditdesk")
        self._propagator = TraceContextTextMapPropagator()

    def __call__(self, method: str, record: RequestRecord, seconds: float) -> None:
        """Takes a request that has ended."""
        end = time_ns()
        parent = self._propagator.extract({"traceparent": record.trace_parent}) if record.trace_parent else None
        span = self._tracer.start_span(
            f"{method} {record.route}",
            context=parent,
            kind=SpanKind.SERVER,
            start_time=end - int(seconds * 1e9),
            attributes={
                "http.request.method": method,
                "http.route": record.route,
                "http.response.status_code": record.status,
                "creditdesk.request_id": record.request_id.decode(),
                "creditdesk.database_seconds": record.database_seconds,
                "creditdesk.batch_size": record.batch,
            },
        )
        if record.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def close(self) -> None:
        """Sends pending spans, for a few seconds at most."""
        self._provider.shutdown()


def open_tracer(endpoint: str) -> RequestTracer:
    """A tracer that sends to this URL, such as `http://127.0.0.1:4318/v1/traces`."""
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "creditdesk"}))
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return RequestTracer(provider)
