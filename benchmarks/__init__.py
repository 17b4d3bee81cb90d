"""Benchmarks: every path of a running server beside its ceiling."""
