"""Seals over the whole book: anyone can check a line against a checkpoint that was given away."""
