"""Tests of checkpoints, proofs and verification, and of the accounting export."""
