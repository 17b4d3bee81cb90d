"""Scheduled work: which jobs are due, one leader that runs them, and their last results."""
