"""Entities served under `/api/billing`."""
