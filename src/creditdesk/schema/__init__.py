"""How an entity is declared, and the protocols of sessions and services."""
