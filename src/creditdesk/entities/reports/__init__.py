"""Entities of the reports."""
