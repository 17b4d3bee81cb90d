"""Entity declarations, and what derives from them: paths, roles, columns and filter names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import Any, ClassVar, Final, Literal

from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Computed,
    DateTime,
    Embed,
    Field,
    Guid,
    Integer,
    Object,
    Reference,
    Text,
)

Verb = Literal["list", "get", "create", "update", "delete"]
ALL_VERBS: Final[tuple[Verb, ...]] = ("list", "get", "create", "update", "delete")
_ROLE_SUFFIX: Final[dict[Verb, str]] = {
    "list": "List", "get": "Read", "create": "Create", "update": "Edit", "delete": "Delete",
}  # fmt: skip

EVERY_MEMBER: Final = "*"
"""The `owner` of an entity, such as locations, whose records every member sees at locations where it has a record."""

Record = dict[str, Any]
"""A record inside the program: internal values (see `fields`) by column name."""

_REGISTRY: dict[str, type[Entity]] = {}


@dataclass(frozen=True, slots=True)
class Column:
    """A value that a record shows or a filter compares, under its name in the API.

    path: the references that lead to it, none for the entity's own fields. leaf: the field that they lead to.
    as_text: shown as text whatever its type. visible: False if only filters use it. denormalized: the record's own
    row has a copy of it. low_cardinality: see `Embed`.
    """

    entity: type[Entity]
    name: str
    field: Field
    path: tuple[str, ...] = ()
    leaf: str = ""
    as_text: bool = False
    visible: bool = True
    trailing: bool = False
    denormalized: bool = False
    indexed: bool = False
    low_cardinality: bool = False

    @property
    def is_own(self) -> bool:
        """Whether it belongs to the record itself."""
        return not self.path

    @property
    def in_lists(self) -> bool:
        """Whether lists show it; only a single record shows collections."""
        return self.visible and not isinstance(self.field, Collection)


BASE_FIELDS: Final[dict[str, Field]] = {
    "Id": Integer(read_only=True, nullable=False),
    "UpdatedOn": DateTime(read_only=True, nullable=False, indexed=True),
    "CreatedOn": DateTime(read_only=True, nullable=False, indexed=True),
    "UniqueId": Guid(read_only=True, nullable=False, indexed=True),
    "UpdatedBy": Text(read_only=True, low_cardinality=True, operator_only=True),
    "IsNew": Boolean(read_only=True, nullable=False),
    "SystemId": Text(partial_index=True),
    "ToStringText": Text(read_only=True),
    "LocalizationDetails": Object(read_only=True),
    "CustomFields": Object(operator_only=True),
}
COMPUTED_FIELDS: Final = frozenset({"IsNew", "ToStringText", "LocalizationDetails"})
"""Base fields that are constant or computed; no table stores them."""
SERVER_FIELDS: Final = frozenset({"Id", "UniqueId", "CreatedOn", "UpdatedOn", "UpdatedBy"})
"""Base fields that only the server sets."""


@dataclass(frozen=True, slots=True)
class CoveringIndex:
    """An index that answers a query alone: sorted by `columns`, with the values of `holds`.

    With `condition`, in SQL, it contains only the rows that match.
    """

    name: str
    columns: tuple[str, ...]
    holds: tuple[str, ...] = ()
    condition: str = ""


class Entity:
    """Base of every entity declaration.

    Class arguments:
    API. area, plural: the path, `/api/{area}/{plural}`. aliases: further paths of the same collection, which the
    OpenAPI document leaves out. public: whether the API has the entity. verbs: what the API offers. roles: role
    names by verb, if not `{Entity}-{Verb}`. required_filters: a list must have one of these. order: the default sort
    column. title: the format of ToStringText, such as `{Name} ({Price})`; by default the label, else `#{Id}`. label:
    the column that names a record to people.

    Visibility. scope: the column or collection that holds a record's location, None for records of all locations.
    owner: the column with the Id of the customer that a record belongs to, whose members see it; `EVERY_MEMBER` for
    records that all members of the location see.

    Storage. counted: the database keeps row counters by CreatedOn and Id, so that totals and deep pages read no
    rows. append_only: the database rejects deletes, and updates of all columns but `mutable_fields`. deletable_when: a
    SQL condition on `OLD` under which it accepts a delete. indexed: base fields with an index of their own here.
    unique: groups of columns that are unique together. covering_indexes: indexes that answer a query of a report
    alone. checks: SQL conditions on every row. cached_fields: columns and collections that processes cache, and
    discard when they change (`cache_revision`).
    """

    area: ClassVar[str]
    plural: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]]
    verbs: ClassVar[tuple[Verb, ...]]
    order: ClassVar[str]
    label: ClassVar[str | None]
    title: ClassVar[str]
    scope: ClassVar[str | None]
    public: ClassVar[bool]
    counted: ClassVar[bool]
    append_only: ClassVar[bool]
    mutable_fields: ClassVar[tuple[str, ...]]
    deletable_when: ClassVar[str]
    roles: ClassVar[dict[Verb, str]]
    required_filters: ClassVar[tuple[str, ...]]
    indexed: ClassVar[tuple[str, ...]]
    unique: ClassVar[tuple[tuple[str, ...], ...]]
    covering_indexes: ClassVar[tuple[CoveringIndex, ...]]
    checks: ClassVar[tuple[str, ...]]
    cached_fields: ClassVar[frozenset[str]]
    owner: ClassVar[str | None]
    fields: ClassVar[dict[str, Field]]

    def __init_subclass__(  # noqa: PLR0913 - one option of a declaration each
        cls,
        *,
        area: str = "",
        plural: str = "",
        aliases: tuple[str, ...] = (),
        verbs: tuple[Verb, ...] = ALL_VERBS,
        order: str = "Id",
        label: str | None = None,
        title: str = "",
        scope: str | None = None,
        public: bool = True,
        counted: bool = False,
        append_only: bool = False,
        mutable_fields: tuple[str, ...] = (),
        deletable_when: str = "",
        roles: dict[Verb, str] | None = None,
        required_filters: tuple[str, ...] = (),
        indexed: tuple[str, ...] = (),
        unique: tuple[tuple[str, ...], ...] = (),
        covering_indexes: tuple[CoveringIndex, ...] = (),
        checks: tuple[str, ...] = (),
        cached_fields: tuple[str, ...] = (),
        owner: str | None = None,
    ) -> None:
        if cls.__name__ in _REGISTRY:
            raise TypeError(f"{cls.__name__} is declared twice")
        own_fields = {k: v for k, v in vars(cls).items() if isinstance(v, Field)}
        cls.area, cls.plural, cls.verbs, cls.order, cls.label = area, plural, verbs, order, label
        cls.scope, cls.public, cls.counted = scope, public, counted
        cls.aliases = aliases
        cls.title = title or (f"{{{label}}}" if label else "#{Id}")
        cls.append_only, cls.mutable_fields, cls.deletable_when = append_only, mutable_fields, deletable_when
        cls.roles = {v: f"{cls.__name__}-{_ROLE_SUFFIX[v]}" for v in ALL_VERBS} | (roles or {})
        cls.required_filters, cls.indexed = required_filters, indexed
        cls.unique, cls.covering_indexes, cls.checks = unique, covering_indexes, checks
        cls.cached_fields = frozenset(cached_fields)
        cls.owner = owner
        cls.fields = own_fields | BASE_FIELDS
        _REGISTRY[cls.__name__] = cls

    @classmethod
    def path(cls) -> str:
        """The path of the entity's collection in the API."""
        return f"/api/{cls.area}/{cls.plural}"

    @classmethod
    def meta(cls) -> EntityMeta:
        """Columns and filters, computed at the first call, when all entities are declared."""
        found = _META.get(cls)
        if found is None:
            found = _META[cls] = EntityMeta(cls)
        return found


