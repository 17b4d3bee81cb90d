"""The member's pages under `/me`: available credit, history, and explanations."""
