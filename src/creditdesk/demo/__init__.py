"""A generated operator with a history; the same seed always gives the same records."""
