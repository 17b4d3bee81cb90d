"""The journal: entries, the hash chain over them, locked accounts and balances."""
