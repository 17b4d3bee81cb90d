"""How an entity is said. Imports nothing of ours outside this room."""
