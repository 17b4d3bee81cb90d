"""What exists: one class a file, in folders named like the URL."""
