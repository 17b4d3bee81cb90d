"""Pure decisions over plain values: who may pay, how much, in what order, and what comes back.

This room reads no record and writes none.
"""
