"""Load records as typed values, each kind in one module."""
