"""Every command: its output and its exit code."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from creditdesk.cli.program import FAILED, OK, USAGE_ERROR, run

COMMANDS = (
    "serve", "audit", "init", "migrate", "user", "demo", "import", "export", "verify", "renew", "expire",
    "checkpoint", "backup", "drill", "config", "rotate-key", "openapi",
)  # fmt: skip


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a database that does not exist yet, set in the environment."""
    url = f"sqlite:///{tmp_path / 'data' / 'creditdesk.db'}"
    monkeypatch.setenv("CREDITDESK_DATABASE_URL", url)
    return url


Captured = pytest.CaptureFixture[str]


def test_help_lists_every_command(capsys: Captured) -> None:
    assert run(["--help"]) == OK
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f" {name} " not in shown] == []


@pytest.mark.parametrize(
    "command", [*COMMANDS, "user add", "user roles", "user sessions", "user sign-out", "user token"]
)
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    assert run([*command.split(), "--help"]) == OK
    assert "Usage: creditdesk" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bogus"], 'Unknown command "bogus"'),
        (["init"], "--admin"),
        (["demo", "--uses", "0"], "--uses"),
        (["serve", "--port", "700000"], "--port"),
        (["export", "/tmp/x", "--format", "xml"], "--format"),
    ],
)
def test_usage_errors_exit_with_2(arguments: list[str], message: str, capsys: Captured) -> None:
    assert run(arguments) == USAGE_ERROR
    output = capsys.readouterr()
    assert message in output.err
    assert (output.out, "Traceback" in output.err) == ("", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["verify", "--database", "mysql://x"],
            "The database must be sqlite:///path or postgresql://…\n",
        ),
    ],
)
@pytest.mark.usefixtures("database")
def test_failures_exit_with_1_and_one_message(arguments: list[str], message: str, capsys: Captured) -> None:
    assert run(arguments) == FAILED
    assert capsys.readouterr() == ("", message)


def test_database_of_the_settings_file_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    file = tmp_path / "creditdesk.toml"
    file.write_text(f'database = "sqlite:///{tmp_path / "configured.db"}"\n')
    monkeypatch.delenv("CREDITDESK_DATABASE_URL", raising=False)
    monkeypatch.setenv("CREDITDESK_SETTINGS", str(file))
    assert run(["migrate"]) == OK
    assert (tmp_path / "configured.db").exists()
    file.write_text("databse = 1\n")
    capsys.readouterr()
    assert run(["migrate"]) == FAILED
    assert capsys.readouterr().err == "There is no setting databse. Did you mean database?\n"


@pytest.mark.usefixtures("database")
def test_init_is_idempotent_and_creates_every_role(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))
    assert run(["init", "--admin", "boss@x.example", "--password-stdin"]) == OK
    assert "correct horse" not in capsys.readouterr().out
    for _ in range(2):
        assert run(["init", "--admin", "boss@x.example"]) == OK
        assert "was not changed" in capsys.readouterr().out
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM role")]
    connection.close()
    assert len(names) == len(set(names))
    assert {"Booking-List", "Booking-Delete", "Ledger-Read", "Ledger-Spend"} <= set(names)


def test_migrate_creates_missing_roles(database: str) -> None:
    assert run(["migrate"]) == OK
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        roles = connection.execute("SELECT name FROM role ORDER BY name").fetchall()
        assert {("Booking-List",), ("Ledger-Correct",), ("Ledger-Read",)} <= set(roles)
        connection.execute("DELETE FROM role WHERE name IN ('Booking-List', 'Ledger-Read')")
    connection.close()
    for _ in range(2):
        assert run(["migrate"]) == OK
        with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
            assert connection.execute("SELECT name FROM role ORDER BY name").fetchall() == roles
        connection.close()


@pytest.mark.usefixtures("database")
def test_users_and_tokens(capsys: Captured) -> None:
    assert run(["migrate"]) == OK
    assert run(["user", "add", "ann@x.example", "--name", "Ann"]) == OK
    assert "Password: " in capsys.readouterr().out
    assert run(["user", "add", "ann@x.example"]) == FAILED
    assert "already used" in capsys.readouterr().err
    assert run(["user", "token", "ann@x.example"]) == OK
    assert capsys.readouterr().out.count(".") == 2
    assert run(["user", "token", "nobody@x.example"]) == FAILED
    assert capsys.readouterr().err == "There is no user nobody@x.example.\n"
    assert run(["user", "password", "ann@x.example"]) == OK


