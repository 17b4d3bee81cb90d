"""Authentication and authorization: principals, passwords, tokens, roles and location scope."""
