"""What the ledger keeps: the journal that is served, and the records it needs for itself."""
