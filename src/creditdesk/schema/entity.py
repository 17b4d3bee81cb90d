"""Entity: one class says what exists; names of paths, roles, filters and columns derive from it.

Knows the field kinds and nothing of how records are stored, served or permitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, Literal

from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Field,
    Guid,
    Integer,
    Lend,
    Object,
    Reference,
    Text,
)

Verb = Literal["list", "get", "create", "update", "delete"]
ALL_VERBS: Final[tuple[Verb, ...]] = ("list", "get", "create", "update", "delete")
_ROLE_WORD: Final[dict[Verb, str]] = {
    "list": "List", "get": "Read", "create": "Create", "update": "Edit", "delete": "Delete",
}  # fmt: skip

Record = dict[str, Any]
"""A record inside the program: wire name -> inner value (see kinds)."""

_REGISTRY: dict[str, type[Entity]] = {}


@dataclass(frozen=True, slots=True)
class Column:
    """One thing a record shows or a filter reaches: its wire name, kind, and the way to it.

    `path` is the relations to walk (empty for the entity's own), `leaf` the field at the end. A
    `copied` one is lent, and a copy of it stands in the record's own row.
    """

    entity: type[Entity]
    name: str
    kind: Field
    path: tuple[str, ...] = ()
    leaf: str = ""
    as_text: bool = False
    shown: bool = True
    newest: bool = False
    copied: bool = False
    indexed: bool = False

    @property
    def own(self) -> bool:
        """Whether the record itself stores it."""
        return not self.path

    @property
    def listed(self) -> bool:
        """Whether a list shows it; collections are shown by get-one alone."""
        return self.shown and not isinstance(self.kind, Collection)


BASE_FIELDS: Final[dict[str, Field]] = {
    "Id": Integer(read_only=True, nullable=False),
    "UpdatedOn": DateTime(read_only=True, nullable=False, indexed=True),
    "CreatedOn": DateTime(read_only=True, nullable=False, indexed=True),
    "UniqueId": Guid(read_only=True, nullable=False, indexed=True),
    "UpdatedBy": Text(read_only=True),
    "IsNew": Boolean(read_only=True, nullable=False),
    "SystemId": Text(sparse=True),
    "ToStringText": Text(read_only=True),
    "LocalizationDetails": Object(read_only=True),
    "CustomFields": Object(),
}
COMPUTED: Final = frozenset({"IsNew", "ToStringText", "LocalizationDetails"})
"""Base fields that are the same for all records or made from others; no table holds them."""


class Entity:
    """Base of every declaration. Class arguments:

    `area` and `plural` make the path `/api/{area}/{plural}`; `verbs` what the wire offers; `order`
    the default sort; `label` the field that names a record to people; `scope` how a record
    belongs to a location: a column name, a collection name, or None for what all share;
    `served=False` keeps an entity off the wire; `roles` overrides the role of a verb;
    `tallied` keeps count along creation and id, so that totals and deep pages need no walk;
    `append_only` has the database itself refuse deletes, and updates of all but `editable`;
    `indexed` names base fields that are indexed here though not everywhere;
    `unique` names columns that are unique together; `checks` are SQL conditions on every row;
    `list_needs` names filters of which a listing must give one.
    """

    area: ClassVar[str]
    plural: ClassVar[str]
    verbs: ClassVar[tuple[Verb, ...]]
    order: ClassVar[str]
    label: ClassVar[str | None]
    scope: ClassVar[str | None]
    served: ClassVar[bool]
    tallied: ClassVar[bool]
    append_only: ClassVar[bool]
    editable: ClassVar[tuple[str, ...]]
    roles: ClassVar[dict[Verb, str]]
    list_needs: ClassVar[tuple[str, ...]]
    indexed: ClassVar[tuple[str, ...]]
    unique: ClassVar[tuple[tuple[str, ...], ...]]
    checks: ClassVar[tuple[str, ...]]
    fields: ClassVar[dict[str, Field]]

    def __init_subclass__(
        cls,
        *,
        area: str = "",
        plural: str = "",
        verbs: tuple[Verb, ...] = ALL_VERBS,
        order: str = "Id",
        label: str | None = None,
        scope: str | None = None,
        served: bool = True,
        tallied: bool = False,
        append_only: bool = False,
        editable: tuple[str, ...] = (),
        roles: dict[Verb, str] | None = None,
        list_needs: tuple[str, ...] = (),
        indexed: tuple[str, ...] = (),
        unique: tuple[tuple[str, ...], ...] = (),
        checks: tuple[str, ...] = (),
    ) -> None:
        if cls.__name__ in _REGISTRY:
            raise TypeError(f"{cls.__name__} is declared twice")
        own = {k: v for k, v in vars(cls).items() if isinstance(v, Field)}
        cls.area, cls.plural, cls.verbs, cls.order, cls.label = area, plural, verbs, order, label
        cls.scope, cls.served, cls.tallied = scope, served, tallied
        cls.append_only, cls.editable = append_only, editable
        cls.roles = {v: f"{cls.__name__}-{_ROLE_WORD[v]}" for v in ALL_VERBS} | (roles or {})
        cls.list_needs, cls.indexed, cls.unique, cls.checks = list_needs, indexed, unique, checks
        cls.fields = own | BASE_FIELDS
        _REGISTRY[cls.__name__] = cls

    @classmethod
    def path(cls) -> str:
        return f"/api/{cls.area}/{cls.plural}"

    @classmethod
    def shape(cls) -> Shape:
        """Columns and filters, worked out once when first asked (all entities are known then)."""
        found = _SHAPES.get(cls)
        if found is None:
            found = _SHAPES[cls] = Shape(cls)
        return found


_SHAPES: dict[type[Entity], Shape] = {}


def entity_named(name: str) -> type[Entity]:
    """The declared entity of this name; KeyError when there is none."""
    return _REGISTRY[name]


def declared() -> tuple[type[Entity], ...]:
    """Every declared entity, in the order of their names."""
    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))


@dataclass(frozen=True, slots=True)
class FilterName:
    """What one query parameter name means: a column and how it is compared."""

    column: Column
    side: Literal["equals", "from", "to", "ids", "custom"]
    parameter: str


class Shape:
    """Everything that derives from one entity's fields and its relations."""

    def __init__(self, entity: type[Entity]) -> None:
        self.entity = entity
        ordered: list[Column] = []
        hidden: list[Column] = []
        for name, field in entity.fields.items():
            if name in BASE_FIELDS:
                continue
            shown_name = f"{name}Id" if isinstance(field, Reference) else name
            ordered.append(self._own(name, field, shown_name))
            if isinstance(field, Reference):
                ordered += [self._lent(name, field, loan, shown=True) for loan in field.loans]
                hidden += [self._lent(name, field, loan, shown=False) for loan in field.asked]
        base = [self._own(name, field, name) for name, field in BASE_FIELDS.items()]
        first = [c for c in ordered if not c.newest]
        self.columns: dict[str, Column] = {
            c.name: c for c in [*first, *(c for c in ordered if c.newest), *base]
        }
        self.filter_only: dict[str, Column] = {c.name: c for c in hidden}
        self.listed: tuple[Column, ...] = tuple(c for c in self.columns.values() if c.listed)
        self.collections: tuple[Column, ...] = tuple(
            c for c in self.columns.values() if isinstance(c.kind, Collection)
        )
        self.by_lower: dict[str, Column] = {n.lower(): c for n, c in self.columns.items()}

    def _own(self, name: str, field: Field, shown_name: str) -> Column:
        return Column(
            self.entity, shown_name, field, (), name,
            shown=not field.internal, newest=field.newest,
            indexed=field.indexed or name in self.entity.indexed,
        )  # fmt: skip

    def _lent(self, relation: str, field: Reference, loan: Lend, *, shown: bool) -> Column:
        path = loan.path.split(".")
        name = relation + "".join(path)
        if not field.kept:
            kind = self.entity_loan_kind(path[-1])
            return Column(self.entity, name, kind, (), name, shown=shown, newest=loan.newest)
        target: type[Entity] = entity_named(field.to)
        walked = [relation]
        for step in path[:-1]:
            link = target.fields[step]
            if not isinstance(link, Reference):
                raise TypeError(f"{self.entity.__name__}.{relation}: {step} is not a relation")
            walked.append(step)
            target = entity_named(link.to)
        leaf = path[-1]
        kind = target.fields[leaf] if leaf in target.fields else _column_kind(target, leaf)
        return Column(
            self.entity, name, kind, tuple(walked), leaf, loan.as_text, shown, loan.newest,
            copied=loan.copied or loan.indexed, indexed=loan.indexed,
        )  # fmt: skip

    @staticmethod
    def entity_loan_kind(leaf: str) -> Field:
        """The kind of a value lent by something the product does not keep: text, stored as sent."""
        return Text(read_only=True, exact=leaf.endswith("Code"))

    @cached_property
    def stored(self) -> tuple[Column, ...]:
        """The columns a table holds: the record's own, without what is computed or only sent."""
        return tuple(
            c
            for c in self.columns.values()
            if c.own
            and c.name not in COMPUTED
            and not c.kind.write_only
            and not isinstance(c.kind, Collection)
        )

    @cached_property
    def copied(self) -> tuple[Column, ...]:
        """The lent columns of which a copy stands in the record's own row."""
        return tuple(c for c in (*self.columns.values(), *self.filter_only.values()) if c.copied)

    @cached_property
    def filters(self) -> dict[str, FilterName]:
        """Every query parameter the entity understands, by lower-case name."""
        return {f.parameter.lower(): f for f in reversed(list(self._filter_names()))}

    def _filter_names(self) -> Iterator[FilterName]:
        prefix = self.entity.__name__
        identity, unique = self.columns["Id"], self.columns["UniqueId"]
        yield FilterName(identity, "equals", "Id")
        yield FilterName(unique, "equals", "UniqueId")
        yield FilterName(identity, "ids", f"{prefix}_Id")
        for column in [*self.columns.values(), *self.filter_only.values()]:
            if column.name in COMPUTED or column.name == "Id":
                continue
            if isinstance(column.kind, Object) or (column.own and column.kind.internal):
                continue
            if isinstance(column.kind, Reference):
                yield FilterName(column, "equals", f"{prefix}_{column.leaf}")
            if column.path:
                yield FilterName(
                    column, "equals", f"{prefix}_{'_'.join((*column.path, column.leaf))}"
                )
            elif column.name != column.leaf or column.leaf not in self.entity.fields:
                yield from self._outside_name(column, prefix)
            yield FilterName(column, "equals", f"{prefix}_{column.name}")
            if column.kind.ranged and not isinstance(column.kind, Reference):
                yield FilterName(column, "from", f"from_{prefix}_{column.name}")
                yield FilterName(column, "to", f"to_{prefix}_{column.name}")

    def _outside_name(self, column: Column, prefix: str) -> Iterator[FilterName]:
        for name, field in self.entity.fields.items():
            if isinstance(field, Reference) and not field.kept and column.name.startswith(name):
                for loan in field.loans:
                    if name + loan.path.replace(".", "") == column.name:
                        way = loan.path.replace(".", "_")
                        yield FilterName(column, "equals", f"{prefix}_{name}_{way}")

    @cached_property
    def custom_prefix(self) -> str:
        return f"{self.entity.__name__}_CustomFields_".lower()


def _column_kind(target: type[Entity], leaf: str) -> Field:
    """The kind of a name that the target shows but does not declare as a field of its own."""
    return target.shape().columns[leaf].kind
