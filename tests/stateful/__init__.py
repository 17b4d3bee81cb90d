"""Random orders of every operation, beside plain books that are kept by hand."""
