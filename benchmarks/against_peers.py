"""The server beside Django REST framework and PostGraphile, on the same rows of one PostgreSQL.

`python -m benchmarks.against_peers` installs both, pinned, into `.peers`, asks all sides the same questions in
alternating rounds, and writes benchmarks/results/peers.md. Before each measurement all must give the same total.
The peers sign nobody in, and their spend writes neither journal nor hash chain. PostGraphile needs npm.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg

from benchmarks.engines import DEFAULT_WORKERS, MeasuredEngine
from benchmarks.load import HttpRequest, LoadPlan, measure_load
from benchmarks.page import Section, page_parser, write_page
from benchmarks.peers.installation import install_postgraphile, running_drf, running_postgraphile
from benchmarks.report import markdown
from benchmarks.scenarios import USE_ENTITY
from benchmarks.seeding import SeedData
from benchmarks.server import running_server, send_request

ROOM_TARGET: Final = 3.0
"""How many times the rate of the best peer a list by room should reach."""

_NAME: Final = USE_ENTITY.__name__
_STEPS: Final = 10_000
"""Parts of the unit in which the database keeps money."""

_RECORD: Final = """rowId uniqueId createdOn updatedOn updatedBy description creditUsed coworkerBookingCreditId
 bookingId bookingByBookingId { fromTime toTime resourceByResourceId { name } }
 coworkerBookingCreditByCoworkerBookingCreditId { coworkerId description expireDate remainingCredit
 coworkerProductUniqueId tariffBookingCreditByTariffBookingCreditId { name }
 businessByBusinessId { currencyByCurrencyId { code } } }"""


@dataclass(frozen=True, slots=True)
class Case:
    """One question, as each side is asked it; lists have a total."""

    title: str
    requests: Mapping[str, tuple[HttpRequest, ...]]
    target: float = 1.0
    is_list: bool = False


def main() -> int:
    parser = page_parser("against_peers", __doc__, "peers.md")
    parser.set_defaults(engine="postgresql")
    parser.add_argument("--clients", type=int, nargs="+", default=[16, 64], help="concurrent connections")
    parser.add_argument("--seconds", type=float, default=3, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds")
    options = parser.parse_args()

    def measure(engine: MeasuredEngine, seeded: SeedData, folder: Path) -> Section:
        # PostGraphile serves what is there when it starts.
        asyncio.run(_create_spend(engine.url))
        with _running_sides(engine, folder) as ports:
            cases = list(_cases(seeded, asyncio.run(_common_rooms(engine.url))))
            missed, rows = False, []
            for case in cases:
                _check_answers(case, ports, seeded.token)
                for clients in options.clients:
                    rates = _rates(case, ports, seeded.token, folder, clients, options.seconds, options.rounds)
                    ratio = rates["creditdesk"] / max(rate for side, rate in rates.items() if side != "creditdesk")
                    missed = missed or ratio < case.target
                    rows.append((case.title, str(clients), *(f"{rates[side]:,.0f}" for side in ports), f"{ratio:.2f}"))
                    print(rows[-1], flush=True)
        headings = ("question, requests a second", "clients", *ports, "ours ÷ best peer")
        return Section(markdown(headings, rows), missed)

    conditions = f"; list by room: target {ROOM_TARGET:.0f} times the best peer, others 1."
    return write_page(options, "Peers", __doc__, conditions, measure)


@contextmanager
def _running_sides(engine: MeasuredEngine, folder: Path) -> Iterator[dict[str, int]]:
    """The ports of the sides, each with the processes that the server has."""
    workers = DEFAULT_WORKERS[engine.name]
    with ExitStack() as stack:
        ours = stack.enter_context(running_server(engine.url, workers, folder / "server.log"))
        ports = {"creditdesk": ours.port}
        ports["Django REST framework"] = stack.enter_context(running_drf(engine.url, workers, folder / "drf.log"))
        installed = install_postgraphile()
        if installed:
            running = running_postgraphile(installed, engine.url, folder / "postgraphile.log")
            ports["PostGraphile"] = stack.enter_context(running)
        else:
            print("PostGraphile is left out: there is no npm.")
        yield ports


def _cases(seeded: SeedData, rooms: Sequence[str]) -> Iterator[Case]:
    since, until = (_iso(each) for each in (seeded.since, seeded.until))
    dates = {f"from_{_NAME}_CreatedOn": since, f"to_{_NAME}_CreatedOn": until, "orderBy": "CreatedOn", "dir": -1}
    path, ids = USE_ENTITY.path(), seeded.use_ids
    yield Case("room name + amount ≥ 10 + dates, newest first, total", {
        "creditdesk": _gets(path, [
            {f"{_NAME}_Booking_Resource_Name": room, f"from_{_NAME}_CreditUsed": 10, **dates} for room in rooms
        ]),
        "Django REST framework": _gets("/uses/", [
            {"room": room, "least": 10 * _STEPS, "since": since, "until": until, "ordering": "-created_on,-id"}
            for room in rooms
        ]),
        "PostGraphile": _queries(_CONNECTION % "CREATED_ON_DESC", [
            {"f": {
                "bookingByBookingId": {"resourceByResourceId": {"name": {"includesInsensitive": room}}},
                "creditUsed": {"greaterThanOrEqualTo": str(10 * _STEPS)},
                "createdOn": {"greaterThanOrEqualTo": since, "lessThanOrEqualTo": until},
            }}
            for room in rooms
        ]),
    }, ROOM_TARGET, is_list=True)  # fmt: skip
    yield Case("one credit's uses, total", {
        "creditdesk": _gets(path, [{f"{_NAME}_CoworkerBookingCredit": each} for each in seeded.listed_credits]),
        "Django REST framework": _gets("/uses/", [{"credit": each} for each in seeded.listed_credits]),
        "PostGraphile": _queries(_CONNECTION % "PRIMARY_KEY_ASC", [
            {"f": {"coworkerBookingCreditId": {"equalTo": str(each)}}} for each in seeded.listed_credits
        ]),
    }, is_list=True)  # fmt: skip
    yield Case("get by id", {
        "creditdesk": tuple(HttpRequest("GET", f"{path}/{each}") for each in ids),
        "Django REST framework": tuple(HttpRequest("GET", f"/uses/{each}/") for each in ids),
        "PostGraphile": _queries(
            f"query ($id: BigInt!) {{ coworkerBookingCreditUseHistoryByRowId(rowId: $id) {{ {_RECORD} }} }}",
            [{"id": str(each)} for each in ids],
        ),
    })  # fmt: skip
    for title, ours, theirs in (
        (f"spend on {len(seeded.spend_credits):,} credits", seeded.spend_credits, seeded.ceiling_credits),
        ("spend on one hot credit", seeded.spend_credits[:1], seeded.ceiling_credits[:1]),
    ):
        yield Case(title, {
            "creditdesk": _spends(path, ours, "CoworkerBookingCreditId", 0.01),
            "Django REST framework": _spends("/uses/", theirs, "coworker_booking_credit", _STEPS // 100),
            "PostGraphile": _queries(
                "mutation ($c: BigInt!, $a: BigInt!) { peerSpend(input: {credit: $c, amount: $a}) { result } }",
                [{"c": str(each), "a": str(_STEPS // 100)} for each in theirs],
            ),
        })  # fmt: skip


_CONNECTION: Final = f"""query ($f: CoworkerBookingCreditUseHistoryFilter!) {{
 allCoworkerBookingCreditUseHistories(first: 25, orderBy: %s, filter: $f) {{ totalCount nodes {{ {_RECORD} }} }} }}"""


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _gets(path: str, params: Sequence[Mapping[str, Any]]) -> tuple[HttpRequest, ...]:
    return tuple(HttpRequest("GET", f"{path}?{urlencode(each)}") for each in params)


def _queries(text: str, variables: Sequence[Mapping[str, Any]]) -> tuple[HttpRequest, ...]:
    query = " ".join(text.split())
    return tuple(HttpRequest("POST", "/graphql", json.dumps({"query": query, "variables": each})) for each in variables)


def _spends(path: str, credit_ids: range, credit: str, amount: float) -> tuple[HttpRequest, ...]:
    return tuple(HttpRequest("POST", path, json.dumps({credit: each, _SPENT[credit]: amount})) for each in credit_ids)


_SPENT: Final = {"CoworkerBookingCreditId": "CreditUsed", "coworker_booking_credit": "credit_used"}


async def _create_spend(url: str) -> None:
    """Creates the function that PostGraphile serves as a mutation."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_SPEND)
    finally:
        await connection.close()


