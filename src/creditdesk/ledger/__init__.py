"""The rules of credit: which credit may pay, how much, in what order, and what is returned.

Decisions are made over plain values, without SQL, HTTP or a clock of their own.
"""
