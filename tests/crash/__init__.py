"""Killed servers, killed databases, lost connections."""
