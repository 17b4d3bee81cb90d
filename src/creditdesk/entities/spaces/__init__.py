"""Entities served under `/api/spaces`."""
