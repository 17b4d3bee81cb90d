"""The operator's pages over HTTP, and in a browser."""
