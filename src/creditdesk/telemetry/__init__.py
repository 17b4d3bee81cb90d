"""Metrics, request logs and traces of a server."""
