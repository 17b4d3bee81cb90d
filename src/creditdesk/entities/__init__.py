"""The entities: one class per file, in folders named like the area in the URL."""
