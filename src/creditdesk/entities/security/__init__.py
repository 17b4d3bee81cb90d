"""Entities served under `/api/security`."""
