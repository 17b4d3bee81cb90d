"""A made-up house with a past: the same seed gives the same records, byte for byte.

Knows entities and the ledger's records, and nothing of stores beyond a unit's inserts.
"""
