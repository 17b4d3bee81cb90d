"""Hostile and valid calls over every operation of the API: `python -m tests.support.fuzz --calls 100000`.

Calls follow from the OpenAPI document and a seed. Ids are those of existing records, or no ids at all;
values are as the schema has them, or odd: edges of numbers and of the calendar, wrong types, bytes that
are no text. No answer may be a 5xx.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote

import httpx

from creditdesk.api.openapi import openapi_document
from creditdesk.api.routes import Api
from creditdesk.app import build_context
from creditdesk.audit.verify import verify_ledger
from creditdesk.demo.load import load_demo
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.schema.entity import entity_by_name
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from creditdesk.storage.engine import open_store
from tests.support.progress import CollectingReporter
from tests.support.users import create_user_token, http_client

METHODS: Final = ("get", "post", "put", "delete")
CALLS_BETWEEN_LOOKUPS: Final = 500
DEMO_USES, DEMO_SEED = 80, 3
SLOWEST_SECONDS: Final = 60.0
"""Far above what a call takes on a busy machine; what takes longer works on input without a bound."""
_STALLED_SECONDS: Final = 5 * 60
INSTANTS: Final = (
    "2026-12-01T09:00:00Z", "2026-12-01T10:00:00Z", "2027-03-28T01:30:00Z", "2026-11-28T09:00",
    "2024-02-29T23:59:59.999999Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1899-12-31T23:59:59Z",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-12:00", "9998-12-31T00:00:00Z", "1970-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-13-01", "24:00", "tomorrow", "", " ",
)  # fmt: skip
NUMBERS: Final = (
    0, 1, -1, 2, 12.5, 0.0001, 0.00001, 1e-30, 1e15, 1e18, 1e300, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    -(2**63), 10**40, -0.0, "1", "1_000", "٣", "NaN", "Infinity", "1e400", "0x10", "1e-400", "1" * 400,
)  # fmt: skip
TEXTS: Final = (
    "", " ", "Ada", "a" * 300, "x" * 100_001, "\x00", "a\x00b", "\ud800", "’„ß", "日本語", "😀" * 50, "%_\\", "'; --",
    "null", "notnull", "[1,2]", "true", "<script>", "\u202e", "\r\nX: y",
)  # fmt: skip
ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"Id": 1},
    [1, "x", None],
    {"Data": [{"Name": "n"}]},
    *TEXTS,
)
RAW_BODIES: Final = (
    b"", b"{", b"[]", b"null", b'"x"', b"[" * 2000, b"\xff\xfe{}", b'{"Id": 1, "Id": 2}', b'{"a": NaN}', b"\x00",
    b'{"Id": 1e999}', b"a=1&b=2", b"%ff=%00", b"{" * 100_000, b'{"CoworkerId": 1, "Sources": [{}]}',
)  # fmt: skip
CONTENT_TYPES: Final = (
    "application/json", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "text/plain",
    "multipart/form-data; boundary=x", "", "\xff",
)  # fmt: skip


@dataclass
class FuzzReport:
    """Answers by status, and the calls that failed; each is reported as it comes."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    on_failure: Callable[[str], None] = lambda _: None

    @property
    def calls(self) -> int:
        return sum(self.statuses.values())

    def fail(self, failure: str) -> None:
        self.failures.append(failure)
        self.on_failure(failure)


@dataclass(frozen=True)
class FuzzRequest:
    """One request, as it can be repeated."""

    method: str
    path: str
    query: str
    body: bytes | None
    headers: Mapping[str, str]

    def __str__(self) -> str:
        shown = "" if self.body is None else f" {self.body[:600]!r}"
        return f"{self.method.upper()} {self.path}?{self.query[:300]}{shown} {dict(self.headers)}"


