"""Import and export of records, and the export to accounting software."""
