"""Every package handles every field type."""

from __future__ import annotations

import pytest

import creditdesk.entities.catalog  # noqa: F401
from creditdesk.api.schemas import SCHEMAS
from creditdesk.api.serializer import SERIALIZERS
from creditdesk.schema import fields
from creditdesk.schema.entity import declared_entities
from creditdesk.schema.fields import FIELD_TYPES, SHOWN_FIELD_TYPES, DateTime, Object
from creditdesk.storage.dialects import Dialect, PostgreSQL, SQLite


def concrete(kind: type[fields.Field]) -> set[type[fields.Field]]:
    below = set().union(*(concrete(each) for each in kind.__subclasses__()))
    return below or {kind}


def test_field_types_are_complete() -> None:
    assert concrete(fields.Field) == set(SHOWN_FIELD_TYPES)


def test_catalog_uses_only_known_field_types() -> None:
    used = {type(c.field) for entity in declared_entities() for c in entity.meta().columns.values()}
    assert used <= set(SHOWN_FIELD_TYPES)


@pytest.mark.parametrize("dialect", [SQLite, PostgreSQL])
def test_each_dialect_maps_every_field_type(dialect: type[Dialect]) -> None:
    assert set(dialect.column_types) == set(FIELD_TYPES)
    assert set(dialect.encoders) <= set(FIELD_TYPES)
    assert set(dialect.decoders) <= set(FIELD_TYPES)


@pytest.mark.parametrize("dialect", [SQLite, PostgreSQL])
def test_each_dialect_decodes_what_it_encodes(dialect: type[Dialect]) -> None:
    assert {DateTime, Object} <= set(dialect.decoders)
    assert Object in dialect.encoders


def test_serializers_cover_every_field_type() -> None:
    assert set(SERIALIZERS) == set(SCHEMAS) == set(SHOWN_FIELD_TYPES)


@pytest.mark.parametrize("kind", SHOWN_FIELD_TYPES, ids=lambda kind: kind.__name__)
def test_every_field_type_has_a_json_type(kind: type[fields.Field]) -> None:
    assert kind.json_type
