"""Two PostgreSQL hosts under Patroni with etcd, as deploy/patroni sets them up, on loopback, for failover.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psutil

from benchmarks.failover_cluster import DATABASE, SYSTEM_USER, postgres_programs, run_as_server
from benchmarks.server import free_port

CONFIGURATION: Final = Path(__file__).parents[1] / "deploy" / "patroni" / "patroni.yml"
START_SECONDS: Final = 90
PASSWORD: Final = "failover"  # noqa: S105 - of servers that listen on loopback and are gone after the run


def patroni_programs() -> tuple[str, str] | None:
    """The paths of etcd and Patroni, or None where one is not installed."""
    found = [shutil.which(name, path=f"{os.environ.get('PATH', '')}:/opt/patroni/bin") for name in ("etcd", "patroni")]
    return (found[0], found[1]) if found[0] and found[1] else None


@dataclass(slots=True)
class _Member:
    """One host: its name, its ports and the process of its Patroni."""

    name: str
    folder: Path
    postgres_port: int = field(default_factory=free_port)
    rest_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """Ends Patroni and PostgreSQL like a loss of power."""
        if self.process is None:
            return
        processes = [psutil.Process(self.process.pid)]
        postmaster = self.folder / "postmaster.pid"
        if postmaster.exists():
            processes.append(psutil.Process(int(postmaster.read_text().splitlines()[0])))
        children = [child for each in processes for child in each.children(recursive=True)]
        for process in (*processes, *children):
            if process.is_running():
                process.kill()
        self.process.wait(10)
        psutil.wait_procs(children, timeout=5)
        self.process = None


class PatroniCluster:
    """A primary and a synchronous standby; Patroni chooses which is which."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        programs = patroni_programs()
        assert programs
        self._etcd, self._patroni = programs
        self._folder = folder
        self._etcd_port = free_port()
        self._etcd_process: subprocess.Popen[bytes] | None = None
        self._members = [_Member(name, folder / name / "data") for name in ("db1", "db2")]

    @property
    def url(self) -> str:
        """Both hosts; the one that takes writes is used."""
        hosts = ",".join(f"127.0.0.1:{member.postgres_port}" for member in self._members)
        return f"postgresql://postgres:{PASSWORD}@{hosts}/{DATABASE}"

    def start(self) -> None:
        """Starts everything and waits until commits wait for the standby."""
        self._start_etcd()
        for member in self._members:
            member.process = self._start(
                [self._patroni, str(CONFIGURATION)], self._environment(member), f"{member.name}.log"
            )
            self._wait_for(lambda: self._leader() is not None)
        self._wait_for(lambda: "sync_standby" in self._roles())
        leader = self._leader()
        assert leader
        address = f"host=127.0.0.1 port={leader.postgres_port} user=postgres password={PASSWORD} dbname=postgres"
        run_as_server([postgres_programs() / "psql", address, "-c", f"CREATE DATABASE {DATABASE}"])

    def kill_leader(self) -> None:
        """The leader loses its power; Patroni promotes the standby once its lease has ended."""
        leader = self._leader()
        assert leader
        leader.kill()

    def switch_over(self) -> None:
        """A planned change of the leader."""
        leader = self._leader()
        assert leader
        body = json.dumps({"leader": leader.name}).encode()
        with urlopen(Request(f"http://127.0.0.1:{leader.rest_port}/switchover", body), timeout=30) as answer:
            assert answer.status == 200

    def close(self) -> None:
        """Ends all of it, whatever state it is in."""
        for member in self._members:
            member.kill()
        if self._etcd_process is not None:
            self._etcd_process.kill()
            self._etcd_process.wait(5)

    def _start_etcd(self) -> None:
        address = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{free_port()}"
        environment = {
            "ETCD_NAME": "etcd1",
            "ETCD_DATA_DIR": str(self._folder / "etcd"),
            "ETCD_LISTEN_CLIENT_URLS": address,
            "ETCD_ADVERTISE_CLIENT_URLS": address,
            "ETCD_LISTEN_PEER_URLS": peer,
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer,
            "ETCD_INITIAL_CLUSTER": f"etcd1={peer}",
        }
        self._etcd_process = self._start([self._etcd], environment, "etcd.log", user=None)
        self._wait_for(lambda: _ask(f"{address}/health") is not None)

    def _environment(self, member: _Member) -> dict[str, str]:
        """What of the deployed configuration differs on a machine that runs every host."""
        member.folder.parent.mkdir()
        if os.geteuid() == 0:
            shutil.chown(member.folder.parent, SYSTEM_USER)
        postgres, rest = f"127.0.0.1:{member.postgres_port}", f"127.0.0.1:{member.rest_port}"
        return {
            "PATRONI_NAME": member.name,
            "PATRONI_RESTAPI_LISTEN": rest,
            "PATRONI_RESTAPI_CONNECT_ADDRESS": rest,
            "PATRONI_POSTGRESQL_LISTEN": postgres,
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": postgres,
            "PATRONI_POSTGRESQL_DATA_DIR": str(member.folder),
            "PATRONI_POSTGRESQL_BIN_DIR": str(postgres_programs()),
            "PATRONI_ETCD3_HOSTS": f"127.0.0.1:{self._etcd_port}",
            "PATRONI_SUPERUSER_PASSWORD": PASSWORD,
            "PATRONI_REPLICATION_PASSWORD": PASSWORD,
            "PATRONI_REWIND_PASSWORD": PASSWORD,
        }

    def _start(
        self, command: list[str], environment: Mapping[str, str], log: str, user: str | None = SYSTEM_USER
    ) -> subprocess.Popen[bytes]:
        with (self._folder / log).open("w") as output:
            return subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], "HOME": "/tmp", **environment},  # noqa: S108 - nothing is written there
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user if os.geteuid() == 0 else None,
                cwd="/",
            )

    def _leader(self) -> _Member | None:
        for member in self._members:
            if _ask(f"http://127.0.0.1:{member.rest_port}/primary") is not None:
                return member
        return None

    def _roles(self) -> set[str]:
        answer = _ask(f"http://127.0.0.1:{self._members[0].rest_port}/cluster") or {}
        return {member["role"] for member in answer.get("members", ()) if member["state"] in ("running", "streaming")}

    def _wait_for(self, condition: Any) -> None:
        until = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > until:
                logs = "\n".join(each.read_text()[-2000:] for each in self._folder.glob("*.log"))
                raise RuntimeError(f"Patroni did not start:\n{logs}")
            time.sleep(0.2)


def _ask(url: str) -> Any:
    """The JSON that a server answers with status 200, else None."""
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback
            return json.load(answer)
    except (HTTPError, URLError, OSError):
        return None
