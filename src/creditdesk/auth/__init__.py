"""Who may: callers, passwords, tokens, roles and scope. Knows no SQL and no HTTP routing."""
