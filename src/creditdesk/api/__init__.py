"""The wire, derived from the catalog. Names no entity and knows no engine, no auth and no ledger."""
