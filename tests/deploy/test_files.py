"""What stands in deploy/ is checked by the programs that will read it, and against our own commands and settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from creditdesk.cli.program import app
from creditdesk.settings import COMMAND_VARIABLES, declared_settings, variable_of

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
FILES: Final = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
UNITS: Final = sorted((DEPLOY / "systemd").iterdir())
MANIFESTS: Final = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
EXPOSURE: Final = re.compile(r"Overall exposure level for \S+: (\d+\.\d+)")


def _relative(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


def _run(*arguments: str | Path) -> str:
    """The output of a program that must end with 0."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _locked_program(name: str) -> str:
    """The path of a program that the development requirements bring."""
    return str(Path(sys.executable).parent / name)


def _system_program(name: str) -> str:
    """The path of a program of the system; skips the test on a machine without it."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed on this machine")
    return found


@pytest.mark.parametrize("path", FILES, ids=_relative)
def test_variables_are_settings(path: Path) -> None:
    known = {variable_of(name) for name in declared_settings()} | set(COMMAND_VARIABLES) | {"CREDITDESK_DATABASE_URL"}
    assert set(re.findall(r"\bCREDITDESK_[A-Z_]+", path.read_text("utf-8"))) <= known


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=_relative)
def test_commands_of_units_exist(unit: Path) -> None:
    commands = re.findall(r"(?:/bin/|[;'] *)creditdesk (\w+)", unit.read_text("utf-8"))
    assert commands
    assert [name for name in commands if name not in set(app)] == []


@pytest.mark.parametrize("unit", UNITS, ids=_relative)
def test_units_are_valid(unit: Path, tmp_path: Path) -> None:
    analyze = _system_program("systemd-analyze")
    # The program is where the person installed it; here it is this environment's.
    text = unit.read_text("utf-8").replace("/opt/creditdesk/bin/creditdesk", sys.executable)
    for each in UNITS:
        (tmp_path / each.name).write_text(each.read_text("utf-8"))
    (tmp_path / unit.name).write_text(text)
    _run(analyze, "verify", "--man=no", "--recursive-errors=no", tmp_path / unit.name)


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=_relative)
def test_units_are_confined(unit: Path) -> None:
    output = _run(_system_program("systemd-analyze"), "security", "--offline=true", "--no-pager", unit)
    found = EXPOSURE.search(output)
    assert found
    assert float(found[1]) <= 1.5


def test_containerfile_follows_good_practice() -> None:
    _run(_locked_program("hadolint"), DEPLOY / "Containerfile")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=_relative)
def test_manifests_are_valid(manifest: Path) -> None:
    _run(_locked_program("kubernetes-validate"), "--strict", manifest)


def _containers() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every container of the manifests, with its pod."""
    return [
        (f"{manifest.name} {container['name']}", document["spec"]["template"]["spec"], container)
        for manifest in MANIFESTS
        for document in yaml.safe_load_all(manifest.read_text("utf-8"))
        if "template" in document["spec"]
        for container in document["spec"]["template"]["spec"]["containers"]
    ]


@pytest.mark.parametrize(
    ("name", "pod", "container"), _containers(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_containers_have_no_privileges(name: str, pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["args"][0] in set(app)


def test_compose_file_names_what_it_mounts() -> None:
    path = DEPLOY / "compose" / "compose.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    services = document["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert set(service.get("secrets", ())) <= set(document["secrets"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (path.parent / source).resolve().exists(), source
            else:
                assert source in document["volumes"]
    build = services["server"]["build"]
    assert (path.parent / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Containerfile"
    assert {service["command"][0] for service in services.values() if "command" in service} <= set(app)


def _servers() -> dict[str, tuple[list[str], str]]:
    """The command of every server that the files start, and where it writes reports."""
    unit = (DEPLOY / "systemd" / "creditdesk.service").read_text("utf-8")
    folder = re.search(r"^Environment=CREDITDESK_REPORT_FOLDER=(.+)$", unit, re.MULTILINE)
    started = re.search(r"^ExecStart=\S+ (.+)$", unit, re.MULTILINE)
    assert folder
    assert started
    servers = {"systemd": (started[1].split(), folder[1])}
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))["services"]["server"]
    servers["compose"] = compose["command"], compose["volumes"][0].partition(":")[2]
    for name, _, container in _containers():
        if container["args"][0] == "serve":
            servers[name] = container["args"], container["volumeMounts"][-1]["mountPath"]
    return servers


def test_every_server_runs_the_jobs_and_keeps_reports() -> None:
    servers = _servers()
    assert len(servers) == 3
    for name, (command, folder) in servers.items():
        assert "--jobs" in command, name
        assert folder in ("/data", "/data/reports", "/var/lib/creditdesk/reports"), name


def test_proxy_configuration_is_valid() -> None:
    _run(_system_program("caddy"), "validate", "--adapter", "caddyfile", "--config", DEPLOY / "compose" / "Caddyfile")


def test_copied_files_exist() -> None:
    copied = re.findall(r"^COPY (?!--)(.+)$", (DEPLOY / "Containerfile").read_text("utf-8"), re.MULTILINE)
    names = [name for line in copied for name in line.split()[:-1]]
    allowed = (DEPLOY / "Containerfile.dockerignore").read_text("utf-8").split()
    for name in names:
        assert (DEPLOY.parent / name).exists(), name
        assert f"!{name}" in allowed
