"""Redaction: hides values that a limited caller may not see inside records that it may read.

A member does not see the columns for operators, such as who changed a record last. A use of a member's credit may
have paid for the booking or event of another member of the team: the member sees its Id, but not who or what it was
for, and filters and sorting do not reveal it either. A decision lists credits of other customers and locations
without their balances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from creditdesk.api.context import ApiContext
from creditdesk.auth.scope import scope_column, scope_filters
from creditdesk.schema.entity import EVERY_MEMBER, Column, Entity, Record, entity_by_name
from creditdesk.schema.fields import Integer, Reference
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order, Page
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal


@dataclass(frozen=True, slots=True)
class ForeignReference:
    """A reference to records that may belong to another customer than the referring record.

    `owner` is the customer of the referenced record, as a column of the referring entity; `embedded` are the names of
    the columns read from the referenced record.
    """

    id_column: str
    target: type[Entity]
    owner: Column
    embedded: frozenset[str]


async def own_records(
    api: ApiContext, session: ReadSession, entity: type[Entity], records: Sequence[Record], principal: Principal
) -> None:
    """Blanks the values in these records that the principal may not see."""
    if not principal.is_limited:
        return
    for reference in _references_for(principal, entity):
        foreign = await _foreign_ids(session, reference, [record[reference.id_column] for record in records], principal)
        for record in records:
            if record[reference.id_column] in foreign:
                record |= dict.fromkeys(reference.embedded & record.keys())
    hidden = _operator_columns(principal, entity)
    for record in records:
        record |= {name: column.field.member_value for name, column in hidden.items() if name in record}
    if redaction := api.redactions.get(entity):
        shown = await redaction.hide(session, [record[redaction.column] for record in records], principal)
        for record, value in zip(records, shown, strict=True):
            record[redaction.column] = value


async def own_page(
    api: ApiContext, session: ReadSession, entity: type[Entity], page: Page, principal: Principal
) -> Page:
    """Returns the page without the values that the principal may not see."""
    if not principal.is_limited:
        return page
    names = [column.name for column in entity.meta().list_columns]
    columns = list(page.columns)
    for reference in _references_for(principal, entity):
        ids = columns[names.index(reference.id_column)]
        foreign = await _foreign_ids(session, reference, ids, principal)
        for at, name in enumerate(names):
            if foreign and name in reference.embedded:
                columns[at] = [
                    None if target in foreign else value for target, value in zip(ids, columns[at], strict=True)
                ]
    for name, column in _operator_columns(principal, entity).items():
        if column.in_lists:
            columns[names.index(name)] = [column.field.member_value] * len(columns[0])
    if redaction := api.redactions.get(entity):
        at = names.index(redaction.column)
        columns[at] = await redaction.hide(session, columns[at], principal)
    return Page(columns, page.total)


def own_query(query: ListQuery, principal: Principal) -> ListQuery:
    """Rewrites a query so that its filters and order reveal no hidden values to a member.

    A filter on a value of a foreign record, or on a column for operators, matches nothing; sorting by one sorts by Id.
    """
    if not principal.is_member:
        return query
    hidden = _operator_columns(principal, query.entity)
    references = _references_for(principal, query.entity)
    order = query.order
    filters = list(query.filters)
    by_id = query.entity.meta().columns["Id"]
    if any(each.column.name in hidden for each in query.filters):
        filters.append(Filter(by_id, Comparison.ONE_OF, ()))
    if order.column.name in hidden:
        order = Order(by_id, order.descending)
    for reference in references:
        assert principal.customers is not None
        if any(each.column.name in reference.embedded for each in query.filters):
            filters.append(Filter(reference.owner, Comparison.ONE_OF, tuple(sorted(principal.customers))))
        if order.column.name in reference.embedded:
            order = Order(by_id, order.descending)
    return replace(query, filters=tuple(filters), order=order)


async def _foreign_ids(
    session: ReadSession, reference: ForeignReference, ids: Sequence[int | None], principal: Principal
) -> set[int]:
    wanted = {each for each in ids if each is not None}
    if not wanted:
        return set()
    target = reference.target
    chosen = Filter(target.meta().columns["Id"], Comparison.ONE_OF, tuple(sorted(wanted)))
    own = await session.find(target, (chosen, *scope_filters(principal, target)), columns=("Id",))
    return wanted - {record["Id"] for record in own}


def _operator_columns(principal: Principal, entity: type[Entity]) -> Mapping[str, Column]:
    return entity.meta().operator_columns if principal.is_member else {}


def _references_for(principal: Principal, entity: type[Entity]) -> tuple[ForeignReference, ...]:
    if not principal.is_member:
        return ()
    found = _FOREIGN_REFERENCES.get(entity)
    if found is None:
        found = _FOREIGN_REFERENCES[entity] = _find_foreign_references(entity)
    return found


_FOREIGN_REFERENCES: Final[dict[type[Entity], tuple[ForeignReference, ...]]] = {}


def _find_foreign_references(entity: type[Entity]) -> tuple[ForeignReference, ...]:
    meta = entity.meta()
    owner = scope_column(entity, entity.owner) if entity.owner not in (None, EVERY_MEMBER) else None
    found = []
    for name, field in entity.fields.items():
        # The reference through which the owner is read is a record of the owner itself.
        if not isinstance(field, Reference) or not field.is_local or (owner and name in (*owner.path, owner.leaf)):
            continue
        target = entity_by_name(field.to)
        embedded = {
            column.name for column in (*meta.columns.values(), *meta.filter_only.values()) if column.path[:1] == (name,)
        }
        if embedded and target.owner not in (None, EVERY_MEMBER):
            found.append(
                ForeignReference(f"{name}Id", target, _owner_through(entity, name, target), frozenset(embedded))
            )
    return tuple(found)


def _owner_through(entity: type[Entity], reference: str, target: type[Entity]) -> Column:
    """The customer of the referenced record, as a column for filters."""
    assert target.owner is not None
    owner = scope_column(target, target.owner)
    steps = owner.path or ((owner.leaf,) if isinstance(owner.field, Reference) else ())
    return Column(entity, f"{reference}Owner", Integer(), (reference, *steps), "Id", visible=False)
