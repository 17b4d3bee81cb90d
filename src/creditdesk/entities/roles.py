"""The roles of the paths of the ledger and the reports, which do not have one role per verb."""

from __future__ import annotations

from typing import Final

READ_ROLE: Final = "Ledger-Read"
SPEND_ROLE: Final = "Ledger-Spend"
CORRECT_ROLE: Final = "Ledger-Correct"
REPORTS_ROLE: Final = "Reports-Read"
AUDIT_ROLE: Final = "Audit-Read"

ROLES_WITHOUT_ENTITY: Final = (REPORTS_ROLE,)
"""Roles of paths that serve no entity."""
