"""Each room reads every kind of field: a new kind cannot be forgotten by one of them."""

from __future__ import annotations

import pytest

import creditdesk.entities.catalog  # noqa: F401
from creditdesk.api.serializer import SHOWS
from creditdesk.schema import fields
from creditdesk.schema.entity import declared
from creditdesk.schema.fields import ALL_KINDS, DateTime, Object
from creditdesk.storage.dialects import PostgreSQL, SQLite


def concrete(kind: type[fields.Field]) -> set[type[fields.Field]]:
    below = set().union(*(concrete(each) for each in kind.__subclasses__()))
    return below or {kind}


def test_all_kinds_are_all_kinds() -> None:
    assert concrete(fields.Field) == set(ALL_KINDS)


def test_the_catalog_uses_no_other_kind() -> None:
    used = {type(c.kind) for entity in declared() for c in entity.shape().columns.values()}
    assert used <= set(ALL_KINDS)


@pytest.mark.parametrize("dialect", [SQLite, PostgreSQL])
def test_each_dialect_types_every_kind(dialect: type) -> None:
    assert set(dialect.types) == set(ALL_KINDS)
    assert set(dialect.writers) <= set(ALL_KINDS)
    assert set(dialect.readers) <= set(ALL_KINDS)


@pytest.mark.parametrize("dialect", [SQLite, PostgreSQL])
def test_what_a_dialect_writes_it_reads_back(dialect: type) -> None:
    assert {DateTime, Object} <= set(dialect.readers)
    assert Object in dialect.writers


def test_the_wire_shows_every_kind() -> None:
    assert set(SHOWS) == set(ALL_KINDS)


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_says_its_json_type(kind: type[fields.Field]) -> None:
    assert kind.wire_type
