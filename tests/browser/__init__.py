"""The console in a real browser, on both engines."""
