"""A host of a test database that can fall silent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.databases import database_name


@dataclass
class DatabaseHost:
    """A TCP port that forwards to the socket of a PostgreSQL database until it falls silent."""

    database: str
    silent: bool = False
    silent_from_commit: bool = False
    commits: int = 0
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The database, reached through this port."""
        user = urlsplit(self.database).username
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database_name(self.database)}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        assert self._server is not None
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        folder = dict(parse_qsl(urlsplit(self.database).query))["host"]
        backend_reader, backend_writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        for source, target, is_client in (
            (reader, backend_writer, True),
            (backend_reader, writer, False),
        ):
            task = asyncio.create_task(self._forward(source, target, is_client))
            self._tasks.add(task)

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, is_client: bool) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    if self.silent:
                        continue
                    if is_client and self.silent_from_commit and b"COMMIT" in data:
                        self.silent = True
                        self.commits += 1
                    target.write(data)
        finally:
            target.close()
