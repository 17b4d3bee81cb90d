"""Credit that comes with plans and products: granted when due, renewed, rolled over."""
