"""Verification of the ledger, checkpoints and Merkle proofs."""
