"""What is run on a GPU: measurements of the CUDA backend, and every kernel once."""
