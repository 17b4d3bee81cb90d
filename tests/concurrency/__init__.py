"""Concurrent requests."""
