"""What the API offers beside the verbs of its entities."""

from __future__ import annotations

from typing import Final

OWN_REQUESTS: Final = {("POST", "/api/ledger/holds")}
"""What the ledger offers on the path of an entity that is not created as a record."""
