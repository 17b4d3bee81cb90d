"""Database URLs: `sqlite:///path` and `postgresql://user:password@host/name?options`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

SQLITE_PREFIX: Final = "sqlite:///"
POSTGRESQL_PREFIXES: Final = ("postgresql://", "postgres://")


def sqlite_file(url: str) -> str | None:
    """The file that the URL names; empty for a database in memory, None for another engine."""
    return url.removeprefix(SQLITE_PREFIX) if url.startswith(SQLITE_PREFIX) else None


def describe_url(url: str) -> str:
    """The path of a file, or server and name without user, password and options."""
    file = sqlite_file(url)
    if file is not None:
        return str(Path(file).resolve())
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "")
    return f"postgresql://{host}{parts.path}"


def split_password(url: str) -> tuple[str, str | None]:
    """The URL without its password, and the password."""
    if sqlite_file(url) is not None:
        return url, None
    parts = urlsplit(url)
    options = parse_qsl(parts.query)
    password = unquote(parts.password) if parts.password else dict(options).get("password")
    user, at, hosts = parts.netloc.rpartition("@")
    query = urlencode([option for option in options if option[0] != "password"])
    return _join(parts._replace(netloc=f"{user.partition(':')[0]}{at}{hosts}", query=query)), password


def with_password(url: str, password: str) -> str:
    """A PostgreSQL URL that has no password, with this one."""
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    return _join(parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{hosts}"))


def with_database(url: str, name: str) -> str:
    """A PostgreSQL URL with another database of the same server."""
    return _join(urlsplit(url)._replace(path=f"/{name}"))


def single_host_urls(url: str) -> Iterator[str]:
    """One URL for each host that a PostgreSQL URL names, in its order."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    user, at, hosts = parts.netloc.rpartition("@")
    if "," in query.get("host", ""):
        ports = query.pop("port", "").split(",")
        names = query.pop("host").split(",")
        pairs = [(name, ports[min(n, len(ports) - 1)]) for n, name in enumerate(names)]
        chosen = [{"host": name} | ({"port": port} if port else {}) for name, port in pairs]
        netlocs = [user + at] * len(chosen)
    elif "," in hosts:
        netlocs = [f"{user}{at}{host}" for host in hosts.split(",")]
        chosen = [{} for _ in netlocs]
    else:
        yield url
        return
    query.setdefault("target_session_attrs", "read-write")
    for netloc, host in zip(netlocs, chosen, strict=True):
        yield _join(parts._replace(netloc=netloc, query=urlencode(query | host)))


def _join(parts: SplitResult) -> str:
    # `geturl` leaves out the two slashes where no host follows.
    return f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")
