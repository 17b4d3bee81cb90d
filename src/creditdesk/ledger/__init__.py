"""The rules of credit: who may pay, how much, in what order, and what comes back.

Everything here is decided over plain values. This room knows no database, no web and no clock.
"""