_META: dict[type[Entity], EntityMeta] = {}


def entity_by_name(name: str) -> type[Entity]:
    """The entity with this class name. Raises KeyError."""
    return _REGISTRY[name]


def declared_entities() -> tuple[type[Entity], ...]:
    """Every declared entity, by name."""
    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))


@dataclass(frozen=True, slots=True)
class FilterParameter:
    """The meaning of a query parameter: its column, and which comparison it stands for."""

    column: Column
    variant: Literal["equals", "from", "to", "ids", "custom"]
    name: str


class EntityMeta:
    """What derives from one entity's fields and references."""

    def __init__(self, entity: type[Entity]) -> None:
        self.entity = entity
        ordered: list[Column] = []
        filter_only: list[Column] = []
        for name, field in entity.fields.items():
            if name in BASE_FIELDS:
                continue
            column_name = f"{name}Id" if isinstance(field, Reference) else name
            ordered.append(self._own_column(name, field, column_name))
            if isinstance(field, Reference):
                for embed in field.embedded_fields:
                    ordered.append(self._embedded_column(name, field, embed, visible=True))
                for embed in field.filter_only_fields:
                    filter_only.append(self._embedded_column(name, field, embed, visible=False))
        base = [self._own_column(name, field, name) for name, field in BASE_FIELDS.items()]
        first = [c for c in ordered if not c.trailing]
        self.columns: dict[str, Column] = {c.name: c for c in [*first, *(c for c in ordered if c.trailing), *base]}
        self.filter_only: dict[str, Column] = {c.name: c for c in filter_only}
        self.list_columns: tuple[Column, ...] = tuple(c for c in self.columns.values() if c.in_lists)
        self.collection_columns: tuple[Column, ...] = tuple(
            c for c in self.columns.values() if isinstance(c.field, Collection)
        )
        self.columns_by_lower_name: dict[str, Column] = {n.lower(): c for n, c in self.columns.items()}

    def _own_column(self, name: str, field: Field, column_name: str) -> Column:
        return Column(
            self.entity, column_name, field, (), name,
            visible=not field.internal, trailing=field.trailing,
            indexed=field.indexed or name in self.entity.indexed,
            low_cardinality=isinstance(field, Text) and field.low_cardinality,
        )  # fmt: skip

    def _embedded_column(self, relation: str, field: Reference, embed: Embed, *, visible: bool) -> Column:
        path = embed.path.split(".")
        name = relation + "".join(path)
        if not field.is_local:
            text = Text(read_only=True, exact=path[-1].endswith("Code"))
            return Column(self.entity, name, text, (), name, visible=visible, trailing=embed.trailing)
        target: type[Entity] = entity_by_name(field.to)
        relations = [relation]
        for step in path[:-1]:
            relation_field = target.fields[step]
            if not isinstance(relation_field, Reference):
                raise TypeError(f"{self.entity.__name__}.{relation}: {step} is not a reference")
            relations.append(step)
            target = entity_by_name(relation_field.to)
        leaf = path[-1]
        leaf_field = target.fields.get(leaf) or target.meta().columns[leaf].field
        return Column(
            self.entity, name, leaf_field, tuple(relations), leaf, embed.as_text, visible, embed.trailing,
            denormalized=embed.denormalized or embed.indexed, indexed=embed.indexed,
            low_cardinality=embed.low_cardinality,
        )  # fmt: skip

    @cached_property
    def title_parts(self) -> tuple[tuple[str, Column | None], ...]:
        """The text and the column of each part of ToStringText, in order; the last has no column."""
        parts = Formatter().parse(self.entity.title)
        return tuple((text, self.columns[name] if name else None) for text, name, _, _ in parts)

    @cached_property
    def title_order(self) -> Column:
        """The column that ToStringText sorts by: the first that it shows."""
        return next(column for _, column in self.title_parts if column)

    @cached_property
    def stored_columns(self) -> tuple[Column, ...]:
        """The columns of the entity's table: own ones that are not computed, write-only or collections."""
        return tuple(
            c
            for c in self.columns.values()
            if c.is_own
            and c.name not in COMPUTED_FIELDS
            and not c.field.write_only
            and not isinstance(c.field, Collection | Computed)
        )

    @cached_property
    def computed_columns(self) -> tuple[Column, ...]:
        """The columns whose values are computed from other records."""
        return tuple(c for c in self.columns.values() if isinstance(c.field, Computed))

    @cached_property
    def operator_columns(self) -> Mapping[str, Column]:
        """The columns of which members see nothing, by name."""
        columns = (*self.columns.values(), *self.filter_only.values())
        return {c.name: c for c in columns if c.field.operator_only}

    @cached_property
    def writable_columns(self) -> tuple[Column, ...]:
        """The columns that a write sets from its body or by default, collections included."""
        unset = COMPUTED_FIELDS | SERVER_FIELDS
        return tuple(
            c for c in self.columns.values() if c.is_own and c.name not in unset and not isinstance(c.field, Computed)
        )

    @cached_property
    def default_values(self) -> Mapping[str, Any]:
        """The default of every stored column but Id."""
        return {c.name: c.field.default_value for c in self.stored_columns if c.name != "Id"}

    @cached_property
    def denormalized_columns(self) -> tuple[Column, ...]:
        """The embedded columns of which the row has a copy."""
        return tuple(c for c in (*self.columns.values(), *self.filter_only.values()) if c.denormalized)

    @cached_property
    def filters(self) -> dict[str, FilterParameter]:
        """The query parameters that filter the entity, by lower-case name."""
        return {f.name.lower(): f for f in reversed(list(self._filter_parameters()))}

    def _filter_parameters(self) -> Iterator[FilterParameter]:
        prefix = self.entity.__name__
        identity, unique = self.columns["Id"], self.columns["UniqueId"]
        yield FilterParameter(identity, "equals", "Id")
        yield FilterParameter(unique, "equals", "UniqueId")
        yield FilterParameter(identity, "ids", f"{prefix}_Id")
        for column in [*self.columns.values(), *self.filter_only.values()]:
            if column.name in COMPUTED_FIELDS or column.name == "Id":
                continue
            if isinstance(column.field, Object | Computed) or (column.is_own and column.field.internal):
                continue
            if isinstance(column.field, Reference):
                yield FilterParameter(column, "equals", f"{prefix}_{column.leaf}")
            if column.path:
                yield FilterParameter(column, "equals", f"{prefix}_{'_'.join((*column.path, column.leaf))}")
            elif column.name != column.leaf or column.leaf not in self.entity.fields:
                yield from self._external_filters(column, prefix)
            yield FilterParameter(column, "equals", f"{prefix}_{column.name}")
            if _has_range(column.field):
                yield FilterParameter(column, "from", f"from_{prefix}_{column.name}")
                yield FilterParameter(column, "to", f"to_{prefix}_{column.name}")

    def _external_filters(self, column: Column, prefix: str) -> Iterator[FilterParameter]:
        """Filters on embedded values of references to entities that are not stored here."""
        for name, field in self.entity.fields.items():
            if isinstance(field, Reference) and not field.is_local and column.name.startswith(name):
                for embed in field.embedded_fields:
                    if name + embed.path.replace(".", "") == column.name:
                        path = embed.path.replace(".", "_")
                        yield FilterParameter(column, "equals", f"{prefix}_{name}_{path}")

    @cached_property
    def custom_field_prefix(self) -> str:
        """What the lower-case names of filters on custom fields begin with."""
        return f"{self.entity.__name__}_CustomFields_".lower()


def _has_range(field: Field) -> bool:
    """Whether filters compare its values by size; ids of stored records have no meaningful size."""
    if isinstance(field, Reference | Collection) and field.is_local:
        return False
    return field.supports_range
