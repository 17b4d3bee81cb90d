"""Sets the base fields of new and changed records; nothing else sets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from os import urandom
from random import Random
from typing import Any, Final

from creditdesk.schema.entity import Entity, Record

_VERSION_AND_VARIANT_BITS: Final = (0xF << 76) | (0x3 << 62)
_VERSION_7: Final = (0x7 << 76) | (0x2 << 62)
_RANDOM_BYTES: Final = 10
_random_source: ContextVar[Callable[[int], bytes]] = ContextVar("random_source", default=urandom)


def new_record(entity: type[Entity], values: Mapping[str, Any], now: datetime, by: str | None = None) -> Record:
    """A complete record of `entity`, ready to insert.

    values: by column name; an absent column gets its default, an absent UniqueId a random UUIDv7.
    now: the creation time, stored in whole seconds. by: the author's e-mail address.
    """
    record: Record = {**entity.meta().default_values, **values, **update_stamp(now, by)}
    record["CreatedOn"] = record["UpdatedOn"]
    if not record["UniqueId"]:
        record["UniqueId"] = new_unique_id(now)
    return record


def new_unique_id(at: datetime) -> str:
    """A random UUIDv7."""
    return uuid7(at, _random_source.get()(_RANDOM_BYTES))


@contextmanager
def reproducible_unique_ids(random: Random) -> Iterator[None]:
    """Draws the UniqueIds of new records from a seeded source, as long as the block runs."""
    token = _random_source.set(random.randbytes)
    try:
        yield
    finally:
        _random_source.reset(token)


def update_stamp(now: datetime, by: str | None) -> Record:
    """The base fields that every change sets; UpdatedOn in whole seconds."""
    return {"UpdatedOn": _whole_second(now), "UpdatedBy": by}


@lru_cache(maxsize=64)
def _whole_second(instant: datetime) -> datetime:
    """Cached, because all records of a transaction have the same."""
    return instant.replace(microsecond=0)


def uuid7(at: datetime, random: bytes) -> str:
    """A UUID of version 7 (RFC 9562) from a time in milliseconds and ten random bytes.

    UUIDs of later times sort later, so an index over them grows at its end.
    """
    milliseconds = int(at.timestamp() * 1000)
    number = milliseconds << 80 | int.from_bytes(random[:_RANDOM_BYTES])
    h = (number & ~_VERSION_AND_VARIANT_BITS | _VERSION_7).to_bytes(16).hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
