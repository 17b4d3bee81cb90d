"""A made-up operator with a history; one seed always gives the same records."""
