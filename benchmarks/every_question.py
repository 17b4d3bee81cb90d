"""Every documented question beside the best plain SQL for it, statement against statement.

`python -m benchmarks.every_question` runs each question of benchmarks/questions.py as the server does, as
plain SQL over joined tables, and as plain SQL over the columns that a row holds, in alternating rounds on one
connection, and takes the least processor time of each; of questions below the target, over four measurements.
All three must find the same records in the same order.
It prints the distribution of ratios and the worst questions with the plans of their statements, and writes
benchmarks/results/questions.md.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any, Final

import asyncpg

from benchmarks.engines import MeasuredEngine
from benchmarks.page import Section, page_parser, write_page
from benchmarks.questions import ENTITIES, ListQuestion, draw_questions
from benchmarks.report import markdown
from benchmarks.scenarios import JoinedQueries, NaiveQueries
from benchmarks.seeding import SeedData
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.engine import open_store
from creditdesk.storage.fragments import BoundStatement
from creditdesk.storage.queries import Statements
from creditdesk.storage.role_settings import ROLE_SETTINGS
from creditdesk.storage.session import fetch_first_rows
from creditdesk.storage.sqlite import open_connection

LEAST_MILLISECONDS: Final = 0.2
"""Times below count as this much: no client sees the difference."""

WORST: Final = 10
TARGET_MEDIAN: Final = 1.0
TARGET_WORST: Final = 0.7
_ROUNDS: Final = 3
_LONG_MILLISECONDS: Final = 500
"""A form of a question that takes longer is run once."""

_REPEATS: Final = 3
"""How often a question below the target is measured again: what counts is the least time of each side."""


class Connection:
    """One connection of either engine."""

    def __init__(self, engine: str, raw: Any) -> None:
        self.engine = engine
        self._raw = raw

    def clock(self) -> int:
        """Nanoseconds of processor time of the engine: free of what else the machine does meanwhile."""
        if self.engine == "sqlite":
            return time.process_time_ns()
        return int(Path(f"/proc/{self._raw.get_server_pid()}/schedstat").read_text().split()[0])

    async def fetch(self, text: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        if self.engine == "sqlite":
            rows: list[Any] = self._raw.execute(text, values).fetchall()
            return rows
        found: Sequence[Sequence[Any]] = await self._raw.fetch(text, *values)
        return found

    async def plan(self, statement: BoundStatement) -> str:
        """The plan that the server executes: on PostgreSQL the generic one, which knows no values."""
        if self.engine == "sqlite":
            rows = await self.fetch(f"EXPLAIN QUERY PLAN {statement.text}", statement.values)
            return "\n".join(str(row[3]) for row in rows)
        await self._raw.execute(f"PREPARE explained AS {statement.text}")
        values = f"({', '.join('NULL' for _ in statement.values)})" if statement.values else ""
        rows = await self.fetch(f"EXPLAIN (COSTS OFF) EXECUTE explained{values}", ())
        await self._raw.execute("DEALLOCATE explained")
        return "\n".join(str(row[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class Answer:
    """The processor time of a question in milliseconds, as the server runs it and as the better plain SQL."""

    question: ListQuestion
    total: int
    ours: float
    plain: float
    plan: str

    @property
    def ratio(self) -> float:
        return max(self.plain, LEAST_MILLISECONDS) / max(self.ours, LEAST_MILLISECONDS)


def main() -> int:
    parser = page_parser("every_question", __doc__, "questions.md")
    parser.add_argument("--seed", type=int, default=1, help="chooses values and combinations")
    parser.add_argument("--most", type=int, default=0, help="questions for each list, drawn by seed; 0 is all")
    options = parser.parse_args()

    def measure(engine: MeasuredEngine, _seeded: SeedData, _folder: Path) -> Section:
        answers = asyncio.run(_measure(engine, options.seed, options.most))
        return Section(_summary(answers), min(answer.ratio for answer in answers) < TARGET_WORST)

    return write_page(options, "Questions", __doc__, f", seed {options.seed}.", measure)


async def _measure(engine: MeasuredEngine, seed: int, most: int) -> list[Answer]:
    store = await open_store(engine.url, migrated=True)
    try:
        drawn = [(entity, await draw_questions(store, entity, seed)) for entity in ENTITIES]
    finally:
        await store.close()
    answers: list[Answer] = []
    plain = (JoinedQueries(engine.dialect), NaiveQueries(engine.dialect))
    async with _connected(engine) as connection:
        for entity, questions in drawn:
            chosen = Random(seed).sample(questions, most) if 0 < most < len(questions) else questions
            print(f"{engine.name}: {len(chosen)} of {len(questions)} questions about {entity.plural}", flush=True)
            answers += [await _settled_answer(connection, each, Statements(engine.dialect), plain) for each in chosen]
    return answers


@asynccontextmanager
async def _connected(engine: MeasuredEngine) -> AsyncIterator[Connection]:
    """A connection with the settings of the server."""
    if engine.name == "sqlite":
        file: sqlite3.Connection = open_connection(engine.url.removeprefix("sqlite:///"))
        try:
            yield Connection(engine.name, file)
        finally:
            file.close()
        return
    settings = {**ROLE_SETTINGS, "max_parallel_workers_per_gather": "0"}
    server = await asyncpg.connect(engine.url, server_settings=settings)
    try:
        yield Connection(engine.name, server)
    finally:
        await server.close()


async def _settled_answer(
    connection: Connection, question: ListQuestion, ours: Statements, plain: Sequence[Statements]
) -> Answer:
    """The answer to a question; of one below the target, the least times of several measurements."""
    answer = await _answer(connection, question, ours, plain)
    for _ in range(_REPEATS):
        if answer.ratio >= TARGET_WORST:
            break
        again = await _answer(connection, question, ours, plain)
        answer = replace(answer, ours=min(answer.ours, again.ours), plain=min(answer.plain, again.plain))
    return answer


async def _answer(
    connection: Connection, question: ListQuestion, ours: Statements, plain: Sequence[Statements]
) -> Answer:
    """Runs a question in every form. Raises RuntimeError where totals or pages differ."""
    forms = (ours, *plain)
    best = [float("inf")] * len(forms)
    pages: set[tuple[Any, ...]] = set()
    plan = ""
    for number in range(_ROUNDS + 1):
        for position, form in enumerate(forms):
            if number and _LONG_MILLISECONDS < best[position] < float("inf"):
                continue
            is_ours = position == 0
            started = connection.clock()
            found = await fetch_first_rows(form, connection.fetch, question.query, 0)
            took = (connection.clock() - started) / 1e6
            pages.add(_page_ids(ours.dialect if is_ours else None, *found) if found else (0,))
            if is_ours and not number:
                plan = await connection.plan(found[0]) if found else "The probe found no rows."
            # The first round plans the statements and fills the caches.
            if number or took > _LONG_MILLISECONDS:
                best[position] = min(best[position], took)
    if len(pages) != 1:
        raise RuntimeError(f"{question.text}: total and page {pages}")
    return Answer(question, pages.pop()[0], best[0], min(best[1:]), plan)


def _page_ids(packed_by: Dialect | None, statement: BoundStatement, rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """The total and the ids of a page, whose rows the dialect may have packed; they follow the total."""
    total, position = rows[0][0], statement.decoder.names.index("Id")
    if not total:
        return (total,)
    if packed_by is None:
        return (total, *(row[1 + position] for row in rows))
    return (total, *(row[position] for row in packed_by.unpack_rows(rows, 1)))


def _summary(answers: Sequence[Answer]) -> list[str]:
    """Distribution of the ratios by kind of question, and the worst questions with their plans."""
    kinds: dict[str, list[float]] = {}
    for each in answers:
        kinds.setdefault(each.question.kind, []).append(each.ratio)
    rows = [
        (kind, str(len(ratios)), *_distribution(ratios))
        for kind, ratios in [*kinds.items(), ("**all**", [each.ratio for each in answers])]
    ]
    lines = [
        f"Ratio: plain SQL's time over ours; more is better. Targets: median {TARGET_MEDIAN}, worst {TARGET_WORST}.", "",
        *markdown(("kind", "questions", "worst", "lowest tenth", "median", "highest tenth"), rows),
        "", "The worst questions:", "",
    ]  # fmt: skip
    worst = sorted(answers, key=lambda each: each.ratio)[:WORST]
    lines += markdown(
        ("ratio", "ours ms", "plain ms", "records", "question"),
        [(f"{w.ratio:.2f}", f"{w.ours:.2f}", f"{w.plain:.2f}", f"{w.total:,}", f"`{w.question.text}`") for w in worst],
    )
    for each in worst:
        lines += ["", f"`{each.question.text}`", "", "```", each.plan, "```"]
    return lines


def _distribution(ratios: Sequence[float]) -> tuple[str, ...]:
    tenths = quantiles(ratios, n=10) if len(ratios) > 1 else [ratios[0]] * 9
    return tuple(f"{value:.2f}" for value in (min(ratios), tenths[0], median(ratios), tenths[-1]))


if __name__ == "__main__":
    sys.exit(main())
