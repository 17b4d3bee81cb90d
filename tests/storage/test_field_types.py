"""Each room reads every kind of field: a new kind cannot be forgotten by one of them."""

from __future__ import annotations

import pytest

import creditdesk.entities.catalog  # noqa: F401
from creditdesk.api.serializer import SERIALIZERS
from creditdesk.schema import fields
from creditdesk.schema.entity import declared_entities
from creditdesk.schema.fields import FIELD_TYPES, DateTime, Object
from creditdesk.storage.dialects import Dialect, PostgreSQL, SQLite


def concrete(kind: type[fields.Field]) -> set[type[fields.Field]]:
    below = set().union(*(concrete(each) for each in kind.__subclasses__()))
    return below or {kind}


def test_all_kinds_are_all_kinds() -> None:
    assert concrete(fields.Field) == set(FIELD_TYPES)


def test_the_catalog_uses_no_other_kind() -> None:
    used = {type(c.field) for entity in declared_entities() for c in entity.meta().columns.values()}
    assert used <= set(FIELD_TYPES)


@pytest.mark.parametrize("dialect", [SQLite, PostgreSQL])
def test_each_dialect_types_every_kind(dialect: type[Dialect]) -> None:
    assert set(dialect.column_types) == set(FIELD_TYPES)
    assert set(dialect.encoders) <= set(FIELD_TYPES)
    assert set(dialect.decoders) <= set(FIELD_TYPES)


@pytest.mark.parametrize("dialect", [SQLite, PostgreSQL])
def test_what_a_dialect_writes_it_reads_back(dialect: type[Dialect]) -> None:
    assert {DateTime, Object} <= set(dialect.decoders)
    assert Object in dialect.encoders


def test_the_wire_shows_every_kind() -> None:
    assert set(SERIALIZERS) == set(FIELD_TYPES)


@pytest.mark.parametrize("kind", FIELD_TYPES, ids=lambda kind: kind.__name__)
def test_every_kind_says_its_json_type(kind: type[fields.Field]) -> None:
    assert kind.json_type
