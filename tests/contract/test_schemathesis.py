"""The OpenAPI document against the application: every response matches it.

Schemathesis makes the calls as the administrator and judges the answers; the application runs in
this process, on a loop of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import NonFatalError, ScenarioFinished

from creditdesk.app import build_app
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.schema.entity import BASE_FIELDS, Entity
from creditdesk.schema.fields import DateTime, Reference
from creditdesk.settings import Settings
from creditdesk.storage.engine import open_store
from tests.support.record_builder import NOW, RecordBuilder
from tests.support.users import create_user_token

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance",
)  # fmt: skip
PHASES = ("examples", "coverage", "fuzzing", "stateful")


class CrossLoopApp:
    """An ASGI application whose requests run on the event loop of its store."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.app, self.loop = app, loop

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        sent: list[Any] = []

        async def whole() -> None:
            async def given() -> Any:
                return {"type": "http.request", "body": body, "more_body": False}

            async def take(message: Any) -> None:
                sent.append(message)

            await self.app(scope, given, take)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(whole(), self.loop))
        for message in sent:
            await send(message)


@contextmanager
def running_app() -> Iterator[tuple[CrossLoopApp, str]]:
    """The application with one record of every entity, and an administrator's token."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    def finish(work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, loop)
        return future.result(60)

    async def start() -> tuple[Any, str, Any]:
        store = await open_store("sqlite:///:memory:", migrated=True)
        builder = RecordBuilder(store)
        for entity in PUBLIC_ENTITIES:
            await builder.create(entity, **always_present_schema(entity))
        return (
            store,
            await create_user_token(store, "root@example.com"),
            build_app(store, Settings()),
        )

    store, token, app = finish(start())
    try:
        yield CrossLoopApp(app, loop), token
    finally:
        finish(store.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def always_present_schema(entity: type[Entity]) -> dict[str, Any]:
    """Values for fields that are never null and that the builder leaves out."""
    values: dict[str, Any] = {}
    if entity is JournalLine:
        # Texts of which the ledger knows a few.
        values |= {"CreditKind": AccountType.MONEY.value, "Kind": EntryType.USE.value}
    for column in entity.meta().stored_columns:
        if column.name in BASE_FIELDS or column.field.nullable or column.field.required:
            continue
        if isinstance(column.field, Reference) and not column.field.is_local:
            values[column.name] = 3
        if isinstance(column.field, DateTime):
            values[column.name] = NOW
    return values


def run_schemathesis(phase: str, examples: int, paths: str = ".") -> list[str]:
    """The failures of one phase on the matching paths, one line each."""
    with running_app() as (app, token):
        config = SchemathesisConfig.from_dict(
            {
                "color": False,
                "seed": 1,
                "headers": {"Authorization": f"Bearer {token}"},
                "continue-on-failure": True,
                "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
                "phases": {name: {"enabled": name == phase} for name in PHASES},
                "generation": {"max-examples": examples, "deterministic": True},
            }
        )
        document = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
        schema = document.include(path_regex=paths)
        wrong: list[str] = []
        for event in from_schema(schema).execute():
            if isinstance(event, NonFatalError):
                wrong.append(f"{event.label}: {event.value!r}")
            if isinstance(event, ScenarioFinished) and event.status is Status.FAILURE:
                for case_id, checks in event.recorder.checks.items():
                    call = event.recorder.cases[case_id].value.as_curl_command()
                    wrong += [
                        f"{check.name}: {call}\n{check.failure_info.failure.message[:300]}"
                        for check in checks
                        if check.failure_info is not None
                    ]
        return wrong


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("phase", "examples", "paths"),
    [
        ("examples", 1, "."),
        ("coverage", 1, "token|auth|utils|extraserviceusehistories|resourcetypes"),
        ("fuzzing", 1, "."),
        ("stateful", 3, "."),
    ],
    ids=PHASES,
)
def test_responses_match_the_document(phase: str, examples: int, paths: str) -> None:
    """Coverage sends hundreds of requests per operation, so it runs on few of them here."""
    wrong = run_schemathesis(phase, examples, paths)
    assert not wrong, f"{len(wrong)} findings\n" + "\n\n".join(wrong[:20])


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("phase", PHASES)
def test_responses_match_the_document_slow(phase: str) -> None:
    wrong = run_schemathesis(phase, 100)
    assert not wrong, f"{len(wrong)} findings\n" + "\n\n".join(wrong[:20])
