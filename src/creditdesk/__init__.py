"""creditdesk: the credit ledger for coworking and flexible workspaces."""

__version__ = "0.1.0"
