"""The HTTP API, derived from the catalog of entities."""
