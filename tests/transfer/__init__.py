"""Tests of import, export and the demo."""
