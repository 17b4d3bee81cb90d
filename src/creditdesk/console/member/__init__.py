"""The member's pages under `/me`: what she can spend, what happened, and why."""
