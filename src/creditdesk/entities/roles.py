"""The roles of the ledger's and the reports' own paths, in place of one role a verb."""

from __future__ import annotations

from typing import Final

READ_ROLE: Final = "Ledger-Read"
SPEND_ROLE: Final = "Ledger-Spend"
CORRECT_ROLE: Final = "Ledger-Correct"
REPORTS_ROLE: Final = "Reports-Read"
AUDIT_ROLE: Final = "Audit-Read"

ROLES_WITHOUT_ENTITY: Final = (REPORTS_ROLE,)
"""Roles of paths that serve no entity."""
