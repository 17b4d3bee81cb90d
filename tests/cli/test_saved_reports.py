"""The commands `saved-report add`, `list` and `remove`."""

from __future__ import annotations

import pytest

from creditdesk.cli.program import FAILED, OK, run
from tests.cli.test_renewals import with_ledger
from tests.support.ledger_builder import LedgerBuilder

Captured = pytest.CaptureFixture[str]


def test_a_saved_report_is_added_listed_and_removed(database: str, capsys: Captured) -> None:
    made: list[tuple[int, int]] = []

    async def remember(ledger: LedgerBuilder) -> None:
        made.append((ledger.business, ledger.customer))

    with_ledger(database, remember)
    [(location, customer)] = made
    words = ["saved-report", "add", "Rooms", "--location", str(location), "--report", "statement", "--format", "csv"]
    further = ["--period", "year-to-date", "--customer", str(customer)]
    assert run([*words, *further, "--database", database]) == OK
    added = capsys.readouterr().out
    assert added.endswith(f"Rooms: statement, year-to-date, location {location}, customer {customer}, csv\n")
    assert run(["saved-report", "list", "--database", database]) == OK
    assert capsys.readouterr().out == added
    by_plan = [
        *words[:2],
        "Time",
        *words[3:5],
        "--report",
        "liability",
        "--format",
        "xlsx",
        "--kind",
        "time",
        "--by",
        "plan",
    ]
    assert run([*by_plan, "--database", database]) == OK
    other = capsys.readouterr().out
    assert other.endswith(f"Time: liability, last-month, location {location}, time credit, by plan, xlsx\n")
    assert run(["saved-report", "remove", other.split()[0], "--database", database]) == OK
    number = added.split()[0]
    assert run(["saved-report", "remove", number, "--database", database]) == OK
    assert run(["saved-report", "remove", number, "--database", database]) == FAILED
    assert capsys.readouterr().err == f"There is no saved report {number}.\n"
    assert run(["saved-report", "list", "--database", database]) == OK
    assert capsys.readouterr().out == ""
    assert run([*words, "--customer", "999", "--database", database]) == FAILED
    words[4] = "998"
    assert run([*words, "--database", database]) == FAILED
    assert capsys.readouterr().err == "There is no customer 999.\nThere is no location 998.\n"
    assert run(["audit", "--limit", "2", "--database", database]) == OK
    assert "SavedReport" in capsys.readouterr().out
