"""Persistence on SQLite and PostgreSQL; only `app` and `cli` import this package."""
