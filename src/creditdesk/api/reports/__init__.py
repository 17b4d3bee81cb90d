"""HTTP paths of the reports."""
