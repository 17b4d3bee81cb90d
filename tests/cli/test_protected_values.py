"""Formulas in exported CSV files, and passwords in database URLs."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

import pytest

from creditdesk.cli.database import database_url
from creditdesk.cli.output import CliError
from creditdesk.cli.program import FAILED, OK, run
from creditdesk.transfer.export import escape_formula

VARIABLE = "CREDITDESK_DATABASE_URL"
WITH_PASSWORD = "postgresql://ann:s3cret@db.example/credit"


@pytest.mark.parametrize(
    ("cell", "escaped"),
    [
        ("=1+1", "'=1+1"),
        ("+44 20", "'+44 20"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ("-12.50", "-12.50"),
        ("Ada", "Ada"),
        ("", ""),
    ],
)
def test_formula_cells(cell: str, escaped: str) -> None:
    assert escape_formula(cell) == escaped


def test_export_escapes_formulas_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.db"
    monkeypatch.setenv(VARIABLE, f"sqlite:///{file}")
    assert run(["demo", "--uses", "12"]) == OK
    formula = '=HYPERLINK("http://evil.example")'
    with sqlite3.connect(file) as connection:
        connection.create_function("fold", 1, str)
        connection.execute("UPDATE resource_type SET name = ? WHERE id = 1", (formula,))
    connection.close()

    def first_name(folder: Path) -> str:
        with (folder / "resourcetypes.csv").open(encoding="utf-8", newline="") as stream:
            return next(row["Name"] for row in csv.DictReader(stream) if row["Id"] == "1")

    assert run(["export", str(tmp_path / "plain"), "--format", "csv"]) == OK
    assert first_name(tmp_path / "plain") == formula
    arguments = ["--format", "csv", "--escape-formulas"]
    assert run(["export", str(tmp_path / "people"), *arguments]) == OK
    assert first_name(tmp_path / "people") == f"'{formula}"


@pytest.mark.parametrize("url", [WITH_PASSWORD, "postgresql://db.example/credit?user=ann&password=s3cret"])
def test_password_among_the_arguments_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert run(["verify", "--database", url]) == FAILED
    message = capsys.readouterr().err
    assert "Other users can see a password among the arguments" in message
    assert "s3cret" not in message
    monkeypatch.setenv(VARIABLE, url)
    assert database_url(url) == url


def test_password_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/word\n")
    monkeypatch.setenv("CREDITDESK_DATABASE_PASSWORD_FILE", str(file))
    url = database_url("postgresql://ann@db.example:5432/credit?sslmode=require")
    assert url == "postgresql://ann:p%40ss%2Fword@db.example:5432/credit?sslmode=require"
    assert database_url("sqlite:///x.db") == "sqlite:///x.db"
    with pytest.raises(CliError):
        database_url(WITH_PASSWORD)
