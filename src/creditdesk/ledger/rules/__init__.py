"""Pure decisions over typed values: who may pay, how much, in what order, what comes back."""
