"""Proofs, checkpoints and the checked export."""
