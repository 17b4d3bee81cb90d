"""`creditdesk config`: every setting, its value and its source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from creditdesk.cli.program import FAILED, OK, run
from creditdesk.settings import declared_settings


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings file and variables, secrets among them."""
    file = tmp_path / "desk.toml"
    file.write_text("[api]\nmax_page_size = 500\npublish_docs = false\n", encoding="utf-8")
    monkeypatch.setenv("CREDITDESK_SETTINGS", str(file))
    monkeypatch.setenv("CREDITDESK_DATABASE_URL", "postgresql://ada:hunter2@db.example.com/desk")
    monkeypatch.setenv("CREDITDESK_AUTH_SIGNING_KEY", "hunter3")


@pytest.mark.usefixtures("configured")
def test_config_prints_what_holds_and_where_it_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config"]) == OK
    text = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert list(lines) == list(declared_settings())
    assert lines["api.max_page_size"] == ["500", "desk.toml"]
    assert lines["api.publish_docs"] == ["false", "desk.toml"]
    assert lines["connections"] == ["4", "default"]
    assert lines["database"] == ["postgresql://db.example.com/desk", "CREDITDESK_DATABASE_URL"]
    assert lines["auth.signing_key"] == ["********", "CREDITDESK_AUTH_SIGNING_KEY"]
    assert lines["auth.encryption_key"] == ["default"]
    assert "hunter" not in text


@pytest.mark.usefixtures("configured")
def test_config_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--json"]) == OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["api.max_page_size"] == {"value": 500, "source": "desk.toml"}
    assert shown["auth.signing_key"] == {"value": "********", "source": "CREDITDESK_AUTH_SIGNING_KEY"}


def test_config_refuses_an_unknown_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CREDITDESK_API_MAX_PAGESIZE", "5")
    assert run(["config"]) == FAILED
    assert "Did you mean CREDITDESK_API_MAX_PAGE_SIZE?" in capsys.readouterr().err
