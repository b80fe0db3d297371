"""What the benchmark of layers compares, a file a family; see `Row`."""