async def _common_rooms(url: str) -> list[str]:
    """The names of rooms, in order."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT DISTINCT name FROM resource WHERE name IS NOT NULL ORDER BY name")
    finally:
        await connection.close()
    return [row[0] for row in rows]


_SPEND: Final = """CREATE OR REPLACE FUNCTION peer_spend(credit bigint, amount bigint) RETURNS bigint LANGUAGE sql AS $$
WITH drawn AS (
  UPDATE coworker_booking_credit SET remaining_credit = remaining_credit - amount
  WHERE id = credit AND remaining_credit >= amount RETURNING id
)
INSERT INTO coworker_booking_credit_use_history
  (id, coworker_booking_credit_id, credit_used, unique_id, created_on, updated_on)
SELECT nextval('coworker_booking_credit_use_history_ids'), id, amount, gen_random_uuid()::text, now(), now()
FROM drawn RETURNING id $$"""


def _total(side: str, body: bytes) -> int:
    answer = json.loads(body)
    read: dict[str, Callable[[], Any]] = {
        "creditdesk": lambda: answer["TotalItems"],
        "Django REST framework": lambda: answer["count"],
        "PostGraphile": lambda: answer["data"]["allCoworkerBookingCreditUseHistories"]["totalCount"],
    }
    return int(read[side]())


def _check_answers(case: Case, ports: Mapping[str, int], token: str) -> None:
    """Raises RuntimeError where a side refuses the question, or counts differently."""
    for number in range(min(5, len(case.requests["creditdesk"])) if case.is_list else 1):
        totals = {}
        for side, port in ports.items():
            status, body = send_request(port, token, case.requests[side][number])
            if status >= 300 or b'"errors":' in body:
                raise RuntimeError(f"{side} answered {status}: {body[:500]!r}")
            totals[side] = _total(side, body) if case.is_list else 0
        if len(set(totals.values())) != 1:
            raise RuntimeError(f"{case.title}: {totals}")


def _rates(
    case: Case, ports: Mapping[str, int], token: str, folder: Path, clients: int, seconds: float, rounds: int
) -> dict[str, float]:
    """The median rate of each side over alternating rounds. Raises RuntimeError for requests that failed."""
    rates: dict[str, list[float]] = {side: [] for side in ports}
    for _ in range(rounds):
        for side, port in ports.items():
            plan = LoadPlan(case.requests[side], port, token, clients, seconds, idempotency_keys=False, folder=folder)
            sample = measure_load(plan)
            if sample.errors:
                raise RuntimeError(f"{case.title}: {sample.errors} requests to {side} failed")
            rates[side].append(sample.per_second)
    return {side: median(each) for side, each in rates.items()}


if __name__ == "__main__":
    sys.exit(main())
