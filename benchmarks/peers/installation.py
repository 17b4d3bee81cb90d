"""Installs the peers on demand, and runs them over a database."""

from __future__ import annotations

import shutil
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from benchmarks.server import free_port, running_process

FILES: Final = Path(__file__).parent
INSTALLED: Final = FILES.parents[1] / ".peers"
"""Where the peers are installed: a virtual environment and Node packages of their own."""

_START_SECONDS: Final = 90
_ENVIRONMENT: Final = {"PGOPTIONS": "-c plan_cache_mode=auto"}
"""Our setting of the role, generic plans, suits our statements; the peers get the default."""

_NPM: Final = ("npm", "install", "--no-audit", "--no-fund", "--silent")


def install_drf() -> Path:
    """Django REST framework as pinned in requirements.txt; returns the folder of its programs."""
    folder = INSTALLED / "drf"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = ["--quiet", "--no-deps", "-r", str(FILES / "requirements.txt")]
        subprocess.run([folder / "bin/python", "-m", "pip", "install", *wanted], check=True)
        (folder / "installed").touch()
    return folder / "bin"


def install_postgraphile() -> Path | None:
    """PostGraphile and its Node as pinned in package.json; None without npm."""
    if not shutil.which("npm"):
        return None
    folder = INSTALLED / "postgraphile"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "postgraphile_server.mjs"):
        shutil.copy(FILES / name, folder)
    if not (folder / "node_modules").exists():
        subprocess.run(_NPM, cwd=folder, check=True)
    return folder


@contextmanager
def running_drf(url: str, workers: int, log: Path) -> Iterator[int]:
    """Django REST framework behind gunicorn during the block; its port."""
    port = free_port()
    command = [
        str(install_drf() / "gunicorn"), "drf_app:application", "--bind", f"127.0.0.1:{port}",
        "--workers", str(workers), "--worker-class", "gthread", "--threads", "16", "--keep-alive", "60",
    ]  # fmt: skip
    environment = _ENVIRONMENT | {"PEER_DATABASE_HOST": _socket_folder(url)}
    with running_process(
        command, port, log, ready="/uses/1/", folder=FILES, environment=environment, start_seconds=_START_SECONDS
    ):
        yield port


@contextmanager
def running_postgraphile(folder: Path, url: str, log: Path) -> Iterator[int]:
    """PostGraphile in one process of Node during the block; its port."""
    port = free_port()
    command = ["node_modules/.bin/node", "postgraphile_server.mjs", _socket_folder(url), str(port)]
    environment = _ENVIRONMENT | {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    with running_process(
        command, port, log, ready="/", folder=folder, environment=environment, start_seconds=_START_SECONDS
    ):
        yield port


def _socket_folder(url: str) -> str:
    [folder] = parse_qs(urlsplit(url).query)["host"]
    return folder
