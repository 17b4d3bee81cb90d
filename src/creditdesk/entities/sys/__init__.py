"""Entities served under `/api/sys`."""
