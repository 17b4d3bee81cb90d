"""What a copy of a customer's rows holds: an SQL expression for each column, derived from the declarations.

Ids and references move by a step for each copy, alike wherever they stand; so do UniqueIds and the texts that
tell records apart. Everything else stays as it is: dates, amounts, names, and what locations offer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from creditdesk.demo.load import CUSTOMER_ENTITIES
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import Collection, Reference
from creditdesk.storage.denormalization import denormalized_pairs
from creditdesk.storage.naming import casefolded_name, column_name, is_casefolded, link_table, table_name

COPIED_ENTITIES: Final[tuple[type[Entity], ...]] = (*CUSTOMER_ENTITIES, BenefitGrant)
"""What the demo creates for each customer."""
UNIQUE_ID_MARKS: Final = tuple(f"{first}{second}" for first in "01234568" for second in "0123456789abcdef")
"""In place of the version of a UniqueId, 7, and of the digit after it: one for each copy."""
_CREDITS: Final = {"money": "CoworkerBookingCredit", "time": "CoworkerExtraService"}
_HISTORIES: Final = {"money": "CoworkerBookingCreditUseHistory", "time": "CoworkerExtraServiceUseHistory"}
_SOURCES: Final = {
    "booking": "Booking",
    "event_attendance": "EventAttendee",
    "invoice_line": "CoworkerInvoiceLine",
}
_IDS_BY_KIND: Final[Mapping[tuple[str, str], tuple[str, Mapping[str, str]]]] = {
    ("JournalLine", "CreditId"): ("credit_kind", _CREDITS),
    ("JournalLine", "HistoryId"): ("credit_kind", _HISTORIES),
    ("JournalLine", "SourceId"): ("source_kind", _SOURCES),
    ("AccountState", "CreditId"): ("credit_kind", _CREDITS),
    ("AccountState", "GrantedFrom"): ("credit_kind", _CREDITS),
    ("BenefitGrant", "CreditId"): ("credit_kind", _CREDITS),
}
"""Ids of one entity or another: the column that says of which."""
_PLAIN_IDS: Final = {
    ("JournalLine", "MemberId"): "Coworker",
    ("CoworkerExtraService", "BookingId"): "Booking",
    ("Booking", "CoworkerInvoiceId"): "CoworkerInvoice",
    ("BenefitGrant", "ContractId"): "CoworkerContract",
}
"""Ids that are not declared as references."""
_DISTINCT_TEXTS: Final = frozenset(
    {("Coworker", "Email"), ("EventAttendee", "Email"), ("CoworkerInvoice", "InvoiceNumber"), ("Team", "Name")}
)


@dataclass(frozen=True, slots=True)
class RowCopy:
    """One copy: its number from 1, and by how much the ids of each entity, by name, differ between copies."""

    number: int
    steps: Mapping[str, int]
    booking_numbers: int

    def insert_statements(self, source: str = "") -> Iterator[str]:
        """The statements that insert this copy of every row; `source` is prefixed to the tables they read."""
        for entity in COPIED_ENTITIES:
            table, values = table_name(entity), list(self._values(entity))
            names, expressions = (", ".join(each) for each in zip(*values, strict=True))
            yield (
                f"INSERT INTO {table} ({names}) SELECT {expressions} FROM {source}{table} "
                f"WHERE {self._is_original(entity)} ORDER BY id"
            )
            for column in entity.meta().collection_columns:
                yield from self._insert_links(entity, column, source)

    def _insert_links(self, entity: type[Entity], column: Column, source: str) -> Iterator[str]:
        field = column.field
        assert isinstance(field, Collection)
        if field.inverse_of:
            return
        table, owner, item = link_table(entity, column.leaf)
        yield (
            f"INSERT INTO {table} ({owner}, {item}) SELECT {self._moved(owner, entity.__name__)}, "
            f"{self._moved(item, field.of)} FROM {source}{table} "
            f"WHERE {owner} <= {self.steps[entity.__name__]} ORDER BY {owner}"
        )

    def _is_original(self, entity: type[Entity]) -> str:
        if entity is not AccountState:
            return f"id <= {self.steps[entity.__name__]}"
        # The ids of copies of one kind lie between those of the other; the first condition can use an index.
        credits_ = {kind: str(self.steps[target]) for kind, target in _CREDITS.items()}
        return f"id <= {self.steps['AccountState']} AND credit_id <= {self._by_kind('credit_kind', credits_)}"

    def _values(self, entity: type[Entity]) -> Iterator[tuple[str, str]]:
        """Each table column of an entity with the expression of its copy."""
        meta = entity.meta()
        for column in meta.stored_columns:
            name = column_name(column)
            yield name, self._expression(entity, column.name, name)
            if is_casefolded(column):
                yield casefolded_name(column), self._expression(entity, column.name, casefolded_name(column))
        for column in meta.denormalized_columns:
            origin = entity
            for relation in column.path:
                reference = origin.fields[relation]
                assert isinstance(reference, Reference)
                origin = entity_by_name(reference.to)
            for name, _ in denormalized_pairs(column):
                yield name, self._expression(origin, column.leaf, name)

    def _expression(self, entity: type[Entity], leaf: str, name: str) -> str:
        """The copy of what a column holds: the `leaf` of an entity."""
        key = (entity.__name__, leaf)
        if key in _IDS_BY_KIND:
            kind, targets = _IDS_BY_KIND[key]
            return self._by_kind(kind, {each: self._moved(name, target) for each, target in targets.items()})
        if key == ("AccountState", "Id"):
            moves = {kind: f"id + {2 * self.number * self.steps[target]}" for kind, target in _CREDITS.items()}
            return self._by_kind("credit_kind", moves)
        if leaf.removesuffix("UniqueId") in ("", *self.steps) and leaf.endswith("UniqueId"):
            return self._moved_unique_id(name)
        if key in _DISTINCT_TEXTS:
            return f"'{self.number}-' || {name}"
        if key == ("Booking", "BookingNumber"):
            return f"{name} + {self.number * self.booking_numbers}"
        if key == ("BenefitGrant", "Key"):
            contract = self._moved("contract_id", "CoworkerContract")
            return f"{_as_text(contract)} || substr({name}, length({_as_text('contract_id')}) + 1)"
        if key == ("JournalLine", "Document"):
            return self._moved_document(name)
        field = entity.meta().columns[leaf].field
        target = field.to if isinstance(field, Reference) else _PLAIN_IDS.get(key)
        return self._moved(name, entity.__name__ if leaf == "Id" else target or "")

    def _moved(self, name: str, entity_name: str) -> str:
        return f"{name} + {self.number * self.steps[entity_name]}" if entity_name in self.steps else name

    def _moved_unique_id(self, name: str) -> str:
        return f"substr({name}, 1, 14) || '{UNIQUE_ID_MARKS[self.number - 1]}' || substr({name}, 17)"

    def _moved_document(self, name: str) -> str:
        """A grant states its owner. The contract or sale that it also states stays that of the first copy."""
        owners = (_as_text("coworker_id"), _as_text(self._moved("coworker_id", "Coworker")))
        stated = ", ".join(f"'\"CoworkerId\":' || {owner}" for owner in owners)
        return f"coalesce(replace({name}, {stated}), {name})"

    @staticmethod
    def _by_kind(column: str, expressions: Mapping[str, str]) -> str:
        cases = " ".join(f"WHEN '{kind}' THEN {each}" for kind, each in expressions.items())
        return f"CASE {column} {cases} END"


def _as_text(expression: str) -> str:
    return f"CAST({expression} AS TEXT)"
