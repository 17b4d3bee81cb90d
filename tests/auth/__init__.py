"""Tests of authentication and permissions."""
