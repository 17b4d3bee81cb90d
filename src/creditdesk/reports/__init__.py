"""Reports over the journal: one computation for screen, file, HTTP API and command line."""
