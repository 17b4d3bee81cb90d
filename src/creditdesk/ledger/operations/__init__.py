"""The operations of the ledger, one per module: post a use, spend, hold, charge, reverse, adjust, expire, renew."""
