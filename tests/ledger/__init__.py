"""The ledger over a store: each rule by its number, on both engines."""
