"""HTTP paths of the proofs: checkpoints, inclusion proofs, verification."""
