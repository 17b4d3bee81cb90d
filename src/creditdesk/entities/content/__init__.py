"""Entities served under `/api/content`."""
