"""The journal: its lines, the chain that binds them, and what may be done to one credit.

This room must not know what is paid, nor why a benefit is granted.
"""
