"""Pure decisions over typed values: which credit may pay, how much, in what order, and what is returned."""
