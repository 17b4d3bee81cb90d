"""Every command of the tutorial's first session runs, and every response is the one it shows."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "docs" / "tutorial" / "first-session.md"
BASH = shutil.which("bash")
CURL = shutil.which("curl")

# A machine may lack curl; this stands in for the few options that the tutorial uses.
CURL_SUBSTITUTE = """#!{python}
import sys, urllib.error, urllib.parse, urllib.request
arguments, headers, data, url = iter(sys.argv[1:]), {{}}, [], ""
for word in arguments:
    if word == "-H":
        name, _, value = next(arguments).partition(": ")
        headers[name] = value
    elif word == "-d":
        data.append(next(arguments))
    elif word == "--data-urlencode":
        name, _, value = next(arguments).partition("=")
        data.append(name + "=" + urllib.parse.quote(value))
    elif word != "-s":
        url = word
body = "&".join(data).encode() if data else None
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20)
except urllib.error.HTTPError as refused:
    answer = refused
sys.stdout.write(answer.read().decode())
"""


def tutorial_commands() -> list[tuple[str, str]]:
    """Each command of the tutorial's console blocks, with the answer it shows."""
    steps: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", TUTORIAL.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], ""))
            else:
                command, answer = steps[-1]
                steps[-1] = (command, answer + line)
    return steps


def creditdesk_command(*arguments: str, database: str) -> list[str]:
    return [sys.executable, "-m", "creditdesk", *arguments, "--database", database]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a server over demo data, and its administrator's password."""
    database = f"sqlite:///{tmp_path_factory.mktemp('tutorial') / 'demo.db'}"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    output = subprocess.run(
        creditdesk_command("demo", "--uses", "400", "--seed", "1", database=database),
        env=environment, check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        creditdesk_command("serve", "--port", str(port), database=database),
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        password = re.search(r"Password:\s*(\S+)", output)
        assert password
        yield f"http://127.0.0.1:{port}", password[1]
    finally:
        server.terminate()
        server.wait(timeout=20)


def test_first_session_runs(demo: tuple[str, str], tmp_path: Path) -> None:
    address, password = demo
    path = os.environ["PATH"]
    if CURL is None:
        small = tmp_path / "curl"
        small.write_text(CURL_SUBSTITUTE.format(python=sys.executable))
        small.chmod(0o755)
        path = f"{tmp_path}{os.pathsep}{path}"
    steps = tutorial_commands()
    assert len(steps) >= 10
    mark = "=== next ==="
    script = "\n".join(f"{command}\necho; echo '{mark}'" for command, _ in steps)
    script = script.replace("http://127.0.0.1:8400", address)
    ran = subprocess.run(
        [BASH or "sh", "-c", script],
        env=os.environ | {"PATH": path, "PASSWORD": password},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    answers = [answer.strip() for answer in ran.stdout.split(mark)]
    for (command, shown), answer in zip(steps, answers, strict=False):
        pattern = ".*".join(re.escape(part) for part in shown.split("…"))
        assert re.fullmatch(pattern, answer, re.DOTALL), f"{command}\n{answer}\n{ran.stderr}"
