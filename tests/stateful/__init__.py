"""Random sequences of every operation, compared with a plain model."""