class RequestGenerator:
    """Makes calls from the OpenAPI document; `ids` holds the ids of records by entity name."""

    def __init__(self, document: Mapping[str, Any], random: Random) -> None:
        self._document = document
        self._random = random
        self.ids: dict[str, list[int]] = {}
        self._operations = [
            (method, path, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if method in METHODS
        ]

    def next_call(self) -> FuzzRequest:
        random = self._random
        method, path, operation = random.choice(self._operations)
        hostility = random.choice((0.0, 0.0, 0.02, 0.1, 0.4))
        if random.random() < 0.02:
            method = random.choice((*METHODS, "patch"))
        url = self._path(path, hostility)
        query = self._query(operation, hostility)
        headers = {}
        if random.random() < 0.1:
            headers["Idempotency-Key"] = random.choice(("a", "b", "k" * 300, " ", f"{random.random()}"))
        body = None
        if "requestBody" in operation:
            body = self._body(operation, path, hostility)
            is_odd = random.random() < hostility / 4
            headers["Content-Type"] = random.choice(CONTENT_TYPES) if is_odd else next(iter(_media(operation)))
        return FuzzRequest(method, url, query, body, headers)

    def _path(self, path: str, hostility: float) -> str:
        name = next((e.__name__ for e in PUBLIC_ENTITIES if path.startswith(f"{e.path()}/")), "")
        if "{id}" not in path:
            return path.upper() if self._random.random() < hostility / 10 else path
        if self._random.random() < hostility:
            odd = self._random.choice((*NUMBERS, *TEXTS[:12]))
            return path.replace("{id}", quote(str(odd)[:50], errors="replace"))
        return path.replace("{id}", str(self._id(name)))

    def _query(self, operation: Mapping[str, Any], hostility: float) -> str:
        declared = [self._resolve(each) for each in operation.get("parameters", ())]
        known = [each for each in declared if each["in"] == "query"]
        chosen = self._random.sample(known, min(len(known), self._random.choice((0, 0, 1, 2, 6))))
        chosen += [each for each in known if each.get("required") and self._random.random() > hostility]
        pairs = []
        for each in chosen:
            value = self._value(each["schema"], each["name"], hostility)
            text = value if isinstance(value, str) else json.dumps(value)
            pairs.append(f"{quote(each['name'])}={quote(text[:2000], errors='surrogatepass')}")
        if self._random.random() < hostility:
            pairs.append(self._random.choice(("%00=1", "a", "&&", "=%ff", "orderBy=%00", "page=-1&size=0", "dir=x")))
        return "&".join(pairs)

    def _body(self, operation: Mapping[str, Any], path: str, hostility: float) -> bytes:
        if self._random.random() < hostility / 4:
            return self._random.choice(RAW_BODIES)
        content = next(iter(_media(operation).values()))
        value = self._value(content["schema"], path, hostility)
        if next(iter(_media(operation))) != "application/json":
            fields = value if isinstance(value, dict) else {}
            return "&".join(f"{quote(k)}={quote(str(v), errors='replace')}" for k, v in fields.items()).encode()
        return json.dumps(value, allow_nan=True).encode(errors="surrogatepass")

    def _value(self, schema: Mapping[str, Any], name: str, hostility: float) -> Any:
        """A value of the schema, with odd ones in between."""
        random, schema = self._random, self._resolve(schema)
        if random.random() < hostility:
            return random.choice((*ODD, *NUMBERS, *INSTANTS))
        if "anyOf" in schema:
            return self._value(random.choice(schema["anyOf"]), name, hostility)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return random.choice(schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = random.choice(kind)
        match kind:
            case "object":
                return self._object(schema, name, hostility)
            case "array":
                count = random.choice((0, 1, 1, 2, 3))
                return [self._value(schema["items"], name, hostility) for _ in range(count)]
            case "boolean":
                return random.random() < 0.5
            case "integer":
                return self._integer(name)
            case "number":
                return random.choice((0, 1, 5, 12.5, 0.0001, 99.99, 1000))
            case "string":
                return self._text(schema)
        return None

    def _object(self, schema: Mapping[str, Any], name: str, hostility: float) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        left_out = self._random.choice((0.2, 0.8, 1.0))
        return {
            each: self._value(of, each, hostility)
            for each, of in schema.get("properties", {}).items()
            if (each in required and self._random.random() >= hostility) or self._random.random() > left_out
        }

    def _integer(self, name: str) -> int:
        related = name.removeprefix("Added").removeprefix("Removed").removesuffix("Id")
        entity = next((e for e in self.ids if e in (related, related.removesuffix("s"))), "")
        entity = _RELATED.get(related, entity)
        if name == "Id" or not entity:
            return self._random.choice((1, 1, 2, 3, 5, 10, 60, 0))
        return self._id(entity)

    def _id(self, entity: str) -> int:
        known = self.ids.get(entity) or [1, 2, 3]
        return self._random.choice(known) if self._random.random() < 0.95 else self._random.choice((0, 10**9, 2**62))

    def _text(self, schema: Mapping[str, Any]) -> str:
        match schema.get("format"):
            case "date-time":
                return self._random.choice(INSTANTS[:14])
            case "uuid":
                return "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
        return self._random.choice(("Ada", "x", "ada@example.com", "2", "[1,2]", f"t{self._random.random()}"))

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            found: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema


_RELATED: Final = {
    "IssuedBy": "Business", "PayingMember": "Coworker", "TeamMember": "Coworker", "Businesses": "Business",
    "EventCategories": "CalendarEventCategory", "ElegibleResourceTypes": "ResourceType",
    "ElegibleProducts": "Product", "ElegibleTariffs": "Tariff", "ElegiblePasses": "TimePass",
}  # fmt: skip


def _media(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    content: Mapping[str, Any] = operation["requestBody"]["content"]
    return content


async def fuzz(
    store: Store,
    calls: int,
    seed: int,
    on_progress: Callable[[FuzzReport], None] = lambda _: None,
    on_failure: Callable[[str], None] = lambda _: None,
) -> FuzzReport:
    """Sends that many calls to an application over the store, which should hold some records."""
    context = build_context(store, Settings())
    api = Api(context)
    generator = RequestGenerator(openapi_document(context.entities, context.extra_routes), Random(seed))
    report = FuzzReport(on_failure=on_failure)
    token = ""
    for number in range(calls):
        if number % CALLS_BETWEEN_LOOKUPS == 0:
            generator.ids = await _known_ids(store)
            on_progress(report)
        if not token:
            token = await create_user_token(store, f"fuzz{seed}-{number}@example.com", lifetime_days=400)
        call = generator.next_call()
        started = time.monotonic()
        async with http_client(api, token) as client:
            response = await _send(client, call)
        seconds = time.monotonic() - started
        if response is None:
            continue
        report.statuses[response.status_code] += 1
        if response.status_code == 401:
            # Some call has deactivated the user, or ended its session.
            token = ""
        if response.status_code >= 500:
            report.fail(f"call {number}: {response.status_code} {response.text[:200]} for {call}")
        elif seconds > SLOWEST_SECONDS:
            report.fail(f"call {number}: {response.status_code} after {seconds:.0f} s for {call}")
    on_progress(report)
    return report


async def _send(client: httpx.AsyncClient, call: FuzzRequest) -> httpx.Response | None:
    """The answer; None for a call that the client itself cannot put into a request."""
    with suppress(httpx.InvalidURL, UnicodeEncodeError):
        request = client.build_request(
            call.method.upper(), f"{call.path}?{call.query}", content=call.body, headers=dict(call.headers)
        )
        return await client.send(request)
    return None


async def _known_ids(store: Store) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    async with store.read_session() as session:
        for name in sorted(entity.__name__ for entity in PUBLIC_ENTITIES):
            records = await session.find(entity_by_name(name), limit=40, columns=("Id",))
            found[name] = [record["Id"] for record in records]
    return found


async def _run(url: str, calls: int, seed: int) -> FuzzReport:
    started = time.monotonic()

    def show(report: FuzzReport) -> None:
        seconds = time.monotonic() - started
        print(f"{report.calls:7} calls in {seconds:6.0f} s, {len(report.failures)} failures", flush=True)
        # Until the next lookup; a call that never ends shows where it is.
        faulthandler.dump_traceback_later(_STALLED_SECONDS, repeat=True)

    store = await open_store(url, migrated=True)
    try:
        await load_demo(store, DEMO_USES, DEMO_SEED, NullReporter())
        report = await fuzz(store, calls, seed, show, lambda failure: print(failure, flush=True))
        findings = CollectingReporter()
        await verify_ledger(store, findings)
        for problem in findings.problems:
            report.fail(problem)
        return report
    finally:
        faulthandler.cancel_dump_traceback_later()
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", help="URL of an empty database; a SQLite file that is removed, by default")
    options = parser.parse_args()
    logging.getLogger("creditdesk.api").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{Path(folder) / 'fuzz.db'}"
        report = asyncio.run(_run(url, options.calls, options.seed))
    print(dict(sorted(report.statuses.items())))
    raise SystemExit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
