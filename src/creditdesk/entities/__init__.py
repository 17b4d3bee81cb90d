"""The entities: one class a file, in folders named like the area in the URL."""
