"""One file an operation: post a use, spend, hold, charge, reverse, adjust, expire, renew."""