@pytest.mark.usefixtures("database")
def test_sessions_are_listed_and_ended(capsys: Captured) -> None:
    assert run(["migrate"]) == OK
    assert run(["user", "add", "ann@x.example"]) == OK
    capsys.readouterr()
    assert run(["user", "sessions", "ann@x.example"]) == OK
    assert capsys.readouterr().out == "ann@x.example has no session.\n"
    assert run(["user", "token", "ann@x.example"]) == OK
    capsys.readouterr()
    assert run(["user", "sessions", "ann@x.example"]) == OK
    assert re.fullmatch(r"1  open until \S+Z  ann@x.example \(command line\) since \S+Z\n", capsys.readouterr().out)
    assert run(["user", "sign-out", "ann@x.example"]) == OK
    assert capsys.readouterr().out == "1 session of ann@x.example ended.\n"
    assert run(["user", "sessions", "ann@x.example"]) == OK
    assert "ended by a command" in capsys.readouterr().out


@pytest.mark.usefixtures("database")
def test_user_roles_at_a_location(capsys: Captured) -> None:
    assert run(["demo", "--uses", "12"]) == OK
    assert run(["user", "add", "ann@x.example", "--business", "1"]) == OK
    words = ["user", "roles", "ann@x.example", "--business", "1"]
    capsys.readouterr()
    assert run([*words, "booking-list", "Ledger-Read"]) == OK
    assert capsys.readouterr().out == "ann@x.example has booking-list, Ledger-Read.\n"
    assert run([*words, "Booking-Fly"]) == FAILED
    assert "there is no such role" in capsys.readouterr().err


def test_demo_export_import_verify(database: str, tmp_path: Path, capsys: Captured) -> None:
    assert run(["demo", "--uses", "30", "--seed", "7"]) == OK
    shown = capsys.readouterr().out
    assert "E-mail:   admin@demo.creditdesk.example\nPassword: " in shown
    assert run(["demo", "--uses", "30"]) == FAILED
    assert "already holds records" in capsys.readouterr().err
    assert run(["export", str(tmp_path / "out")]) == OK
    assert run(["export", str(tmp_path / "ledger"), "--format", "beancount"]) == OK
    assert (tmp_path / "ledger" / "credits.beancount").exists()
    assert run(["verify"]) == OK
    assert "every balance agree" in capsys.readouterr().out
    other = ["--database", f"sqlite:///{tmp_path / 'other.db'}"]
    assert run(["migrate", *other]) == OK
    admin = ["--admin", "admin@demo.creditdesk.example"]
    assert run(["import", str(tmp_path / "out"), *admin, *other]) == OK
    assert run(["verify", *other]) == OK
    assert run(["import", str(tmp_path / "nowhere")]) == FAILED
    capsys.readouterr()
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE coworker_booking_credit SET total_credit = total_credit + 1 WHERE id = 1")
    connection.close()
    assert run(["verify"]) == FAILED
    assert capsys.readouterr().out.startswith('total: money credit 1 "Virtual office: monthly credit" of ')


def test_import_with_problems_exits_with_1(database: str, tmp_path: Path, capsys: Captured) -> None:
    assert run(["migrate", "--database", database]) == OK
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bookings.csv").write_text("Id,CoworkerId\n1,99\n", encoding="utf-8")
    capsys.readouterr()
    assert run(["import", str(tmp_path / "in")]) == FAILED
    output = capsys.readouterr()
    assert output.out == "Booking: 1 new, 0 changed, 0 same\nRefused: 0, adjusted: 1, ignored: 0\n"
    assert "Booking.CoworkerId refers to the missing Coworker 99" in output.err


def test_openapi_prints_document(capsys: Captured) -> None:
    assert run(["openapi"]) == OK
    document = json.loads(capsys.readouterr().out)
    assert document["openapi"].startswith("3.1")
    assert "/api/billing/coworkerbookingcreditusehistories" in document["paths"]


def test_serve_prints_address_and_uses_next_port(database: str, capsys: Captured) -> None:
    assert run(["migrate"]) == OK
    command = [sys.executable, "-m", "creditdesk", "serve", "--port-or-next", "--port", "18401"]
    servers = []
    try:
        addresses = []
        for _ in range(2):
            server = subprocess.Popen([*command, "--database", database], stdout=subprocess.PIPE, text=True)
            servers.append(server)
            assert server.stdout is not None
            output = server.stdout.readline()
            found = re.fullmatch(r"creditdesk serves (http://127\.0\.0\.1:\d+)\n", output)
            assert found, output
            addresses.append(found[1])
        assert len(set(addresses)) == 2
        for address in addresses:
            assert _wait_for_status(f"{address}/health") == 200
        port = addresses[0].rpartition(":")[2]
        capsys.readouterr()
        assert run(["serve", "--port", port]) == FAILED
        assert f"Port {port} of 127.0.0.1 is in use" in capsys.readouterr().err
    finally:
        for server in servers:
            server.terminate()
            server.wait(15)
            if server.stdout:
                server.stdout.close()
    assert [server.returncode for server in servers] == [0, 0]


