"""Other ways to serve the same rows: their applications, pinned and installed on demand."""
