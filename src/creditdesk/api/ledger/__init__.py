"""HTTP paths of the ledger: /api/ledger."""
