"""Records to typed values, each kind loaded in one place."""
