"""The files of deploy/patroni agree with each other and with what Patroni requires of its times."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "patroni"


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / "patroni.yml").read_text("utf-8"))
    return document


def test_lease_outlasts_the_attempts_to_renew_it(configuration: dict[str, Any]) -> None:
    settings = configuration["bootstrap"]["dcs"]
    assert settings["loop_wait"] + 2 * settings["retry_timeout"] <= settings["ttl"]


def test_only_a_host_with_every_commit_becomes_the_primary(configuration: dict[str, Any]) -> None:
    settings = configuration["bootstrap"]["dcs"]
    assert settings["synchronous_mode"] is True
    assert settings["maximum_lag_on_failover"] == 0


def test_every_etcd_host_is_a_member(configuration: dict[str, Any]) -> None:
    environment = dict(line.split("=", 1) for line in (FOLDER / "etcd.env").read_text("utf-8").splitlines()[1:])
    members = {member.split("=")[0] for member in environment["ETCD_INITIAL_CLUSTER"].split(",")}
    assert {host.split(":")[0] for host in configuration["etcd3"]["hosts"]} == members
    assert environment["ETCD_NAME"] in members
    assert len(members) % 2 == 1


def test_no_password_is_in_the_files() -> None:
    for path in FOLDER.iterdir():
        assert not re.search(r"password\s*[:=]\s*\S", path.read_text("utf-8"), re.IGNORECASE), path.name


def test_unit_is_valid(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed on this machine")
    unit = tmp_path / "patroni.service"
    unit.write_text((FOLDER / "patroni.service").read_text("utf-8").replace("/opt/patroni/bin/patroni", sys.executable))
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
