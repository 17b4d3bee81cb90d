"""Other systems: records in from files, records out to files, and the books checked.

A client of the declarations; it knows the promise of a store and nothing of engines or the web.
"""
