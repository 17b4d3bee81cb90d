"""Measures every path of a running server beside its ceiling. Not part of the product."""
