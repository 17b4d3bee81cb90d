"""Contract tests: every documented fact of the imitated API, compared with a naive model."""
