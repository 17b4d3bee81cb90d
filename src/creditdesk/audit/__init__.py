"""Is the ledger true: verification, checkpoints, Merkle proofs."""
