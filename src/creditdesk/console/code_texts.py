"""Columns of records that hold coded values, and the text of each code on the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from creditdesk.console.journal_table import LINE_TITLES
from creditdesk.console.line_facts import CAUSE_TEXTS
from creditdesk.console.report_forms import KIND_TEXTS
from creditdesk.console.sources import SOURCE_TITLES
from creditdesk.console.translations import mark
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.entity import Column, Entity

HOLD_TEXTS: Final = {"held": mark("Held"), "confirmed": mark("Confirmed"), "released": mark("Released")}
OPERATION_TEXTS: Final = {"spend": mark("Spend"), "hold": mark("Hold"), "charge": mark("Charge")}
ACT_TEXTS: Final = {
    "sign-in": mark("Sign-in"),
    "sign-in refused": mark("Sign-in refused"),
    "sign-out": mark("Sign-out"),
    "refresh token used twice": mark("Refresh token used twice"),
    "member link created": mark("Member link created"),
    "token issued": mark("Token issued"),
    "password changed": mark("Password changed"),
    "second factor removed": mark("Second factor removed"),
    "roles changed": mark("Roles changed"),
    "created": mark("Created"),
    "changed": mark("Changed"),
    "deleted": mark("Deleted"),
    "month closed": mark("Month closed"),
    "month reopened": mark("Month reopened"),
    "imported": mark("Imported"),
    "exported": mark("Exported"),
    "backed up": mark("Backed up"),
    "refused": mark("Refused"),
    "key rotated": mark("Key rotated"),
    "audit trail begun": mark("Audit trail begun"),
    "audit trail purged": mark("Audit trail purged"),
}
_TEXTS: Final[Mapping[type[Entity], Mapping[str, Mapping[str, str]]]] = {
    JournalLine: {"Kind": LINE_TITLES, "CreditKind": KIND_TEXTS, "SourceKind": SOURCE_TITLES, "Cause": CAUSE_TEXTS},
    Hold: {"CreditKind": KIND_TEXTS, "SourceKind": SOURCE_TITLES, "State": HOLD_TEXTS},
    AllocationDocument: {"SourceKind": SOURCE_TITLES, "Operation": OPERATION_TEXTS},
    AuditRecord: {"Action": ACT_TEXTS},
}


def code_texts(column: Column) -> Mapping[str, str]:
    """The codes of a column with their texts, still to be translated; empty for any other column."""
    return _TEXTS.get(column.entity, {}).get(column.name, {}) if column.is_own else {}