def _wait_for_status(address: str) -> int:
    """The status of a URL, once its worker has started."""
    request = urllib.request.Request(address)
    for attempt in range(50):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except (urllib.error.URLError, ConnectionError):
            if attempt == 49:
                raise
            time.sleep(0.2)
    return 0


def test_migrate_lists_and_plans_without_changing_anything(database: str, capsys: Captured) -> None:
    file = Path(database.removeprefix("sqlite:///"))
    assert run(["migrate", "--list"]) == OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["pending", str(number)] for number in range(1, len(lines) + 1)]
    assert run(["migrate", "--plan"]) == OK
    planned = capsys.readouterr().out
    assert "-- 1 initial schema: " in planned
    assert "CREATE TABLE IF NOT EXISTS booking (" in planned
    assert not file.exists()
    assert run(["migrate"]) == OK
    before = file.read_bytes()
    capsys.readouterr()
    assert run(["migrate", "--plan"]) == OK
    assert capsys.readouterr().out == "The database is up to date.\n"
    assert run(["migrate", "--list"]) == OK
    assert "pending" not in capsys.readouterr().out
    assert file.read_bytes() == before


def test_import_makes_administrators_only_by_name(database: str, tmp_path: Path, capsys: Captured) -> None:
    assert run(["migrate", "--database", database]) == OK
    (tmp_path / "in").mkdir()
    users = '[{"Id": 7, "FullName": "Eve", "Email": "eve@x.example", "Language": 1, "IsAdmin": true}]'
    (tmp_path / "in" / "users.json").write_text(users, encoding="utf-8")
    capsys.readouterr()
    assert run(["import", str(tmp_path / "in")]) == FAILED
    assert "IsAdmin of eve@x.example is not imported" in capsys.readouterr().err
    named = ["--admin", "eve@x.example"]
    assert run(["import", str(tmp_path / "in"), *named]) == FAILED
    assert "the user eve@x.example exists" in capsys.readouterr().err
    named += ["--overwrite-user", "eve@x.example"]
    assert run(["import", str(tmp_path / "in"), *named]) == OK
    assert capsys.readouterr().out.startswith("User: 0 new, 1 changed, 0 same\n")


def test_import_reads_numbers_and_dates_by_option(database: str, tmp_path: Path, capsys: Captured) -> None:
    assert run(["migrate", "--database", database]) == OK
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "businesses.csv").write_text("Id;Name\n1;Zo\xeb\n", encoding="latin-1")
    (tmp_path / "in" / "coworkers.csv").write_text("Id;FullName\n5;Ada\n", encoding="utf-16")
    (tmp_path / "in" / "coworkerbookingcredits.csv").write_text(
        "Id;CoworkerId;BusinessId;TotalCredit;ExpireDate;Shoe\n"
        "7;5;1;1.234,50;31/12/2026;4\n8;5\n9;5;1;2.5;31/12/2026;4\n"
    )
    capsys.readouterr()
    assert run(["import", str(tmp_path / "in")]) == FAILED
    refused = capsys.readouterr()
    assert "businesses.csv is not UTF-8 text; save it as UTF-8" in refused.err
    assert "--dates dmy reads day/month/year" in refused.err
    options = ["--format", "european", "--dates", "dmy", "--encoding", "latin-1"]
    assert run(["import", str(tmp_path / "in"), *options]) == FAILED
    shown = capsys.readouterr()
    assert shown.out.endswith("CoworkerBookingCredit: 1 new, 0 changed, 0 same\nRefused: 2, adjusted: 0, ignored: 1\n")
    assert "row 2: has 2 cells where the first line names 6; the row is refused" in shown.err
    assert 'row 3: TotalCredit "2.5" must be a number such as 1.234,50' in shown.err
    assert "coworkerbookingcredits.csv: unknown columns are ignored: Shoe" in shown.err
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        found = connection.execute(
            "SELECT id, total_credit, expire_date IS NOT NULL FROM coworker_booking_credit"
        ).fetchall()
    connection.close()
    assert found == [(7, 12_345_000, 1)]


def test_rule_39_commands_are_in_the_audit_trail(database: str, tmp_path: Path, capsys: Captured) -> None:
    assert run(["init", "--admin", "ann@x.example"]) == OK
    assert run(["user", "password", "ann@x.example"]) == OK
    assert run(["export", str(tmp_path / "out")]) == OK
    assert run(["import", str(tmp_path / "out")]) in (OK, FAILED)
    assert run(["rotate-key"]) == OK
    capsys.readouterr()
    assert run(["audit"]) == OK
    lines = capsys.readouterr().out.splitlines()
    actions = ("key rotated", "imported", "exported", "password changed", "created")
    assert [action in line for line, action in zip(lines, actions, strict=True)] == [True] * 5
    assert all("command line" in line for line in lines)
    assert run(["audit", "--action", "exported", "--limit", "1"]) == OK
    assert str(tmp_path / "out") in capsys.readouterr().out
    assert run(["verify"]) == OK
