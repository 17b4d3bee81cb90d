"""Settings: defaults, the TOML file, the environment, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from creditdesk.settings import AuthSettings, Settings, ValidityInstant, declared_settings, variable_of
from creditdesk.settings_sources import FORMER_NAMES, RETIRED_NAMES, SettingsError, load_settings, settings_in_force


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "creditdesk.toml"


def test_defaults() -> None:
    assert load_settings({}) == Settings()


def test_environment_overrides_file_overrides_default(toml: Path) -> None:
    toml.write_text('[api]\ndir_convention = "later"\n[limits]\ncalls_per_minute = 5\n')
    environ = {"CREDITDESK_LIMITS_CALLS_PER_MINUTE": "7", "CREDITDESK_LEDGER_STRICT_POSTS": "on"}
    settings = load_settings(environ, toml)
    assert settings.api.dir_convention == "later"
    assert settings.limits.calls_per_minute == 7
    assert settings.ledger.strict_posts is True
    assert settings.auth == AuthSettings()


NEEDED_WITH = {
    "mail.host": {"CREDITDESK_MAIL_SENDER": "a@example.com", "CREDITDESK_MAIL_SITE_URL": "https://credit.example.com"}
}
"""What must be set with a setting."""


def test_every_setting_is_read_from_the_file_and_the_environment(toml: Path) -> None:
    for each in declared_settings().values():
        section, _, name = each.name.rpartition(".")
        raw = {int: 9, bool: True, str: "x"}.get(each.type, each.default)
        written = str(raw).lower() if each.type is bool else repr(str(raw))
        toml.write_text(f"[{section}]\n{name} = {written}\n" if section else f"{name} = {written}")
        needed = NEEDED_WITH.get(each.name, {})
        from_file, from_environment = (
            load_settings(needed, toml),
            load_settings({each.variable: str(raw), **needed}),
        )
        assert from_file == from_environment
        value = from_file
        for part in each.name.split("."):
            value = getattr(value, part)
        assert value == raw


def test_every_setting_has_a_meaning_and_a_default_in_range() -> None:
    for each in declared_settings().values():
        assert each.constraints.meaning.endswith("."), each.name
        assert load_settings({each.variable: str(each.default)}) == Settings(), each.name


@pytest.mark.parametrize("former", FORMER_NAMES)
def test_former_names_keep_working(former: str) -> None:
    declared = declared_settings()[FORMER_NAMES[former]]
    load_settings({variable_of(former): str(declared.default)})


@pytest.mark.parametrize("retired", sorted(RETIRED_NAMES))
def test_retired_names_are_accepted_without_effect(retired: str, toml: Path) -> None:
    section, _, name = retired.partition(".")
    toml.write_text(f"[{section}]\n{name} = 5\n")
    assert load_settings({variable_of(retired): "5"}, toml) == Settings()


def test_former_name_of_a_section_in_the_file(toml: Path) -> None:
    toml.write_text('[wire]\ndir_convention = "later"\n[ledger]\nwindow_test = "spend_time"\n')
    settings = load_settings({}, toml)
    assert settings.api.dir_convention == "later"
    assert settings.ledger.validity_instant is ValidityInstant.SPEND_TIME


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"CREDITDESK_AUTH_ACESS_SECONDS": "5"},
            "There is no setting CREDITDESK_AUTH_ACESS_SECONDS. Did you mean CREDITDESK_AUTH_ACCESS_SECONDS?",
        ),
        (
            {"CREDITDESK_CONNECTIONS": "0"},
            "CREDITDESK_CONNECTIONS must be a whole number from 1 to 1000, not 0.",
        ),
        (
            {"CREDITDESK_AUTH_REFRESH_SECONDS": "-1"},
            "CREDITDESK_AUTH_REFRESH_SECONDS must be a whole number of at least 1, not -1.",
        ),
        (
            {"CREDITDESK_API_DIR_CONVENTION": "up"},
            "CREDITDESK_API_DIR_CONVENTION must be one of seed, later, not up.",
        ),
        (
            {"CREDITDESK_LEDGER_VALIDITY_INSTANT": "late"},
            "CREDITDESK_LEDGER_VALIDITY_INSTANT must be one of service_start, spend_time, not late.",
        ),
        (
            {"CREDITDESK_LEDGER_STRICT_POSTS": "maybe"},
            "CREDITDESK_LEDGER_STRICT_POSTS must be true or false, not maybe.",
        ),
        (
            {"CREDITDESK_DATABASE": "sqlite:///a.db", "CREDITDESK_DATABASE_URL": "sqlite:///b.db"},
            "CREDITDESK_DATABASE and CREDITDESK_DATABASE_URL are one setting with two values.",
        ),
        (
            {"CREDITDESK_AUTH_ARGON2_PARALLELISM": "9999"},
            "auth.argon2_memory_kib must be at least 8 × auth.argon2_parallelism.",
        ),
        (
            {"CREDITDESK_MAIL_HOST": "smtp.example.com"},
            "mail.sender must be an e-mail address where mail.host is set.",
        ),
        (
            {"CREDITDESK_MAIL_HOST": "smtp.example.com", "CREDITDESK_MAIL_SENDER": "a@example.com"},
            "mail.site_url must begin with https:// where mail.host is set.",
        ),
    ],
)
def test_wrong_variables_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(environ)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[wire]\nnothing = 1\n", "There is no setting wire.nothing. Did you mean "),
        ("conections = 1\n", "There is no setting conections. Did you mean connections?"),
        ("auth = 4\n", "There is no setting auth. Did you mean auth."),
        ("[limits]\ncalls_per_day = true\n", "limits.calls_per_day must be a whole number"),
        ("[auth]\nsigning_key = 12345\n", "auth.signing_key must be text."),
        ("x = [", "creditdesk.toml is not a TOML file: "),
    ],
)
def test_wrong_files_are_refused(toml: Path, text: str, message: str) -> None:
    toml.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings({}, toml)
    assert str(refused.value).startswith(message)
    assert "12345" not in str(refused.value)


def test_other_variables_are_left_alone() -> None:
    load_settings(
        {
            "PATH": "/bin",
            "CREDITDESK_SETTINGS": "creditdesk.toml",
            "CREDITDESK_TEST_ANYTHING": "1",
            # A cluster announces its services to every container.
            "CREDITDESK_API_SERVICE_HOST": "10.0.0.7",
            "CREDITDESK_API_PORT_80_TCP_ADDR": "10.0.0.7",
        }
    )


def test_secrets_do_not_show() -> None:
    shown = repr(load_settings({"CREDITDESK_AUTH_SIGNING_KEY": "hush", "CREDITDESK_DATABASE": "hush"}))
    assert "hush" not in shown


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret\n", encoding="utf-8")
    loaded = load_settings({"CREDITDESK_AUTH_SIGNING_KEY_FILE": str(file)})
    assert loaded.auth.signing_key == "s3cret"
    same = {"CREDITDESK_AUTH_SIGNING_KEY_FILE": str(file), "CREDITDESK_AUTH_SIGNING_KEY": "s3cret"}
    assert load_settings(same).auth.signing_key == "s3cret"
    with pytest.raises(SettingsError, match="one setting with two values") as raised:
        load_settings(same | {"CREDITDESK_AUTH_SIGNING_KEY": "other"})
    assert "s3cret" not in str(raised.value)


def test_the_file_of_a_secret_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"CREDITDESK_DATABASE_FILE names .*, which cannot be read: No such file"):
        load_settings({"CREDITDESK_DATABASE_FILE": str(tmp_path / "missing")})


def test_only_secrets_are_read_from_files() -> None:
    with pytest.raises(SettingsError, match="There is no setting CREDITDESK_CONNECTIONS_FILE"):
        load_settings({"CREDITDESK_CONNECTIONS_FILE": "/dev/null"})
    assert {each.name for each in declared_settings().values() if each.file_variable} == {
        "database", "replica", "auth.signing_key", "mail.password",
    }  # fmt: skip


def test_settings_in_force_name_their_source(toml: Path) -> None:
    toml.write_text("connections = 7\n[api]\nmax_filters = 20\n", encoding="utf-8")
    found = {
        each.declared.name: (each.value, each.source)
        for each in settings_in_force({"CREDITDESK_API_MAX_FILTERS": "30"}, toml)
    }
    assert found["connections"] == (7, toml.name)
    assert found["api.max_filters"] == (30, "CREDITDESK_API_MAX_FILTERS")
    assert found["busy_seconds"] == (5, "default")
    assert list(found) == list(declared_settings())
